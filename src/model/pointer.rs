//! Where something is: one value, two spellings.
//!
//! A [`Pointer`] is a JSON pointer (RFC 6901) for patches and a field path for people, as the API
//! server writes them: `spec.workerGroupSpecs[0].rayStartParams[num-cpus]`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde_json::Value;

/// One step into a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Token {
    /// A member of an object.
    Key(Cow<'static, str>),
    /// An element of an array.
    Index(usize),
}

impl From<&'static str> for Token {
    fn from(key: &'static str) -> Self {
        Self::Key(Cow::Borrowed(key))
    }
}

impl From<String> for Token {
    fn from(key: String) -> Self {
        Self::Key(Cow::Owned(key))
    }
}

impl From<usize> for Token {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A place in a JSON document; the empty pointer is the document itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(Vec<Token>);

/// Fields whose members are entries of a map, written in brackets.
const MAPS: [&str; 12] = [
    "annotations",
    "data",
    "headServiceAnnotations",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "options",
    "rayStartParams",
    "requests",
    "selector",
    "resources",
];

/// Members of a container's `resources`, which is a struct; a worker group's `resources` is a map.
const RESOURCE_FIELDS: [&str; 3] = ["claims", "limits", "requests"];

impl Pointer {
    /// The document itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// A pointer below the root, one token a step.
    pub fn of<T: Into<Token>>(tokens: impl IntoIterator<Item = T>) -> Self {
        Self(tokens.into_iter().map(Into::into).collect())
    }

    /// This place, one step further.
    #[must_use]
    pub fn at(&self, token: impl Into<Token>) -> Self {
        let mut tokens = Vec::with_capacity(self.0.len() + 1);
        tokens.extend_from_slice(&self.0);
        tokens.push(token.into());
        Self(tokens)
    }

    /// This place, several named members further.
    #[must_use]
    pub fn join(&self, keys: &[&'static str]) -> Self {
        let mut tokens = Vec::with_capacity(self.0.len() + keys.len());
        tokens.extend_from_slice(&self.0);
        tokens.extend(keys.iter().map(|key| Token::from(*key)));
        Self(tokens)
    }

    /// Steps from the root.
    pub fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// The place that holds this one, and the last step; `None` at the root.
    pub fn split_last(&self) -> Option<(Self, &Token)> {
        let (last, parent) = self.0.split_last()?;
        Some((Self(parent.to_vec()), last))
    }

    /// The steps from `base` to here; `None` when this place does not lie below `base`.
    pub fn below(&self, base: &Self) -> Option<&[Token]> {
        self.0.strip_prefix(base.0.as_slice())
    }

    /// The same place with the steps of `base` replaced by those of `other`.
    #[must_use]
    pub fn rebased(&self, base: &Self, other: &Self) -> Option<Self> {
        let rest = self.below(base)?;
        Some(Self(other.0.iter().chain(rest).cloned().collect()))
    }

    /// The value at this place.
    pub fn get<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(document, step)
    }

    /// The entries of the list at this place; none where there is no list.
    pub fn list<'a>(&self, document: &'a Value) -> &'a [Value] {
        self.get(document).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The value at this place, to be changed.
    pub fn get_mut<'a>(&self, document: &'a mut Value) -> Option<&'a mut Value> {
        self.0.iter().try_fold(document, |node, token| match (node, token) {
            (Value::Object(map), Token::Key(key)) => map.get_mut(key.as_ref()),
            (Value::Array(list), Token::Index(index)) => list.get_mut(*index),
            _ => None,
        })
    }

    /// The JSON pointer (RFC 6901) of this place, `~` and `/` escaped.
    pub fn to_json_pointer(&self) -> String {
        let mut out = String::new();
        for token in &self.0 {
            out.push('/');
            match token {
                Token::Key(key) => out.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Token::Index(index) => {
                    let _ = write!(out, "{index}");
                }
            }
        }
        out
    }
}

fn step<'a>(node: &'a Value, token: &Token) -> Option<&'a Value> {
    match (node, token) {
        (Value::Object(map), Token::Key(key)) => map.get(key.as_ref()),
        (Value::Array(list), Token::Index(index)) => list.get(*index),
        _ => None,
    }
}

impl fmt::Display for Pointer {
    /// The field path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut previous = "";
        for (position, token) in self.0.iter().enumerate() {
            match token {
                Token::Index(index) => write!(f, "[{index}]")?,
                Token::Key(key) if is_entry(previous, key) => write!(f, "[{key}]")?,
                Token::Key(key) if position == 0 => f.write_str(key)?,
                Token::Key(key) => write!(f, ".{key}")?,
            }
            previous = match token {
                Token::Key(key) => key,
                Token::Index(_) => "",
            };
        }
        Ok(())
    }
}

fn is_entry(parent: &str, key: &str) -> bool {
    let field_of_resources = parent == "resources" && RESOURCE_FIELDS.contains(&key);
    let plain =
        key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$') && !key.is_empty();
    (MAPS.contains(&parent) && !field_of_resources) || !plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_path_puts_map_entries_in_brackets() {
        let group = Pointer::of(["spec", "workerGroupSpecs"]).at(0);
        assert_eq!(
            group.join(&["rayStartParams", "port"]).to_string(),
            "spec.workerGroupSpecs[0].rayStartParams[port]"
        );
        assert_eq!(
            group.join(&["resources", "CPU"]).to_string(),
            "spec.workerGroupSpecs[0].resources[CPU]"
        );
        assert_eq!(
            Pointer::of(["resources", "limits", "cpu"]).to_string(),
            "resources.limits[cpu]"
        );
        assert_eq!(
            Pointer::of(["metadata", "annotations", "a/b~c"]).to_string(),
            "metadata.annotations[a/b~c]"
        );
    }

    #[test]
    fn a_json_pointer_escapes_tilde_before_slash() {
        let pointer = Pointer::of(["metadata", "annotations", "a/b~c"]);
        assert_eq!(pointer.to_json_pointer(), "/metadata/annotations/a~1b~0c");
        assert_eq!(Pointer::root().to_json_pointer(), "");
    }

    #[test]
    fn a_place_that_is_not_there_gives_nothing() {
        let document = json!({"a": [1, {"b": 2}]});
        assert_eq!(Pointer::of(["a"]).at(1).at("b").get(&document), Some(&json!(2)));
        assert_eq!(Pointer::of(["a"]).at(2).get(&document), None);
        assert_eq!(Pointer::of(["a", "b"]).get(&document), None);
    }

    #[test]
    fn a_place_can_be_moved_to_the_parent_that_embeds_it() {
        let child = Pointer::of(["spec", "workerGroupSpecs"]).at(1);
        let base = Pointer::of(["spec"]);
        let parent = Pointer::of(["spec", "rayClusterSpec"]);
        assert_eq!(
            child.rebased(&base, &parent).map(|p| p.to_string()).as_deref(),
            Some("spec.rayClusterSpec.workerGroupSpecs[1]")
        );
        assert_eq!(child.rebased(&parent, &base), None);
    }
}
