//! `raywarden explain`: what a rule means, why, and what to do.
//!
//! Input: an id, or none. Output: the catalogue as a table, or one rule with its examples; text or
//! JSON. An unknown id ends with 2 and the nearest ones.

mod markdown;

use std::fmt::Write as _;

use anyhow::bail;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::nearest::nearest;
use super::output::print;
use super::{Verdict, output};
use crate::model::{RuleId, Severity};
use crate::policy::rules::{Base, Example, Rule, catalogue, find};

/// Say what a rule means, why, and what to do
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  # All rules:
  raywarden explain

  # The one in brackets behind a refusal:
  raywarden explain bounds/min-max

  # For a page of one's own:
  raywarden explain --output json
  raywarden explain --output markdown > rules.md")]
pub struct ExplainArgs {
    /// The rule's id; all of them without one
    #[arg(value_name = "RULE")]
    rule: Option<String>,

    /// The form of the answer
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text, value_name = "FORM")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// An array of rules
    Json,
    /// One page of all rules
    Markdown,
}

/// Runs the command.
pub fn run(args: &ExplainArgs) -> anyhow::Result<Verdict> {
    let rules: Vec<&Rule> = match &args.rule {
        None => catalogue().collect(),
        Some(id) => vec![named(id)?],
    };
    let text = match (args.output, rules.as_slice()) {
        (Format::Json, rules) => {
            let rules: Vec<Value> = rules.iter().map(|rule| entry(rule)).collect();
            format!("{:#}\n", Value::Array(rules))
        }
        (Format::Markdown, rules) => markdown::page(rules),
        (Format::Text, [rule]) if args.rule.is_some() => page(rule),
        (Format::Text, rules) => table(rules),
    };
    print(&text)?;
    Ok(Verdict::Good)
}

fn named(id: &str) -> anyhow::Result<&'static Rule> {
    // As it stands in a refusal: `[raywarden bounds/min-max]`.
    let plain = id.trim_matches(['[', ']']).trim_start_matches("raywarden").trim();
    if let Some(rule) = RuleId::parse(plain).and_then(find) {
        return Ok(rule);
    }
    let near = nearest(plain, RuleId::ALL.iter().map(|id| id.as_str()));
    let hint = if near.is_empty() {
        "`raywarden explain` lists all rules".to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    bail!("there is no rule {id:?}; {hint}")
}

fn table(rules: &[&Rule]) -> String {
    let mut table = output::table(output::WIDTH);
    table.set_header(["RULE", "DOES", "MEANS"]);
    for rule in rules {
        let policy = rule.fails.policy.is_some();
        let does = if policy { "as told" } else { rule.severity.as_str() };
        table.add_row([rule.id.as_str(), does, rule.title]);
    }
    output::drawn(&table)
}

const fn does(rule: &Rule) -> &'static str {
    match rule.severity {
        _ if rule.fails.policy.is_some() => "does what its policy says",
        Severity::Deny => "refuses",
        Severity::Warn => "warns",
        Severity::Audit => "reports",
        Severity::Note => "notes",
    }
}

fn page(rule: &Rule) -> String {
    let does = does(rule);
    let mut out = format!("{}  ({does})\n{}\n\n", rule.id, rule.title);
    let _ = writeln!(out, "{}\n", wrapped(rule.why));
    let _ = writeln!(out, "{}\n", wrapped(&format!("What to do: {}", rule.fix)));
    for (title, example) in [("This fails", &rule.fails), ("This passes", &rule.passes)] {
        let _ = writeln!(out, "{title}, laid over {}:", base(example.base));
        if !example.flags.is_empty() {
            let _ = writeln!(out, "  with {}", example.flags.join(" "));
        }
        if let Some(policy) = example.policy {
            let _ = writeln!(out, "  under a policy of:\n{}  this:", indented(policy));
        }
        if let Some(before) = example.before {
            let _ = writeln!(out, "  stored before:\n{}  and then written:", indented(before));
        }
        let _ = writeln!(out, "{}", indented(example.yaml));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

const fn base(base: Base) -> &'static str {
    match base {
        Base::RayCluster => "a sound, autoscaled RayCluster",
        Base::RayJob => "a sound RayJob",
        Base::Domino => "a sound RayCluster of Domino's",
        Base::Policy => "a RayClusterPolicy",
        Base::Scale => "a request to the scale subresource of Domino's RayCluster",
    }
}

fn indented(yaml: &str) -> String {
    if yaml.trim().is_empty() {
        return "    (as it is)\n".to_owned();
    }
    yaml.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "    {line}");
        out
    })
}

/// Lines of at most the output's width, broken between words.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > usize::from(output::WIDTH) {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

fn entry(rule: &Rule) -> Value {
    let example = |example: &Example| {
        json!({
            "base": example.base.yaml(),
            "before": example.before,
            "yaml": example.yaml,
            "flags": example.flags,
            "policy": example.policy,
        })
    };
    json!({
        "id": rule.id.as_str(),
        "severity": rule.severity.as_str(),
        "title": rule.title,
        "why": rule.why,
        "fix": rule.fix,
        "fails": example(&rule.fails),
        "passes": example(&rule.passes),
    })
}
