//! Paths into files: a file is itself, a folder is its manifests, a glob is what it matches.
//!
//! Lazy: a tree of a hundred thousand files is never held as a list. Order is by name within each
//! folder, so that the same tree gives the same report.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::problem::Problem;

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is; `-` is standard input.
    pub(super) path: PathBuf,
    /// Named by the caller, so it has to be a manifest; otherwise it came with a folder.
    pub(super) named: bool,
}

/// The files below one path given by the caller.
pub(super) struct Walk {
    /// Entries still to be visited, the next one last.
    todo: Vec<PathBuf>,
    /// The folder that was given, until a file in it is found.
    empty: Option<PathBuf>,
}

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// What the caller's path stands for.
pub(super) enum Start {
    File(Found),
    Folder(Walk),
    Many(Vec<Self>),
    Nothing(Problem),
}

/// Looks at a path given by the caller.
pub(super) fn start(path: &Path) -> Start {
    if path == Path::new("-") {
        return Start::File(Found { path: path.to_owned(), named: true });
    }
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Start::Folder(Walk::new(path)),
        Ok(_) => Start::File(Found { path: path.to_owned(), named: true }),
        Err(_) if is_glob(path) => matches(path),
        Err(error) => Start::Nothing(missing(path, &error)),
    }
}

fn missing(path: &Path, error: &std::io::Error) -> Problem {
    let problem = Problem::error(path.display().to_string(), reason(error));
    if error.kind() == std::io::ErrorKind::NotFound {
        problem.help("check the path; `-` reads standard input")
    } else {
        problem
    }
}

/// A system's message without the number behind it.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or_default();
    let mut characters = plain.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

fn is_glob(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

fn matches(pattern: &Path) -> Start {
    let text = pattern.to_string_lossy();
    let options =
        glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::default() };
    let paths = match glob::glob_with(&text, options) {
        Ok(paths) => paths,
        Err(error) => {
            let message = format!("not a pattern: {}", error.msg);
            return Start::Nothing(Problem::error(text, message));
        }
    };
    let (folders, mut starts): (Vec<Start>, Vec<Start>) = paths
        .map(|path| match path {
            Ok(path) => start(&path),
            Err(error) => Start::Nothing(missing(error.path(), error.error())),
        })
        .partition(|start| matches!(start, Start::Folder(_)));
    // `**` matches a file and every folder above it, which would give the file several times.
    if starts.is_empty() {
        starts = folders;
    }
    if starts.is_empty() {
        return Start::Nothing(
            Problem::error(text, "the pattern matches no file")
                .help("`**` stands for any number of folders: 'clusters/**/*.yaml'"),
        );
    }
    Start::Many(starts)
}

impl Walk {
    fn new(folder: &Path) -> Self {
        Self { todo: vec![folder.to_owned()], empty: Some(folder.to_owned()) }
    }
}

impl Iterator for Walk {
    type Item = Result<Found, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(path) = self.todo.pop() {
            if path.is_dir() {
                match entries(&path) {
                    Ok(entries) => self.todo.extend(entries.into_iter().rev()),
                    Err(error) => {
                        self.empty = None;
                        let message = format!("cannot list the folder: {}", reason(&error));
                        return Some(Err(Problem::error(path.display().to_string(), message)));
                    }
                }
                continue;
            }
            self.empty = None;
            return Some(Ok(Found { path, named: false }));
        }
        let folder = self.empty.take()?;
        Some(Err(Problem::error(
            folder.display().to_string(),
            "no *.yaml, *.yml or *.json in this folder",
        )
        .help("name the files, or another folder; hidden folders are left out")))
    }
}

/// The folders and manifests of a folder, by name. Links to folders are left out: they can form a
/// ring.
fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_hidden(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type()?;
        let is_file = kind.is_file() || (kind.is_symlink() && path.is_file());
        if kind.is_dir() || (is_file && is_manifest(&path)) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

fn is_manifest(path: &Path) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|found| EXTENSIONS.iter().any(|each| found.eq_ignore_ascii_case(each)))
}
