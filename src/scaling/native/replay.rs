//! The keys of requests that were done, on the object that they changed.
//!
//! A request with an `Idempotency-Key` is done once, whichever replica it meets and however often
//! that restarts: the patch that changes the cluster writes the key down too, as a hash in one
//! annotation. Input: the object, who asks, the key, the request. Output: whether it was done, and the
//! note to write. Invariants: at most [`MOST`] keys stand on a cluster, the oldest go; neither caller
//! nor key can be read back; the key of one caller is not that of another.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::model::{Edit, Pointer};
use crate::scaling::{Code, Fault};

/// The annotation.
pub const ANNOTATION: &str = "raywarden.io/scale-keys";

/// The most keys that are kept.
pub const MOST: usize = 8;

/// The key of a request, and the request, as they are written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    key: String,
    request: String,
}

impl Key {
    /// Of a caller's request; `parts` are all that it depends on.
    pub fn of(caller: &str, key: &str, parts: &[&[u8]]) -> Self {
        Self { key: digest(&[caller.as_bytes(), key.as_bytes()]), request: digest(parts) }
    }

    /// Whether it was done; a fault where the key stands for another request.
    pub fn was_done(&self, object: &Value) -> Result<bool, Fault> {
        match entries(object).find(|(key, _)| *key == self.key) {
            None => Ok(false),
            Some((_, request)) if request == self.request => Ok(true),
            Some(_) => Err(Fault::new(
                Code::KeyReused,
                "this Idempotency-Key was sent before with another request: take a new key for a new \
                 request",
            )),
        }
    }

    /// The note that it is done.
    pub fn note(&self, object: &Value) -> Edit {
        let mut kept: Vec<String> =
            entries(object).map(|(key, request)| format!("{key}:{request}")).collect();
        kept.push(format!("{}:{}", self.key, self.request));
        let first = kept.len().saturating_sub(MOST);
        let kept = kept.get(first..).unwrap_or_default();
        Edit::set(Pointer::of(["metadata", "annotations", ANNOTATION]), kept.join(" "))
    }
}

fn entries(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let text = Pointer::of(["metadata", "annotations", ANNOTATION]).get(object);
    let text = text.and_then(Value::as_str).unwrap_or("");
    text.split_ascii_whitespace().filter_map(|entry| entry.split_once(':'))
}

/// Sixteen digits, of parts that cannot run into one another.
fn digest(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let whole = format!("{:x}", digest.finalize());
    whole.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn noted(object: &Value, key: &Key) -> Value {
        let text = key.note(object).value.unwrap();
        json!({"metadata": {"annotations": {ANNOTATION: text}}})
    }

    #[test]
    fn a_request_that_was_done_is_known_again_and_another_under_its_key_is_refused() {
        let key = Key::of("ada", "k-1", &[b"demo", b"5"]);
        let object = noted(&json!({}), &key);
        assert_eq!(key.was_done(&json!({})), Ok(false));
        assert_eq!(key.was_done(&object), Ok(true));
        let other = Key::of("ada", "k-1", &[b"demo", b"6"]);
        assert_eq!(other.was_done(&object).unwrap_err().code, Code::KeyReused);
        for stranger in
            [Key::of("bob", "k-1", &[b"demo", b"5"]), Key::of("ad", "ak-1", &[b"demo", b"5"])]
        {
            assert_eq!(stranger.was_done(&object), Ok(false));
        }
    }

    #[test]
    fn the_oldest_key_goes_first() {
        let keys: Vec<Key> = (0..=MOST).map(|n| Key::of("ada", &n.to_string(), &[])).collect();
        let object = keys.iter().fold(json!({}), |object, key| noted(&object, key));
        assert_eq!(keys[0].was_done(&object), Ok(false));
        assert!(keys[1..].iter().all(|key| key.was_done(&object) == Ok(true)));
        assert!(object.to_string().len() < 500);
    }

    #[test]
    fn an_annotation_that_says_nonsense_holds_no_key() {
        let object = json!({"metadata": {"annotations": {ANNOTATION: "x :: \n a:b:c"}}});
        assert_eq!(Key::of("a", "b", &[]).was_done(&object), Ok(false));
    }
}
