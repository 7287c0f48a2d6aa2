//! Whole files that users or machines read, kept beside the tests and compared to the byte.

use std::path::PathBuf;

/// Compares `actual` with the golden file `name`; with `UPDATE_GOLDEN=1` writes it instead.
pub(crate) fn compare(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("the folder can be made");
        std::fs::write(&path, actual).expect("the file can be written");
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    if wanted == actual {
        return;
    }
    let first = wanted.lines().zip(actual.lines()).position(|(left, right)| left != right);
    let line = first.unwrap_or_else(|| wanted.lines().count().min(actual.lines().count()));
    panic!(
        "{name} differs first at line {}:\n  file: {:?}\n  now:  {:?}\nUPDATE_GOLDEN=1 rewrites it",
        line + 1,
        wanted.lines().nth(line),
        actual.lines().nth(line),
    );
}
