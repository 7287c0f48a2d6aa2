//! The page of the audit in a real browser.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "page/fleets.rs"]
mod fleets;
#[path = "page/served.rs"]
mod served;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use raywarden::page::{Fleet, page, token};
use support::run::run;
use support::webhook::raywarden;

/// Long enough for a browser to be installed on a slow line.
const INSTALLED_WITHIN: Duration = Duration::from_mins(20);
const SOON: Duration = Duration::from_mins(4);

static CHROMIUM: LazyLock<String> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/chromium.sh");
    run(Command::new(script), "", INSTALLED_WITHIN).ok().trim().to_owned()
});

fn written(name: &str, html: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let file = folder.join(format!("{name}.html"));
    std::fs::write(&file, html).expect("a page can be written");
    file
}

/// Lets `tests/page/checks.py` look at a page.
#[track_caller]
fn check(name: &str, file: &Path) {
    check_with(name, file, "");
}

/// The same with something to read on standard input.
#[track_caller]
fn check_with(name: &str, page: impl AsRef<OsStr>, told: &str) {
    // One browser at a time: each takes every core that there is.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/checks.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(&*CHROMIUM).arg(name).arg(page.as_ref());
    run(command, told, SOON).ok();
}

fn fleet(name: &str, fleet: &Fleet) -> PathBuf {
    written(name, &page(fleet))
}

#[test]
fn filters_and_words_narrow_the_list_and_the_count_is_told() {
    check("filters", &fleet("filters", &fleets::fleet(230)));
}

#[test]
fn ten_thousand_clusters_are_searched_in_less_than_200_milliseconds() {
    check("speed", &fleet("10000", &fleets::fleet(10_000)));
}

#[test]
fn no_text_of_an_object_becomes_markup_or_script() {
    check("hostile", &fleet("hostile", &fleets::hostile()));
}

#[test]
fn everything_has_a_name_a_role_and_contrast_in_light_and_dark() {
    for (name, count) in [("some", 24), ("one", 1), ("none", 0)] {
        check("accessible", &fleet(name, &fleets::fleet(count)));
    }
    check(
        "accessible",
        &written("token", &token("Kubernetes does not know this token", "raywarden")),
    );
}

#[test]
fn the_keyboard_alone_is_enough() {
    check("keyboard", &fleet("keyboard", &fleets::fleet(230)));
}

#[test]
fn it_follows_the_system_in_dark_and_the_button_turns_it() {
    check("dark", &fleet("dark", &fleets::fleet(60)));
}

#[test]
fn it_fits_a_narrow_window_and_a_sheet_of_paper() {
    check("narrow", &fleet("narrow", &fleets::fleet(230)));
}

#[test]
fn one_cluster_is_shown_open_and_none_is_said_to_be_none() {
    check("single", &fleet("single", &fleets::fleet(1)));
    check("empty", &fleet("empty", &fleets::fleet(0)));
}

#[test]
fn an_audit_of_files_is_one_file_and_tells_what_the_other_forms_tell() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/review/mixed.yaml");
    let mut audit = raywarden();
    audit.args(["audit", "--output", "html", "-f"]).arg(files);
    let ran = run(audit, "", SOON);
    assert_eq!(ran.status.code(), Some(1), "{}", ran.report());
    check("files", &written("files", &ran.stdout));
}
