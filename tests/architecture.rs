//! The house stays upright: modules import downwards only, the core stays pure, files stay small.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Top to bottom: a module imports only from those above it.
const ORDER: [&str; 19] = [
    "model",
    "dialect",
    "schema",
    "bounds",
    "inject",
    "policy",
    "admission",
    "plan",
    "scaling",
    "page",
    "registration",
    "tls::issue",
    "clock",
    "telemetry",
    "tls",
    "ray",
    "http",
    "control",
    "cli",
];

/// The last module of the pure core.
const LAST_PURE: &str = "tls::issue";

/// What a pure module does not know.
const IMPURE: [&str; 17] = [
    "tokio",
    "axum",
    "hyper",
    "kube",
    "rustls",
    "tracing",
    "clap",
    "async fn",
    ".await",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "std::fs",
    "std::io",
    "TcpStream",
    "std::env",
    "std::process",
];

const MOST_LINES: usize = 500;

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of the checkout can be read");
            left.extend(entries.map(|entry| entry.expect("an entry can be read").path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("a source file can be read");
            found.push((path, text));
        }
    }
    assert!(!found.is_empty(), "no sources under {folder}");
    found.sort();
    found
}

/// The rank of a path such as `tls::issue::x`, and the module that decides it.
fn rank(path: &str) -> Option<(usize, &'static str)> {
    let fits = |module: &str| path == module || path.starts_with(&format!("{module}::"));
    // A longer name decides before its parent.
    let modules = ORDER.iter().enumerate().filter(|(_, module)| fits(module));
    modules.max_by_key(|(_, module)| module.len()).map(|(rank, module)| (rank, *module))
}

fn module_path(file: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let relative = file.strip_prefix(source).expect("a file of src").with_extension("");
    relative.to_string_lossy().replace('/', "::")
}

fn is_test(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "tests")
        || file.components().any(|part| part.as_os_str() == "tests")
}

/// The code above the tests of a file, comments left out.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every `crate::path` that the code names, braces of one `use` spread out.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in code.split("crate::").skip(1) {
        let head: String =
            part.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
        match part[head.len()..].strip_prefix('{') {
            Some(list) => {
                let list = &list[..list.find("};").unwrap_or(list.len())];
                let names = list.split([',', '{', '}']).map(str::trim);
                let names = names.filter(|name| name.starts_with(|c: char| c.is_lowercase()));
                found.extend(names.map(|name| format!("{head}{name}")));
                found.push(head.trim_end_matches(':').to_owned());
            }
            None => found.push(head),
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

#[test]
fn a_module_imports_only_from_above_itself() {
    let mut faults = Vec::new();
    for (file, text) in sources("src").into_iter().filter(|(file, _)| !is_test(file)) {
        let own = module_path(&file);
        let Some((own_rank, own_module)) = rank(&own) else { continue };
        for import in imports(&code(&text)) {
            let Some((other_rank, module)) = rank(&import) else { continue };
            if other_rank > own_rank && module != own_module {
                faults.push(format!("{own} imports {import}, which stands below it"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_core_knows_no_clock_network_runtime_or_logger() {
    let last = ORDER.iter().position(|module| *module == LAST_PURE).expect("a module of the list");
    let mut faults = Vec::new();
    for (file, text) in sources("src") {
        let own = module_path(&file);
        let pure = rank(&own).is_some_and(|(rank, _)| rank <= last);
        if !pure || is_test(&file) {
            continue;
        }
        let code = code(&text);
        for word in IMPURE.iter().filter(|word| names(&code, word)) {
            faults.push(format!("{own} knows {word}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether the code names a crate or item, not merely a word that contains it.
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let path = word.contains(['.', ' ']) || code[at..].starts_with(&format!("{word}::"));
        let item = word.starts_with(char::is_uppercase) || word.contains("::");
        !part(before) && !part(after) && (path || item)
    })
}

#[test]
fn no_file_is_longer_than_a_thought() {
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        for (file, text) in sources(folder) {
            let lines = text.lines().count();
            if lines > MOST_LINES {
                faults.push(format!("{} has {lines} lines", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_outside_tests_unwraps_or_allows_without_saying_why() {
    let mut faults = Vec::new();
    for (file, text) in sources("src").into_iter().filter(|(file, _)| !is_test(file)) {
        let code = code(&text);
        for word in [".unwrap()", "#[allow(", "unsafe {", "todo!(", "unimplemented!("] {
            if code.contains(word) {
                faults.push(format!("{}: {word}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_dialects_match_on_kinds_and_groups() {
    let mut faults = Vec::new();
    for (file, text) in sources("src").into_iter().filter(|(file, _)| !is_test(file)) {
        let own = module_path(&file);
        let speaks = own.starts_with("dialect") || own.starts_with("policy::rules");
        let shell = rank(&own).is_none_or(|(rank, _)| {
            ORDER.iter().position(|module| *module == "admission").is_none_or(|last| rank > last)
        });
        if speaks || shell {
            continue;
        }
        for word in ["\"ray.io\"", "\"RayCluster\"", "dominodatalab"] {
            if code(&text).contains(word) {
                faults.push(format!("{own} names {word}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
