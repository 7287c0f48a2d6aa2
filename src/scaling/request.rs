//! Reads what a request asks for.
//!
//! Strictly: a count is a whole number and nothing that looks like one, a body is one JSON object that
//! names nothing twice. Fields that are not ours are left alone: clients of several generations send
//! them, and today they do nothing.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Code, Fault};
use crate::model::names::is_dns_1123;

/// The longest name of a cluster.
const MAX_NAME: usize = 253;

/// How much of a wrong value is quoted.
const QUOTED: usize = 40;

/// A wanted count, and the tier that it shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Workers, 1 or more.
    pub replicas: i32,
    /// A hardware tier by name.
    pub tier: Option<String>,
}

/// A member that tells absent from null.
#[derive(Debug, Default)]
struct Member(Option<Value>);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(|value| Self(Some(value)))
    }
}

/// Every member that means something somewhere.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    cluster_name: Member,
    replicas: Member,
    worker_hw_tier_name: Member,
    head_hw_tier_name: Member,
}

/// `cluster_name` and `replicas` of the documented route.
pub fn documented(body: &[u8]) -> Result<(String, i32), Fault> {
    let body = read(body)?;
    let name = named(&body)?;
    Ok((name, count(&body.replicas)?))
}

/// `cluster_name` alone.
pub fn cluster_name(body: &[u8]) -> Result<String, Fault> {
    named(&read(body)?)
}

/// `replicas` and `worker_hw_tier_name`; the name stands in the path.
pub fn scale(body: &[u8]) -> Result<Scale, Fault> {
    let body = read(body)?;
    Ok(Scale {
        replicas: count(&body.replicas)?,
        tier: tier(&body.worker_hw_tier_name, "worker_hw_tier_name")?,
    })
}

/// `head_hw_tier_name` of a body that need not be there.
pub fn restart(body: &[u8]) -> Result<Option<String>, Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    tier(&read(body)?.head_hw_tier_name, "head_hw_tier_name")
}

/// A name that can stand in a path of the API server.
pub fn name(text: &str) -> Result<&str, Fault> {
    if text.len() <= MAX_NAME && text.split('.').all(is_dns_1123) {
        return Ok(text);
    }
    let found = quoted(&Value::from(text));
    Err(Fault::bad(format!(
        "{found} cannot be the name of a cluster: expected lower-case letters, digits, '-' and '.', \
         such as ray-655cb2de368ad4624b1e7d7b"
    )))
}

/// A point in time; an empty one is none.
pub fn started_at(text: Option<&str>) -> Result<Option<Timestamp>, Fault> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    // A `+` of an offset that nobody escaped arrives as a space.
    let escaped = text.replace(' ', "+");
    // Without an offset it is UTC: Python's `isoformat` leaves it out.
    escaped.parse().or_else(|_| format!("{escaped}Z").parse()).map(Some).map_err(|_| {
        let found = quoted(&Value::from(text));
        Fault::bad(format!(
            "started_at is {found}; expected a time as in ISO 8601, such as 2025-10-02T09:30:00Z"
        ))
    })
}

fn read(body: &[u8]) -> Result<Body, Fault> {
    let expected =
        "expected a JSON object such as {\"cluster_name\": \"ray-...\", \"replicas\": 5}";
    // An array would be taken for the members in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Fault::bad(format!("the body is no JSON object; {expected}")));
    }
    serde_json::from_slice(body)
        .map_err(|error| Fault::bad(format!("the body cannot be read ({error}); {expected}")))
}

fn named(body: &Body) -> Result<String, Fault> {
    match &body.cluster_name.0 {
        Some(Value::String(text)) => name(text).map(str::to_owned),
        None => Err(Fault::bad("cluster_name is missing; name the cluster, such as \"ray-...\"")),
        Some(other) => {
            Err(Fault::bad(format!("cluster_name is {}; expected a string", quoted(other))))
        }
    }
}

fn count(replicas: &Member) -> Result<i32, Fault> {
    let Some(found) = &replicas.0 else {
        return Err(Fault::bad("replicas is missing; say how many workers, such as 5"));
    };
    let wrong = |allowed: &str| {
        Fault::bad(format!("replicas is {}; expected {allowed}, such as 5", quoted(found)))
    };
    let number = found.as_i64().ok_or_else(|| wrong("a whole number"))?;
    match i32::try_from(number) {
        Ok(0) => Err(Fault::new(
            Code::ZeroWorkers,
            "replicas is 0; 1 or more is allowed: with no workers the autoscaler of this cluster is \
             switched off and does not bring them back. Scale to 1, or stop the cluster in Domino to \
             suspend it",
        )),
        Ok(count @ 1..) => Ok(count),
        _ => Err(wrong("1 or more, and no more than fits")),
    }
}

fn tier(member: &Member, field: &str) -> Result<Option<String>, Fault> {
    match &member.0 {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone()).filter(|name| !name.is_empty())),
        Some(other) => Err(Fault::bad(format!(
            "{field} is {}; expected the name of a hardware tier",
            quoted(other)
        ))),
    }
}

