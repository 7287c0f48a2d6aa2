//! The token of `RAY_AUTH_MODE=token`.
//!
//! Invariant: nothing prints it; it leaves only as a header that is marked sensitive.

use std::fmt;

use hyper::header::HeaderValue;

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that cannot stand in a header. It is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Ray token is empty or has characters that cannot stand in a header")]
pub struct BadToken;

impl Token {
    /// Takes a token as a file or a Secret holds it: white space around it is none of it.
    pub fn new(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadToken);
        }
        Ok(Self(text.to_owned()))
    }

    /// `Bearer <token>`, marked so that nothing that logs headers shows it.
    pub fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_without_the_line_end_of_its_file_and_never_shown() {
        let token = Token::new("s3cret\n").unwrap();
        assert_eq!(token, Token::new("s3cret").unwrap());
        assert!(!format!("{token:?} {:?}", token.header()).contains("s3cret"));
        for bad in ["", "\n", "a b", "a\nb", "\u{e9}"] {
            assert_eq!(Token::new(bad), Err(BadToken));
        }
    }
}
