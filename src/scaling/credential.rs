//! The one credential of a request.
//!
//! Input: the headers `Authorization` and `X-Domino-Api-Key`. Output: what is forwarded verbatim, a key
//! before a token. Invariants: nothing prints it; what the Kubernetes cluster itself issued is refused,
//! because whoever receives it could use it there.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Code, Fault};

/// The header of a key.
pub const KEY_HEADER: &str = "x-domino-api-key";

/// The header of a token.
pub const TOKEN_HEADER: &str = "authorization";

/// The longest credential; tokens with many groups in them have some thousands of characters.
const MAX_LENGTH: usize = 16 * 1024;

/// A token of the Kubernetes cluster for an audience; the only thing that is sent to its API server.
pub fn token_for(audience: &str, tokens: &[&[u8]]) -> Result<String, Fault> {
    let how =
        format!("send `Authorization: Bearer $(kubectl create token NAME --audience {audience})`");
    let whole = single(tokens, "Authorization")?;
    let whole = whole.ok_or_else(|| unauthenticated(&format!("no credential: {how}")))?;
    let token = bearer(whole)?;
    let claims = claims(token);
    let named = match claims.as_ref().and_then(|claims| claims.get("aud")) {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|it| it == audience),
        _ => false,
    };
    if named {
        return Ok(token.to_owned());
    }
    Err(unauthenticated(&format!(
        "this token is not for the audience {audience}, so it is not passed on: {how}"
    )))
}

/// What a caller proves its identity with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    header: &'static str,
    value: String,
}

impl Credential {
    /// The credential of a request, from every value of the two headers.
    pub fn of(keys: &[&[u8]], tokens: &[&[u8]]) -> Result<Self, Fault> {
        let key = single(keys, "X-Domino-Api-Key")?;
        let (header, value, secret) = if let Some(key) = key {
            (KEY_HEADER, key, key)
        } else {
            let whole = single(tokens, "Authorization")?.ok_or_else(|| {
                unauthenticated(
                    "no credential: send `Authorization: Bearer TOKEN`, with the token from \
                     http://localhost:8899/access-token, or `X-Domino-Api-Key: KEY`",
                )
            })?;
            (TOKEN_HEADER, whole, bearer(whole)?)
        };
        if is_of_kubernetes(secret) {
            return Err(Fault::new(
                Code::KubernetesToken,
                "this token was issued by the Kubernetes cluster, so it is not passed on to Domino: \
                 send the token from http://localhost:8899/access-token",
            ));
        }
        Ok(Self { header, value: value.to_owned() })
    }

    /// The header under which it goes out, and its value.
    pub fn header(&self) -> (&'static str, &str) {
        (self.header, &self.value)
    }

    /// What it is known by where it must not be kept.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.header);
        digest.update([0]);
        digest.update(&self.value);
        digest.finalize().into()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("header", &self.header).finish_non_exhaustive()
    }
}

fn unauthenticated(message: &str) -> Fault {
    Fault::new(Code::Unauthenticated, message)
}

/// The only value that is not empty.
fn single<'a>(values: &[&'a [u8]], header: &str) -> Result<Option<&'a str>, Fault> {
    let mut present = values.iter().map(|value| value.trim_ascii()).filter(|it| !it.is_empty());
    let Some(value) = present.next() else { return Ok(None) };
    if present.next().is_some() {
        return Err(unauthenticated(&format!("{header} is there twice; send it once")));
    }
    if value.len() > MAX_LENGTH {
        return Err(unauthenticated(&format!("{header} is longer than any credential")));
    }
    let printable = value.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    match std::str::from_utf8(value) {
        Ok(text) if printable => Ok(Some(text)),
        _ => Err(unauthenticated(&format!("{header} has characters that no credential has"))),
    }
}

fn bearer(value: &str) -> Result<&str, Fault> {
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let token = token.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ') {
        return Ok(token);
    }
    Err(unauthenticated("Authorization is no bearer token: send `Authorization: Bearer TOKEN`"))
}

