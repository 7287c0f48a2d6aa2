//! The stored objects that a review updates.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;

use super::super::manifest::{self, Piece};
use crate::admission::GroupKind;

/// Group, kind, namespace and name; namespaces that are not named are equal.
type Key = (String, String, String, String);

/// Objects by what they are.
#[derive(Debug, Default)]
pub(super) struct Stored(HashMap<Key, Value>);

impl Stored {
    /// Reads all files; the first thing that cannot be read is the error.
    pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut found = HashMap::new();
        let mut fault = None;
        manifest::read_all(files, &mut |piece| match piece {
            Piece::Ray(object) => {
                found.insert(key(&object.value), object.value);
            }
            Piece::Problem(problem) if problem.is_error() && fault.is_none() => {
                fault = Some(problem);
            }
            Piece::Review(_) | Piece::Policy(_) | Piece::Other | Piece::Problem(_) => {}
        });
        match fault {
            Some(problem) => Err(anyhow::anyhow!("--old {}", problem.line())),
            None if found.is_empty() && !files.is_empty() => {
                Err(anyhow::anyhow!("--old holds no object of a Ray kind"))
            }
            None => Ok(Self(found)),
        }
    }

    /// The stored object of that kind, namespace and name.
    pub(super) fn get(&self, object: &Value) -> Option<&Value> {
        self.0.get(&key(object))
    }
}

fn key(object: &Value) -> Key {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_owned();
    let metadata = |key| text(object.get("metadata").and_then(|metadata| metadata.get(key)));
    let GroupKind { group, kind, .. } = GroupKind::of(object);
    (group, kind, metadata("namespace"), metadata("name"))
}
