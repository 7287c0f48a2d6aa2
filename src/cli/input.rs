//! Paths, folders, globs and standard input, read one file at a time.
//!
//! Input: what the caller named. Output: [`Source`]s and [`Problem`]s in a stable order. Nothing is
//! held but the file at hand; a file over [`FILE_LIMIT`] is not even opened.

mod split;
mod walk;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::problem::Problem;
pub(super) use split::Share;
use walk::{Found, reason};

/// Bytes of one file.
pub(super) const FILE_LIMIT: usize = 16 * 1024 * 1024;

/// Bytes of one document; the API server takes 3 MiB.
pub(super) const DOCUMENT_LIMIT: usize = 4 * 1024 * 1024;

/// The text of one file.
#[derive(Debug)]
pub(super) struct Source {
    /// As the caller would name it; `-` for standard input.
    pub(super) name: String,
    /// What is in it.
    pub(super) text: String,
    /// Named by the caller, so it has to be a manifest.
    pub(super) named: bool,
}

impl Source {
    /// Its documents.
    pub(super) fn shares(&self) -> impl Iterator<Item = Share> + '_ {
        split::split(&self.text)
    }
}

/// The files of all paths, one after the other.
pub(super) struct Inputs {
    /// Still to be visited, the next one last.
    todo: Vec<walk::Start>,
}

impl Inputs {
    /// What the caller named, in that order.
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        Self { todo: paths.iter().rev().map(|path| walk::start(path)).collect() }
    }

    fn next_file(&mut self) -> Option<Result<Found, Problem>> {
        loop {
            match self.todo.pop()? {
                walk::Start::File(found) => return Some(Ok(found)),
                walk::Start::Nothing(problem) => return Some(Err(problem)),
                walk::Start::Many(starts) => self.todo.extend(starts.into_iter().rev()),
                walk::Start::Folder(mut walk) => {
                    if let Some(found) = walk.next() {
                        self.todo.push(walk::Start::Folder(walk));
                        return Some(found);
                    }
                }
            }
        }
    }
}

impl Iterator for Inputs {
    type Item = Result<Source, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_file()?.and_then(|found| read(&found)))
    }
}

fn read(found: &Found) -> Result<Source, Problem> {
    let name = found.path.display().to_string();
    let bytes = if found.path == Path::new("-") {
        bounded(io::stdin().lock(), 0)
    } else {
        File::open(&found.path).and_then(|file| {
            let length = file.metadata()?.len();
            bounded(file, length)
        })
    };
    let bytes = bytes
        .map_err(|error| Problem::error(&name, format!("cannot be read: {}", reason(&error))))?;
    let bytes = bytes.map_err(|length| too_big(&name, length))?;
    let text = text(&name, bytes)?;
    Ok(Source { name, text, named: found.named })
}

/// All bytes, or the length that is too much.
fn bounded(mut from: impl Read, length: u64) -> io::Result<Result<Vec<u8>, u64>> {
    let limit = FILE_LIMIT as u64;
    if length > limit {
        return Ok(Err(length));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    from.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
    Ok(if bytes.len() > FILE_LIMIT { Err(bytes.len() as u64) } else { Ok(bytes) })
}

fn too_big(name: &str, length: u64) -> Problem {
    let limit = FILE_LIMIT as u64;
    let size = if length > limit + 1 {
        format!("{} MiB", length.div_ceil(1024 * 1024))
    } else {
        "more than 16 MiB".to_owned()
    };
    Problem::error(name, format!("{size}; the limit is 16 MiB for a file and 4 MiB for a document"))
        .help("split it into several files")
}

fn text(name: &str, bytes: Vec<u8>) -> Result<String, Problem> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::error(name, "UTF-16 text; kubectl reads UTF-8")
            .help(format!("iconv -f UTF-16 -t UTF-8 {name}")));
    }
    let not_text = |line: usize| {
        Problem::error(name, "not text, so it is no manifest")
            .at_line(line)
            .help("name YAML or JSON files")
    };
    let line = |upto: &[u8]| upto.split(|byte| *byte == b'\n').count();
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        not_text(line(error.as_bytes().get(..valid).unwrap_or_default()))
    })?;
    if let Some(at) = text.find('\0') {
        return Err(not_text(line(text.get(..at).unwrap_or_default().as_bytes())));
    }
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
