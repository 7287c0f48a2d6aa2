//! Who asks, by what the identity service says, and whether they may.
//!
//! Input: status and body of Domino's principal endpoint. Output: a [`Principal`], or why there is none.
//! Invariants: somebody anonymous, without an id, or of whom it is not said that they are not anonymous
//! is nobody, admin or not; an answer that cannot be read is an outage and never a stranger.

use serde_json::Value;

use super::{Code, Fault};
use crate::model::names::is_label_value;

/// The label that says whose cluster it is.
pub const OWNER: &str = "dominodatalab.com/starting-user-id";

/// Somebody whom Domino knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The id in Domino; a label value, never empty.
    pub id: String,
    /// The name, for the audit log alone.
    pub name: String,
    /// Whether everything may be acted on.
    pub admin: bool,
}

impl Principal {
    /// Reads the answer.
    pub fn read(status: u16, body: &[u8]) -> Result<Self, Fault> {
        match status {
            200 => Self::parse(body),
            401 | 403 => Err(stranger()),
            300..=399 => Err(broken("answered with a redirect, which is not followed")),
            429 => Err(broken("turns requests away at the moment")),
            other => Err(broken(&format!("answered {other}"))),
        }
    }

    fn parse(body: &[u8]) -> Result<Self, Fault> {
        let said: Value = serde_json::from_slice(body)
            .map_err(|_| broken("answered with something that is not JSON"))?;
        let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or("");
        match said.get("isAnonymous").and_then(Value::as_bool) {
            Some(false) => {}
            Some(true) => return Err(stranger()),
            None => return Err(broken("did not say whether the caller is anonymous")),
        }
        let id = text("canonicalId");
        if id.is_empty() || !is_label_value(id) {
            return Err(broken("named a caller without a usable id"));
        }
        let admin = said.get("isAdmin").and_then(Value::as_bool) == Some(true);
        Ok(Self { id: id.to_owned(), name: text("canonicalName").to_owned(), admin })
    }

    /// Whether this object, as a cluster, may be seen and changed.
    pub fn may(&self, object: &Value) -> bool {
        self.admin || owner(object).is_some_and(|owner| owner == self.id)
    }
}

/// Whose the object is; an absent or empty label is nobody's.
pub fn owner(object: &Value) -> Option<&str> {
    let labels = object.get("metadata")?.get("labels")?;
    labels.get(OWNER)?.as_str().filter(|owner| !owner.is_empty())
}

fn stranger() -> Fault {
    Fault::new(
        Code::Unauthenticated,
        "Domino does not know this credential: get a fresh token from \
         http://localhost:8899/access-token, or a valid API key",
    )
}

fn broken(what: &str) -> Fault {
    Fault::unavailable(format!("Domino's identity service {what}; try again in a moment"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(said: &Value) -> Result<Principal, Code> {
        Principal::read(200, said.to_string().as_bytes()).map_err(|fault| fault.code)
    }

    #[test]
    fn somebody_known_is_read() {
        let said = json!({"isAnonymous": false, "isAdmin": true, "canonicalId": "5d1c", "canonicalName": "ada", "x": 1});
        let ada = Principal { id: "5d1c".to_owned(), name: "ada".to_owned(), admin: true };
        assert_eq!(read(&said), Ok(ada));
        let nameless =
            read(&json!({"isAnonymous": false, "isAdmin": false, "canonicalId": "5d1c"}));
        assert!(nameless.is_ok_and(|it| it.name.is_empty() && !it.admin));
    }

    #[test]
    fn an_anonymous_principal_is_nobody_admin_or_not() {
        for admin in [true, false] {
            let said = json!({"isAnonymous": true, "isAdmin": admin, "canonicalId": "5d1c"});
            assert_eq!(read(&said), Err(Code::Unauthenticated));
        }
        assert_eq!(Principal::read(401, b"").map_err(|it| it.code), Err(Code::Unauthenticated));
        assert_eq!(
            Principal::read(403, b"<html>").map_err(|it| it.code),
            Err(Code::Unauthenticated)
        );
    }

    #[test]
    fn an_answer_that_cannot_be_believed_is_an_outage() {
        for said in [
            json!({"isAdmin": true, "canonicalId": "5d1c"}),
            json!({"isAnonymous": "false", "isAdmin": true, "canonicalId": "5d1c"}),
            json!({"isAnonymous": false, "isAdmin": true, "canonicalId": ""}),
            json!({"isAnonymous": false, "isAdmin": true, "canonicalId": null}),
            json!({"isAnonymous": false, "isAdmin": true, "canonicalId": "a,b!=c"}),
            json!([]),
            json!(null),
        ] {
            assert_eq!(read(&said), Err(Code::Unavailable), "{said}");
        }
        for status in [204, 302, 404, 429, 500, 502, 503] {
            let good = br#"{"isAnonymous":false,"isAdmin":true,"canonicalId":"5d1c"}"#;
            assert_eq!(Principal::read(status, good).unwrap_err().code, Code::Unavailable);
        }
        assert_eq!(Principal::read(200, b"<html>").unwrap_err().code, Code::Unavailable);
    }

    #[test]
    fn admin_counts_only_where_it_is_said_as_such() {
        for admin in [json!("true"), json!(1), json!(null), json!({})] {
            let said = json!({"isAnonymous": false, "isAdmin": admin, "canonicalId": "5d1c"});
            assert!(read(&said).is_ok_and(|it| !it.admin), "{said}");
        }
    }

    #[test]
    fn a_cluster_without_an_owner_belongs_to_nobody_but_admins() {
        let ada = Principal { id: "5d1c".to_owned(), name: String::new(), admin: false };
        let admin = Principal { admin: true, ..ada.clone() };
        let nobody = Principal { id: String::new(), ..ada.clone() };
        let labelled = |labels: Value| json!({"metadata": {"labels": labels}});
        assert!(ada.may(&labelled(json!({OWNER: "5d1c"}))));
        for object in [
            labelled(json!({OWNER: ""})),
            labelled(json!({OWNER: "other"})),
            labelled(json!({})),
            labelled(json!(null)),
            json!({"metadata": {}}),
            json!({}),
        ] {
            assert!(!ada.may(&object) && !nobody.may(&object), "{object}");
            assert!(admin.may(&object), "{object}");
        }
    }
}