/// A wrong value as it is quoted: the beginning of it.
pub(super) fn quoted(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused_and_never_scales_to_nothing(
            body in "\\PC{0,80}",
            count in any::<i64>(),
        ) {
            let _ = (documented(body.as_bytes()), scale(body.as_bytes()), restart(body.as_bytes()));
            let body = format!(r#"{{"cluster_name":"a","replicas":{count}}}"#);
            match documented(body.as_bytes()) {
                Ok((_, read)) => prop_assert!(read >= 1 && i64::from(read) == count),
                Err(fault) => prop_assert!(count < 1 || count > i64::from(i32::MAX), "{}", fault),
            }
        }
    }

    fn refusal(body: &str) -> (Code, String) {
        let fault = documented(body.as_bytes()).unwrap_err();
        (fault.code, fault.message)
    }

    #[test]
    fn the_documented_body_is_read() {
        let body = br#" {"cluster_name": "ray-655c", "replicas": 5, "worker_hw_tier": "Small"}"#;
        assert_eq!(documented(body), Ok(("ray-655c".to_owned(), 5)));
    }

    #[test]
    fn a_count_is_a_whole_number_and_nothing_that_looks_like_one() {
        for count in ["true", "2.5", "5.0", "\"4\"", "null", "[5]", "-1", "1e2", "3000000000"] {
            let (code, words) = refusal(&format!(r#"{{"cluster_name":"a","replicas":{count}}}"#));
            assert_eq!(code, Code::BadRequest, "{count}");
            assert!(words.starts_with("replicas is "), "{words}");
        }
    }

    #[test]
    fn zero_workers_are_refused_with_the_way_out() {
        let (code, words) = refusal(r#"{"cluster_name":"a","replicas":0}"#);
        assert_eq!((code, code.status()), (Code::ZeroWorkers, 422));
        assert!(words.contains("1 or more") && words.contains("suspend"), "{words}");
    }

    #[test]
    fn a_body_is_one_object_that_names_nothing_twice() {
        for body in [
            "",
            " ",
            "[]",
            "[\"a\", 5]",
            "5",
            "\"a\"",
            "null",
            "{",
            "{}{}",
            r#"{"cluster_name":"a","replicas":5} x"#,
            r#"{"cluster_name":"a","replicas":5,"replicas":6}"#,
        ] {
            assert_eq!(refusal(body).0, Code::BadRequest, "{body}");
            assert_eq!(scale(body.as_bytes()).unwrap_err().code, Code::BadRequest, "{body}");
        }
    }

    #[test]
    fn a_name_that_could_lead_elsewhere_is_no_name() {
        for text in
            ["", "../pods/x", "a/b", "a?b", "A", "a_b", "-a", "a.", "a%2fb", &"a".repeat(254)]
        {
            assert!(name(text).is_err(), "{text}");
        }
        assert_eq!(name("ray-655c.x"), Ok("ray-655c.x"));
        assert!(refusal(r#"{"cluster_name": 5, "replicas": 5}"#).1.contains("expected a string"));
    }

    #[test]
    fn an_empty_tier_is_none_and_the_field_of_old_clients_is_not_read() {
        let tier_of = |body: &str| scale(body.as_bytes()).map(|scale| scale.tier);
        assert_eq!(tier_of(r#"{"replicas":1,"worker_hw_tier_name":""}"#), Ok(None));
        assert_eq!(tier_of(r#"{"replicas":1,"worker_hw_tier_id":"Small"}"#), Ok(None));
        let named = tier_of(r#"{"replicas":1,"worker_hw_tier_name":"Small"}"#);
        assert_eq!(named, Ok(Some("Small".to_owned())));
        assert!(tier_of(r#"{"replicas":1,"worker_hw_tier_name":{}}"#).is_err());
        assert_eq!(restart(b" "), Ok(None));
        assert_eq!(restart(br#"{"head_hw_tier_name":"x"}"#), Ok(Some("x".to_owned())));
        assert!(restart(b"head").is_err());
    }

    #[test]
    fn a_time_is_read_as_clients_write_it() {
        for text in [
            "2025-10-02T09:30:00Z",
            "2025-10-02T09:30:00",
            "2025-10-02T11:30:00 02:00",
            "2025-10-02T11:30:00+02:00",
        ] {
            let at = started_at(Some(text)).unwrap().unwrap();
            assert_eq!(at.to_string(), "2025-10-02T09:30:00Z");
        }
        assert_eq!(started_at(Some("")), Ok(None));
        assert_eq!(started_at(None), Ok(None));
        assert!(started_at(Some("yesterday")).is_err());
    }

    #[test]
    fn what_is_quoted_is_short() {
        let words =
            refusal(&format!(r#"{{"cluster_name":"a","replicas":"{}"}}"#, "x".repeat(9000)));
        assert!(words.1.len() < 200);
    }
}
