//! Files that commands write: never half, keys for their owner alone.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

/// Makes a directory with its parents.
pub(in crate::cli) fn directory(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to make directory {}", dir.display()))
}

/// Writes a file that anybody may read.
pub(in crate::cli) fn public(file: &Path, text: &str) -> anyhow::Result<()> {
    write(file, text, 0o644)
}

/// Writes a file that only its owner may read.
pub(in crate::cli) fn private(file: &Path, text: &str) -> anyhow::Result<()> {
    write(file, text, 0o600)
}

/// A neighbour first, then a rename: a reader sees the old file or the new one, and the mode is
/// right from the first byte on.
fn write(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let failed = || format!("failed to write {}", file.display());
    let mut name = file.file_name().with_context(failed)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let next = file.with_file_name(name);
    let mut open = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&next)
        .with_context(failed)?;
    open.write_all(text.as_bytes())
        .and_then(|()| fs::rename(&next, file))
        .inspect_err(|_| _ = fs::remove_file(&next))
        .with_context(failed)
}
