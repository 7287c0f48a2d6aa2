//! `raywarden review` as a process: what it reads, what it says, how it ends.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::golden;
use support::run::{Ran, run};
use support::webhook::raywarden;

const SOON: Duration = Duration::from_secs(30);

/// Runs `raywarden review` in the folder of this test's data, so that reports name short paths.
fn review(arguments: &[&str], stdin: &str) -> Ran {
    let mut command = raywarden();
    command.arg("review").args(arguments).current_dir(data());
    run(command, stdin, SOON)
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/review")
}

fn code(ran: &Ran) -> i32 {
    ran.status.code().unwrap_or(-1)
}

/// A private folder that goes away with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("raywarden-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("made");
        std::fs::write(&path, bytes).expect("a file can be written");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_reports_are_what_people_and_machines_read() {
    for (form, golden) in [
        ("text", "report.txt"),
        ("json", "report.json"),
        ("sarif", "report.sarif"),
        ("junit", "report.xml"),
        ("admission", "report.jsonl"),
    ] {
        let ran = review(&["-f", "mixed.yaml", "-f", "good.json", "--output", form], "");
        assert_eq!(code(&ran), 1, "{}", ran.report());
        golden::compare(&format!("tests/golden/review/{golden}"), &ran.stdout);
    }
}

#[test]
fn the_json_report_has_the_promised_members() {
    let ran = review(&["mixed.yaml", "--output", "json"], "");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    for entry in report.as_array().expect("an array") {
        let mut keys: Vec<&str> =
            entry.as_object().expect("objects").keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "allowed",
                "auditAnnotations",
                "audited",
                "causes",
                "object",
                "operation",
                "patch",
                "source",
                "warnings"
            ]
        );
        for list in ["causes", "warnings"] {
            for line in entry[list].as_array().expect("lists") {
                assert!(line["field"].is_string() && line["message"].is_string());
                assert!(line["rule"].as_str().expect("a rule").contains('/'));
            }
        }
    }
}

#[test]
fn the_sarif_report_points_at_regions_that_exist() {
    let ran = review(&["mixed.yaml", "--output", "sarif"], "");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["version"], "2.1.0");
    let lines = std::fs::read_to_string(data().join("mixed.yaml")).expect("data").lines().count();
    let run = &report["runs"][0];
    let rules: Vec<&Value> =
        run["tool"]["driver"]["rules"].as_array().expect("rules").iter().collect();
    let results = run["results"].as_array().expect("results");
    assert!(!results.is_empty());
    for result in results {
        let region = &result["locations"][0]["physicalLocation"]["region"];
        let line = region["startLine"].as_u64().expect("a line");
        assert!(line >= 1 && usize::try_from(line).expect("small") <= lines);
        assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{result}");
    }
}

