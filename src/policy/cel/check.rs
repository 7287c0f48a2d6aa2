//! What an expression may be, before it is ever asked.
//!
//! Input: text. Output: a program and what it reads, or what is wrong with the text. The parser eats
//! stack by the level, so that it runs on a thread that has enough of it, and whatever is too deep is
//! dropped there too.

use std::sync::Arc;
use std::thread;

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue};
use cel::{Env, Program};

use super::amount;

/// The longest expression.
const MOST_TEXT: usize = 4096;

/// Brackets within brackets.
const MOST_BRACKETS: usize = 32;

/// Parts within parts: without optimisation a level takes some 30 KiB of stack, of the 2 MiB that a thread
/// of the server has.
const MOST_DEPTH: usize = 24;

/// Loops within loops: each multiplies the work by the length of what it walks.
const MOST_LOOPS: usize = 2;

/// Entries of a list or map that is written in the expression.
const MOST_ENTRIES: usize = 256;

/// The longest pattern of `matches`, and the most memory that it may come to.
const MOST_PATTERN: usize = 256;
const MOST_PATTERN_MEMORY: usize = 64 * 1024;

/// Enough for the deepest text that the parser takes.
const STACK: usize = 16 * 1024 * 1024;

/// What expressions read.
pub(super) const VARIABLES: [&str; 4] = ["object", "oldObject", "cluster", "request"];

const TYPES: [&str; 9] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type"];

/// Every function that an expression may call, macros left out.
const FUNCTIONS: [&str; 20] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "hasValue",
    "int",
    "matches",
    "none",
    "of",
    "ofNonZeroValue",
    "or",
    "orValue",
    amount::NAME,
    "size",
    "startsWith",
    "string",
    "type",
    "value",
];

/// A program, and what must be known of it.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) program: Arc<Program>,
    /// It reads the stored object.
    pub(super) compares: bool,
    /// A change of labels or annotations alone can change what it says.
    pub(super) reads_metadata: bool,
    /// It makes patterns, which is slow.
    pub(super) matches: bool,
}

/// Compiles an expression.
pub(super) fn check(env: &Env, text: &str) -> Result<Checked, String> {
    if text.trim().is_empty() {
        return Err("is empty; write a condition that is true for what may be".to_owned());
    }
    if text.len() > MOST_TEXT {
        let length = text.len();
        return Err(format!("is {length} bytes long; the most is {MOST_TEXT}: make several rules"));
    }
    if brackets(text) > MOST_BRACKETS {
        return Err(format!("has more than {MOST_BRACKETS} brackets within each other"));
    }
    thread::scope(|scope| {
        let work = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || {
            let program = env.compile(text).map_err(|errors| parse_error(&errors))?;
            let mut walk = Walk::default();
            walk.expression(program.expression(), 0, 0)?;
            let Walk { compares, reads_metadata, matches, .. } = walk;
            Ok(Checked { program: Arc::new(program), compares, reads_metadata, matches })
        });
        let done = work.map_err(|error| format!("could not be compiled: {error}"))?;
        done.join().unwrap_or_else(|_| Err("could not be compiled".to_owned()))
    })
}

fn parse_error(errors: &cel::ParseErrors) -> String {
    let Some(first) = errors.errors.first() else {
        return "is no CEL".to_owned();
    };
    let (line, column) = first.pos;
    format!("is no CEL: line {line}, column {column}: {}", first.msg.replace('\n', " "))
}

fn brackets(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[derive(Default)]
struct Walk<'a> {
    bound: Vec<&'a str>,
    compares: bool,
    reads_metadata: bool,
    matches: bool,
}

