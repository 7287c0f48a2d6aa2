use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::model::Pointer;

/// Texts and what `sigs.k8s.io/yaml` 1.6.0, kubectl's reader, makes of them; written by that library.
const GO_YAML: &str = include_str!("tests/go-yaml.jsonl");

/// Where the parser below us and libyaml part ways, and neither can be told apart by a manifest that
/// anybody wrote: line separators of other scripts, escapes of JSON, an odd flow key,
/// a tab behind a dash.
const APART: [&str; 6] = [
    "a: \"\\ud83d\\ude00\"\n",
    "a: \u{85}b\n",
    "a: \"\\/\"\n",
    "a: [?x]\n",
    "a: \u{2028}b\n",
    "a:\n  -\tb\n",
];

#[test]
fn a_document_means_what_it_means_to_kubectl() {
    let mut wrong = Vec::new();
    for line in GO_YAML.lines() {
        let (text, theirs): (String, Value) = serde_json::from_str(line).unwrap();
        if APART.contains(&text.as_str()) {
            continue;
        }
        let ours = parse(&text);
        let same = match (&ours, theirs.get("is")) {
            (Ok(parsed), Some(value)) => {
                equal(parsed.value.as_ref().unwrap_or(&Value::Null), value)
            }
            (Err(_), None) => true,
            _ => false,
        };
        if !same {
            wrong.push(format!("{text:?}\n  theirs {theirs}\n  ours   {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// JSON equality; a number is its value.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// The text that the value or key of a place covers.
fn at<'a>(text: &'a str, path: &Pointer) -> (Option<&'a str>, &'a str, usize) {
    let root = spots(text).unwrap();
    let nearest = root.nearest(path.tokens().iter());
    let key = nearest.spot.key.clone().map(|span| &text[span]);
    (key, &text[nearest.spot.value.clone()], nearest.depth)
}

#[test]
fn every_part_of_a_document_is_found_where_it_stands() {
    let text = "é: 1\nspec:\n  list:\n  - name: a\n    m: \"x\\ty\" # c\n  - {name: b, m: 'ü'}\n";
    let list = Pointer::of(["spec", "list"]);
    assert_eq!(at(text, &Pointer::of(["é"])), (Some("é"), "1", 1));
    assert_eq!(at(text, &list.at(0).at("m")), (Some("m"), "\"x\\ty\"", 4));
    assert_eq!(at(text, &list.at(1).at("m")), (Some("m"), "'ü'", 4));
    assert_eq!(at(text, &list.at(1)).1, "{name: b, m: 'ü'}");
    assert!(at(text, &list.at(0)).1.starts_with("name: a"));
}

#[test]
fn an_absent_part_is_found_at_its_nearest_ancestor() {
    let text = "spec:\n  groups:\n  - name: a\n";
    let (key, _, depth) = at(text, &Pointer::of(["spec", "groups"]).at(3).at("m"));
    assert_eq!((key, depth), (Some("groups"), 2));
    let root = spots(text).unwrap();
    let path = Pointer::of(["spec", "groups"]).at(0).at("m");
    let nearest = root.nearest(path.tokens().iter());
    assert_eq!(nearest.depth, 3);
    assert!(nearest.element.is_some());
}

#[test]
fn what_an_alias_or_a_merge_key_brings_stands_at_its_anchor() {
    let text = "a: &x\n  cpu: 1\nb: *x\nc:\n  <<: *x\n  d: 2\n";
    assert_eq!(at(text, &Pointer::of(["b"])).1, "*x");
    assert_eq!(at(text, &Pointer::of(["b", "cpu"])), (Some("cpu"), "1", 2));
    let (_, value, _) = at(text, &Pointer::of(["c", "cpu"]));
    assert_eq!(value, "1");
}

#[test]
fn lines_end_in_any_of_the_usual_ways() {
    let text = "a: 1\r\nb:\r\n  c: two\r\n";
    assert_eq!(parse(text).unwrap().value, Some(json!({"a": 1, "b": {"c": "two"}})));
    assert_eq!(at(text, &Pointer::of(["b", "c"])).1, "two");
}

#[test]
fn a_key_that_stands_twice_is_noticed() {
    let parsed = parse("a: 1\nb: 2\na: 3\n").unwrap();
    assert_eq!(parsed.value, Some(json!({"a": 3, "b": 2})));
    let key = "a".to_owned();
    assert_eq!(parsed.notices, [Notice::Repeated { key, at: 10 }]);
    assert_eq!(at("a: 1\nb: 2\na: 3\n", &Pointer::of(["a"])).1, "3");
}

#[test]
fn what_stands_behind_the_end_of_a_document_is_noticed() {
    let parsed = parse("a: 1\n...\nb: 2\n").unwrap();
    assert_eq!(parsed.notices, [Notice::Ended { at: 9 }]);
    assert_eq!(parse("a: 1\n...\n").unwrap().notices, []);
}

#[test]
fn nothing_but_comments_is_no_document() {
    for text in ["", "\n\n", "# Source: x.yaml\n", "  # a\n#b"] {
        assert_eq!(parse(text).unwrap().value, None, "{text:?}");
    }
}

#[test]
fn bombs_and_towers_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let previous = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{previous}]");
    }
    assert!(parse(&bomb).unwrap_err().message.contains("expand to more"));
    let flow = format!("a: {}", "[".repeat(5000));
    let block = (0..2000).fold(String::new(), |mut block, depth| {
        let _ = writeln!(block, "{}a:", " ".repeat(depth));
        block
    });
    assert!(parse(&flow).is_err());
    assert!(parse(&block).is_err());
    assert!(spots(&flow).is_none());
}