#[test]
fn what_cannot_be_reviewed_ends_with_2_and_names_file_and_line() {
    let folder = Folder::new("bad-input");
    let cluster = std::fs::read(data().join("good.json")).expect("data");
    let big =
        [b"apiVersion: v1\nkind: ConfigMap\ndata: {a: ".as_slice(), &vec![b'x'; 50 << 20], b"}\n"]
            .concat();
    let long = [b"kind: X\napiVersion: v1\ndata: ".as_slice(), &vec![b'y'; 5 << 20]].concat();
    std::fs::create_dir_all(folder.0.join("hollow")).expect("a folder can be made");
    let hollow = folder.0.join("hollow").display().to_string();
    let table: Vec<(String, Vec<&str>)> = vec![
        (folder.file("empty.yaml", b""), vec!["empty.yaml:1", "nothing in it"]),
        (
            folder.file("comments.yaml", b"# a\n---\n# b\n"),
            vec!["comments.yaml", "no object at all"],
        ),
        (folder.file("tabs.yaml", b"a:\n\tb: 1\n"), vec!["tabs.yaml:2", "not YAML"]),
        (
            folder.file("open.yaml", b"kind: RayCluster\nspec: {a: [1, 2\n"),
            vec!["open.yaml", "not YAML"],
        ),
        (
            folder.file("broken.json", b"{\"kind\": \"RayCluster\",\n \"spec\": ]}"),
            vec!["broken.json:2", "not"],
        ),
        (folder.file("binary.yaml", b"\x7fELF\x00\x01\xff\xfe"), vec!["binary.yaml:1", "not text"]),
        (folder.file("utf16.yaml", b"\xff\xfek\x00"), vec!["utf16.yaml", "UTF-16", "iconv"]),
        (folder.file("big.yaml", &big), vec!["big.yaml", "the limit is 16 MiB"]),
        (folder.file("long.yaml", &long), vec!["long.yaml:1", "the limit is 4 MiB"]),
        (
            folder.file("other.yaml", b"apiVersion: v1\nkind: Service\n"),
            vec!["other.yaml", "no object of a Ray kind (1 of other kinds)"],
        ),
        (folder.file("scalar.yaml", b"just text\n"), vec!["scalar.yaml:1", "no Kubernetes object"]),
        (folder.file("values.yaml", b"replicas: 3\n"), vec!["values.yaml:1", "no `kind`"]),
        (
            folder.file("kind.yaml", b"apiVersion: ray.io/v1\nkind: RayClutser\n"),
            vec!["kind.yaml:1", "kind: RayCluster"],
        ),
        (
            folder.file("group.yaml", b"apiVersion: ray.oi/v1\nkind: RayCluster\n"),
            vec!["group.yaml:1", "apiVersion: ray.io/v1"],
        ),
        (
            folder.file("version.yaml", b"apiVersion: ray.io/v2\nkind: RayCluster\n"),
            vec!["version.yaml:1", "ray.io/v1"],
        ),
        (
            folder.file("template.yaml", b"kind: RayCluster\nspec: {{ .Values.x }}\n"),
            vec!["template.yaml", "helm template"],
        ),
        (
            folder.file(
                "review.json",
                b"{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\"}",
            ),
            vec!["review.json:1", "request must be an object"],
        ),
        (folder.0.join("missing.yaml").display().to_string(), vec!["missing.yaml", "no such file"]),
        (hollow, vec!["hollow", "no"]),
        (folder.0.join("*.nothing").display().to_string(), vec!["*.nothing", "match"]),
    ];
    for (path, words) in &table {
        let ran = review(&["-f", path], "");
        assert_eq!(code(&ran), 2, "{}", ran.report());
        let said = ran.stderr.to_lowercase();
        for word in words {
            assert!(said.contains(&word.to_lowercase()), "no {word:?} in: {}", ran.report());
        }
        assert!(!ran.stderr.contains("panicked"), "{}", ran.report());
    }
    // What can be read is judged all the same, and the exit status stays 2.
    let good = folder.file("good.json", &cluster);
    let ran = review(&["-f", &good, "-f", &table[2].0, "--output", "json"], "");
    assert_eq!(code(&ran), 2, "{}", ran.report());
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report.as_array().map(Vec::len), Some(1));
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    for (arguments, word) in [
        (vec![], "nothing to review"),
        (vec!["-f", "good.json", "--output", "yaml"], "possible values: text, json"),
        (vec!["-f", "good.json", "--operation", "DELETE"], "expected CREATE or UPDATE"),
        (vec!["-f", "good.json", "--operation", "UPDATE"], "--old FILE"),
        (vec!["-f", "good.json", "--old", "missing.yaml"], "missing.yaml"),
        (vec!["-f", "mixed.yaml", "--old", "good.json"], "no stored object for RayCluster"),
        (vec!["-f", "good.json", "--node-manager", "nobody"], "possible values: auto, raywarden"),
    ] {
        let ran = review(&arguments, "");
        assert_eq!(code(&ran), 2, "{}", ran.report());
        assert!(ran.stderr.contains(word), "no {word:?} in: {}", ran.report());
    }
}