impl<'a> Walk<'a> {
    fn expression(&mut self, node: &'a IdedExpr, depth: usize, loops: usize) -> Result<(), String> {
        if depth > MOST_DEPTH {
            return Err(format!("is deeper than {MOST_DEPTH} levels: make several rules"));
        }
        let deeper = depth + 1;
        match &node.expr {
            Expr::Literal(literal) => {
                if let LiteralValue::String(text) = literal {
                    self.word(text.inner());
                }
                Ok(())
            }
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                self.word(&select.field);
                self.expression(&select.operand, deeper, loops)
            }
            Expr::Call(call) => {
                self.call(&call.func_name, &call.args)?;
                let parts = call.target.as_deref().into_iter().chain(&call.args);
                self.all(parts, deeper, loops)
            }
            Expr::List(list) => {
                few(list.elements.len())?;
                self.all(&list.elements, deeper, loops)
            }
            Expr::Map(map) => {
                few(map.entries.len())?;
                for IdedEntryExpr { expr, .. } in &map.entries {
                    if let EntryExpr::MapEntry(entry) = expr {
                        self.all([&entry.key, &entry.value], deeper, loops)?;
                    }
                }
                Ok(())
            }
            Expr::Comprehension(each) => self.comprehension(each, deeper, loops),
            Expr::Struct(_) | Expr::Unspecified => {
                Err("makes a message, which no rule needs".into())
            }
        }
    }

    fn all(
        &mut self,
        parts: impl IntoIterator<Item = &'a IdedExpr>,
        depth: usize,
        loops: usize,
    ) -> Result<(), String> {
        parts.into_iter().try_for_each(|part| self.expression(part, depth, loops))
    }

    fn comprehension(
        &mut self,
        each: &'a ComprehensionExpr,
        depth: usize,
        loops: usize,
    ) -> Result<(), String> {
        self.all([&each.iter_range, &each.accu_init], depth, loops)?;
        let loops = loops + 1;
        if loops > MOST_LOOPS {
            return Err(format!(
                "has more than {MOST_LOOPS} loops (all, exists, exists_one, map, filter) within each \
                 other: make several rules"
            ));
        }
        let before = self.bound.len();
        self.bound.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
        self.bound.extend(each.iter_var2.as_deref());
        let parts = [&each.loop_cond, &each.loop_step, &each.result];
        let done = self.all(parts, depth, loops);
        self.bound.truncate(before);
        done
    }

    fn name(&mut self, name: &str) -> Result<(), String> {
        let plain = name.trim_start_matches('.');
        if self.bound.contains(&plain) {
            return Ok(());
        }
        self.compares |= plain == "oldObject";
        if VARIABLES.contains(&plain) || TYPES.contains(&plain) || plain == "optional" {
            return Ok(());
        }
        Err(format!("reads {plain:?}, which is not there; there are {}", VARIABLES.join(", ")))
    }

    fn call(&mut self, name: &str, arguments: &[IdedExpr]) -> Result<(), String> {
        let operator = name.contains(['_', '@']) && !name.chars().all(char::is_alphanumeric);
        if !operator && !FUNCTIONS.contains(&name) {
            let known = FUNCTIONS.join(", ");
            return Err(format!("calls {name}(), which is not there; there are {known}"));
        }
        if name != "matches" {
            return Ok(());
        }
        self.matches = true;
        let Some(Expr::Literal(LiteralValue::String(pattern))) =
            arguments.last().map(|last| &last.expr)
        else {
            return Err("matches() takes a pattern that is written in the rule".to_owned());
        };
        let pattern = pattern.inner();
        if pattern.len() > MOST_PATTERN {
            return Err(format!("has a pattern of more than {MOST_PATTERN} bytes"));
        }
        let built = regex::RegexBuilder::new(pattern).size_limit(MOST_PATTERN_MEMORY).build();
        built.map(drop).map_err(|error| {
            let error = error.to_string();
            format!("has a bad pattern {pattern:?}: {}", error.lines().last().unwrap_or_default())
        })
    }

    fn word(&mut self, word: &str) {
        self.reads_metadata |= matches!(word, "metadata" | "labels" | "annotations");
    }
}

fn few(entries: usize) -> Result<(), String> {
    if entries > MOST_ENTRIES {
        return Err(format!("lists {entries} values; the most is {MOST_ENTRIES}"));
    }
    Ok(())
}
