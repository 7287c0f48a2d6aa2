//! What a scalar means under go-yaml v2.
//!
//! Input: text, quoting and tag. Output: a [`Meaning`]. The order of the questions is go-yaml's
//! `resolve`: a word of the list, then an integer in Go's notation, then a decimal float.

use super::float;

/// A scalar as it stands in the text, escapes and line folding undone.
pub(super) struct Scalar<'a> {
    /// Its characters.
    pub(super) text: &'a str,
    /// Neither quoted nor a block.
    pub(super) plain: bool,
    /// `int` for `!!int`; a tag of any other vocabulary as it is.
    pub(super) tag: Option<Tag>,
}

/// An explicit tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// `!!name`.
    Core(&'static str),
    /// Anything else; go-yaml keeps the text.
    Foreign,
}

/// What a scalar means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `yes`, `on`, `y` and their opposites.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above 2^63 - 1.
    Big(u64),
    /// A fraction, or a whole number too big for the others.
    Float(f64),
    /// Itself.
    Text,
    /// `!!binary`, decoded.
    Bytes(String),
}

impl Scalar<'_> {
    /// The only scalar that makes a key a merge key.
    pub(super) fn is_merge(&self) -> bool {
        self.text == "<<" && (self.plain || self.tag == Some(Tag::Core("merge")))
    }

    /// What it means, or why kubectl refuses it.
    pub(super) fn meaning(&self) -> Result<Meaning, String> {
        match self.tag {
            None if !self.plain => Ok(Meaning::Text),
            None => finite(resolve(self.text), self.text),
            Some(Tag::Foreign | Tag::Core("str" | "timestamp")) => Ok(Meaning::Text),
            Some(Tag::Core("binary")) => decode(self.text),
            Some(Tag::Core(tag)) => finite(self.tagged(tag)?, self.text),
        }
    }

    fn tagged(&self, tag: &str) -> Result<Meaning, String> {
        match (tag, resolve(self.text)) {
            ("null", Meaning::Null) => Ok(Meaning::Null),
            ("bool", meaning @ Meaning::Bool(_))
            | ("int", meaning @ (Meaning::Int(_) | Meaning::Big(_)))
            | ("float", meaning @ (Meaning::Float(_) | Meaning::Int(_))) => Ok(meaning),
            ("null" | "bool" | "int" | "float", _) => {
                Err(format!("`{}` is not of type !!{tag}", self.text))
            }
            _ => Ok(Meaning::Text),
        }
    }
}

/// JSON has no infinity, so kubectl cannot send one.
fn finite(meaning: Meaning, text: &str) -> Result<Meaning, String> {
    match meaning {
        Meaning::Float(number) if !number.is_finite() => {
            Err(format!("`{text}` has no form in JSON; put it in quotes if it is text"))
        }
        other => Ok(other),
    }
}

fn decode(text: &str) -> Result<Meaning, String> {
    use base64::Engine as _;
    let packed = text.replace(['\n', '\r'], "");
    base64::engine::general_purpose::STANDARD
        .decode(packed)
        .map(|bytes| Meaning::Bytes(String::from_utf8_lossy(&bytes).into_owned()))
        .map_err(|_| "the value of !!binary is not base64".to_owned())
}

/// Meaning of a plain scalar. Most begin with a letter that no word and no number begins with.
fn resolve(text: &str) -> Meaning {
    match text.as_bytes().first() {
        None => Meaning::Null,
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => {
            word(text).unwrap_or(Meaning::Text)
        }
        Some(b'.') => {
            word(text).or_else(|| float::go(text).map(Meaning::Float)).unwrap_or(Meaning::Text)
        }
        Some(b'0'..=b'9' | b'+' | b'-') => {
            word(text).or_else(|| number(text)).unwrap_or(Meaning::Text)
        }
        Some(_) => Meaning::Text,
    }
}

fn word(text: &str) -> Option<Meaning> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Meaning::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Meaning::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Meaning::Null,
        ".nan" | ".NaN" | ".NAN" => Meaning::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Meaning::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Meaning::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str) -> Option<Meaning> {
    let joined;
    let plain = if text.contains('_') {
        joined = text.replace('_', "");
        joined.as_str()
    } else {
        text
    };
    integer(plain).or_else(|| float::decimal(plain).map(Meaning::Float))
}

/// Go's `ParseInt(text, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Option<Meaning> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("", text.get(1..)?),
        _ => ("", text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    // `from_str_radix` takes a sign of its own, which Go would refuse here.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    if sign.is_empty() {
        return i64::from_str_radix(digits, radix)
            .map(Meaning::Int)
            .or_else(|_| u64::from_str_radix(digits, radix).map(Meaning::Big))
            .ok();
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).map(Meaning::Int).ok()
}