#[test]
fn standard_input_folders_and_globs_are_read_alike() {
    let text = std::fs::read_to_string(data().join("mixed.yaml")).expect("data");
    let summary = |ran: &Ran| ran.stdout.lines().last().unwrap_or_default().to_owned();
    let by_name = summary(&review(&["mixed.yaml"], ""));
    assert_eq!(summary(&review(&["-f", "-"], &text)), by_name);
    assert_eq!(summary(&review(&["-f", "mix*.yaml"], "")), by_name);
    let folder = Folder::new("folder");
    folder.file("deep/er/mixed.yml", text.as_bytes());
    folder.file(".hidden/mixed.yaml", text.as_bytes());
    folder.file("notes.txt", b"no manifest");
    assert_eq!(summary(&review(&[&folder.0.display().to_string()], "")), by_name);
}

#[test]
fn lines_are_right_with_crlf_tabs_anchors_and_lists() {
    let text = std::fs::read_to_string(data().join("mixed.yaml")).expect("data");
    let lines = |text: &str| -> Vec<String> {
        let ran = review(&["-f", "-", "--output", "sarif"], text);
        let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let results = report["runs"][0]["results"].as_array().cloned().unwrap_or_default();
        results
            .iter()
            .map(|result| {
                let region = &result["locations"][0]["physicalLocation"]["region"];
                format!("{} {}:{}", result["ruleId"], region["startLine"], region["startColumn"])
            })
            .collect()
    };
    let plain = lines(&text);
    assert!(plain.len() > 4, "{plain:?}");
    assert_eq!(lines(&text.replace('\n', "\r\n")), plain);
    assert_eq!(lines(&format!("\u{feff}{text}")), plain);
}

#[test]
fn an_update_is_judged_against_the_stored_object() {
    let ran = review(&["-f", "update.yaml", "--old", "stored.yaml"], "");
    assert_eq!(code(&ran), 0, "{}", ran.report());
    assert!(ran.stdout.contains("lowered from 4 to 1 by hand"), "{}", ran.report());
    let account = "system:serviceaccount:default:lab";
    let ran = review(&["-f", "update.yaml", "--old", "stored.yaml", "--user", account], "");
    assert!(ran.stdout.contains("0 warnings"), "{}", ran.report());
}

#[test]
fn audit_mode_says_what_it_would_do_and_admits() {
    let ran = review(&["mixed.yaml", "--mode", "audit"], "");
    assert_eq!(code(&ran), 0, "{}", ran.report());
    assert!(ran.stdout.contains("would deny: "), "{}", ran.report());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut many = String::new();
    let one = std::fs::read_to_string(data().join("mixed.yaml")).expect("data");
    for _ in 0..400 {
        many.push_str(&one);
        many.push_str("---\n");
    }
    let folder = Folder::new("pipe");
    let path = folder.file("many.yaml", many.as_bytes());
    let line = "\"$0\" review -f \"$1\" | head -n 1; exit \"${PIPESTATUS[0]}\"".to_string();
    let mut command = Command::new("bash");
    command.args(["-c", &line]).arg(env!("CARGO_BIN_EXE_raywarden")).arg(path);
    command.stdin(Stdio::null());
    let ran = run(command, "", SOON);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("pipe"), "{}", ran.report());
}

#[test]
fn colour_is_for_terminals_or_for_those_who_ask() {
    assert!(!review(&["mixed.yaml"], "").stdout.contains('\u{1b}'));
    assert!(review(&["mixed.yaml", "--color", "always"], "").stdout.contains("\u{1b}[1;31m"));
}

#[test]
fn quiet_says_what_is_denied_and_nothing_else() {
    let ran = review(&["mixed.yaml", "good.json", "--quiet"], "");
    assert!(ran.stdout.contains("denied[") && !ran.stdout.contains("warning["), "{}", ran.report());
}