/// Whether a token says of itself that it is a service account's. Its signature does not matter: a
/// forged one is no token of Domino's either.
fn is_of_kubernetes(token: &str) -> bool {
    claims(token).is_some_and(|claims| {
        let text = |key: &str| claims.get(key).and_then(Value::as_str).unwrap_or("");
        text("sub").starts_with("system:serviceaccount:")
            || text("iss") == "kubernetes/serviceaccount"
            || claims.get("kubernetes.io").is_some()
    })
}

/// What a token says of itself; nothing of it is believed.
fn claims(token: &str) -> Option<Value> {
    let part = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn code(keys: &[&[u8]], tokens: &[&[u8]]) -> Code {
        Credential::of(keys, tokens).unwrap_err().code
    }

    #[test]
    fn a_key_goes_before_a_token_and_both_go_verbatim() {
        let both = Credential::of(&[b"k3y"], &[b"Bearer t0ken"]).unwrap();
        assert_eq!(both.header(), (KEY_HEADER, "k3y"));
        let token = Credential::of(&[b""], &[b"bearer t0ken"]).unwrap();
        assert_eq!(token.header(), (TOKEN_HEADER, "bearer t0ken"));
        assert_ne!(both.digest(), token.digest());
    }

    #[test]
    fn what_is_no_single_credential_is_refused() {
        assert_eq!(code(&[], &[]), Code::Unauthenticated);
        assert_eq!(code(&[b"a", b"b"], &[]), Code::Unauthenticated);
        assert_eq!(code(&[&vec![b'x'; MAX_LENGTH + 1]], &[]), Code::Unauthenticated);
        for bad in ["Basic dXNlcg==", "Bearer", "Bearer  ", "Bearer a b", "t0ken", "Bearer \u{e9}"]
        {
            assert_eq!(code(&[], &[bad.as_bytes()]), Code::Unauthenticated, "{bad}");
        }
    }

    #[test]
    fn a_token_of_the_kubernetes_cluster_is_refused_as_such() {
        for claims in [
            serde_json::json!({"sub": "system:serviceaccount:a:b"}),
            serde_json::json!({"iss": "kubernetes/serviceaccount"}),
            serde_json::json!({"iss": "https://kubernetes.default.svc", "kubernetes.io": {}}),
        ] {
            let token = token(&claims);
            assert_eq!(code(&[], &[format!("Bearer {token}").as_bytes()]), Code::KubernetesToken);
            assert_eq!(code(&[token.as_bytes()], &[]), Code::KubernetesToken);
        }
        let domino =
            format!("Bearer {}", token(&serde_json::json!({"sub": "5d1c", "iss": "keycloak"})));
        assert!(Credential::of(&[], &[domino.as_bytes()]).is_ok());
    }

    #[test]
    fn only_a_token_for_the_audience_goes_to_the_api_server() {
        let of = |claims: Value| {
            let header = format!("Bearer {}", token(&claims));
            token_for("raywarden", &[header.as_bytes()])
        };
        assert!(of(serde_json::json!({"aud": ["a", "raywarden"]})).is_ok());
        assert!(of(serde_json::json!({"aud": "raywarden"})).is_ok());
        for claims in [
            serde_json::json!({"aud": ["https://kubernetes.default.svc"]}),
            serde_json::json!({"aud": "raywarden2"}),
            serde_json::json!({"sub": "5d1c", "iss": "keycloak"}),
            serde_json::json!(["raywarden"]),
        ] {
            let fault = of(claims).unwrap_err();
            assert_eq!(fault.code, Code::Unauthenticated);
            assert!(fault.message.contains("--audience raywarden"), "{fault}");
        }
        for header in ["Bearer opaque", "Basic raywarden", "Bearer a.raywarden.b"] {
            assert!(token_for("raywarden", &[header.as_bytes()]).is_err(), "{header}");
        }
        assert!(token_for("raywarden", &[]).is_err());
    }

    #[test]
    fn nothing_prints_it() {
        let credential = Credential::of(&[b"k3y-s3cret"], &[]).unwrap();
        assert!(!format!("{credential:?}").contains("s3cret"));
        let fault = Credential::of(&[], &[b"Basic s3cret"]).unwrap_err();
        assert!(!format!("{fault:?}").contains("s3cret"));
    }
}
