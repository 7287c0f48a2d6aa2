//! Reads what a request asks for.
//!
//! Input: body, query and headers as they came. Output: what is meant by them. Strictly: what is not
//! known is refused and named, because a mistyped word that is ignored is a scale that nobody asked for.

use serde_json::Value;

use crate::dialect::{DOMINO, RAY};
use crate::model::names::{MAX_LABEL, is_dns_1123};
use crate::scaling::request::{name, quoted};
use crate::scaling::{Code, Fault};

/// The longest that a request may wait for workers, in seconds.
pub const MOST_WAIT: u32 = 600;

/// How long it waits where nothing is said.
pub const USUAL_WAIT: u32 = 60;

/// The most clusters on a page.
pub const MOST_ON_A_PAGE: u32 = 500;

/// Clusters on a page where nothing is said.
pub const USUAL_PAGE: u32 = 100;

/// The longest `Idempotency-Key`.
const MOST_KEY: usize = 128;

/// The longest mark of a page; those of the API server grow with names.
const MOST_MARK: usize = 4096;

/// The most workers that are named at once.
const MOST_VICTIMS: usize = 1000;

/// A wanted count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The worker group; `None` where the cluster has but one.
    pub group: Option<String>,
    /// Replicas, 0 or more.
    pub replicas: i32,
    /// Pods that shall go, by name.
    pub victims: Vec<String>,
}

/// What the query says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The API group; `None` where any will do.
    pub group: Option<&'static str>,
    /// For how many seconds the answer waits for workers.
    pub wait: Option<u32>,
    /// Nothing is stored.
    pub dry_run: bool,
    /// Clusters on a page.
    pub limit: Option<u32>,
    /// Where the page begins.
    pub mark: Option<String>,
}

/// Namespace and name, as the API server takes them.
pub fn place<'a>(namespace: &'a str, cluster: &'a str) -> Result<(&'a str, &'a str), Fault> {
    Ok((self::namespace(namespace)?, name(cluster)?))
}

/// A namespace.
pub fn namespace(text: &str) -> Result<&str, Fault> {
    if text.len() <= MAX_LABEL && is_dns_1123(text) {
        return Ok(text);
    }
    let found = quoted(&Value::from(text));
    Err(Fault::bad(format!(
        "{found} cannot be a namespace: expected lower-case letters, digits and '-'"
    )))
}

/// The body of a scale.
pub fn wanted(body: &[u8]) -> Result<Wanted, Fault> {
    let expected = "expected a JSON object such as {\"group\": \"small-group\", \"replicas\": 5}";
    let once: Once = serde_json::from_slice(body)
        .map_err(|error| Fault::bad(format!("the body cannot be read ({error}); {expected}")))?;
    let mut wanted = Wanted { group: None, replicas: -1, victims: Vec::new() };
    for (key, value) in once.0 {
        match key.as_str() {
            "replicas" => wanted.replicas = replicas(&value)?,
            "group" => wanted.group = group(value)?,
            "workersToDelete" => wanted.victims = victims(value)?,
            _ => {
                return Err(Fault::bad(format!(
                    "{} is no field of a scale; group, replicas and workersToDelete are",
                    quoted(&Value::from(key))
                )));
            }
        }
    }
    if wanted.replicas < 0 {
        return Err(Fault::bad("replicas is missing; say how many, such as 5"));
    }
    Ok(wanted)
}

/// The members of an object, none of them twice.
struct Once(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Once {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Once;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if members.iter().any(|(other, _)| *other == key) {
                        return Err(serde::de::Error::custom(format!("{key:?} is there twice")));
                    }
                    members.push((key, value));
                }
                Ok(Once(members))
            }
        }
        from.deserialize_map(Members)
    }
}

fn replicas(value: &Value) -> Result<i32, Fault> {
    let wrong = || {
        let found = quoted(value);
        Fault::bad(format!("replicas is {found}; expected a whole number of 0 or more, such as 5"))
    };
    let number = value.as_i64().ok_or_else(wrong)?;
    i32::try_from(number).ok().filter(|count| *count >= 0).ok_or_else(wrong)
}

fn group(value: Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(name) if !name.is_empty() => Ok(Some(name)),
        other => Err(Fault::bad(format!(
            "group is {}; expected the name of a worker group, such as \"small-group\"",
            quoted(&other)
        ))),
    }
}

fn victims(value: Value) -> Result<Vec<String>, Fault> {
    let wrong = |found: &Value| {
        Fault::bad(format!(
            "workersToDelete has {}; expected a list of Pod names, such as [\"demo-worker-x7k2p\"]",
            quoted(found)
        ))
    };
    let Value::Array(items) = value else { return Err(wrong(&value)) };
    if items.len() > MOST_VICTIMS {
        return Err(Fault::bad(format!(
            "workersToDelete names {}; at most {MOST_VICTIMS} at once",
            items.len()
        )));
    }
    let mut names: Vec<String> = Vec::new();
    for item in items {
        match item.as_str() {
            Some(pod) if name(pod).is_ok() => names.push(pod.to_owned()),
            _ => return Err(wrong(&item)),
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

impl Query {
    /// Reads a query; `known` are the parameters that the endpoint takes.
    pub fn of(query: Option<&str>, known: &[&str]) -> Result<Self, Fault> {
        let mut read = Self::default();
        let mut timeout = None;
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
            if !known.contains(&key.as_ref()) {
                return Err(Fault::bad(format!(
                    "{} is no parameter here; {} are",
                    quoted(&Value::from(&*key)),
                    known.join(", ")
                )));
            }
            if seen.iter().any(|other| *other == key) {
                return Err(Fault::bad(format!("{key} is there twice; send it once")));
            }
            match key.as_ref() {
                "apiGroup" => read.group = Some(api_group(&value)?),
                "wait" => read.wait = waits(&value)?.then_some(USUAL_WAIT),
                "timeoutSeconds" => timeout = Some(number(&key, &value, MOST_WAIT)?),
                "dryRun" => read.dry_run = dry_run(&value)?,
                "limit" => read.limit = Some(number(&key, &value, MOST_ON_A_PAGE)?),
                _ => read.mark = mark(&value)?,
            }
            seen.push(key.into_owned());
        }
        match (timeout, read.wait) {
            (Some(_), None) => Err(Fault::bad("timeoutSeconds goes with wait=joined")),
            (Some(seconds), Some(_)) => Ok(Self { wait: Some(seconds), ..read }),
            (None, _) => Ok(read),
        }
    }
}

fn wrong(key: &str, value: &str, allowed: &str) -> Fault {
    Fault::bad(format!("{key} is {}; expected {allowed}", quoted(&Value::from(value))))
}

fn api_group(value: &str) -> Result<&'static str, Fault> {
    let found = [RAY, DOMINO].into_iter().find(|group| *group == value);
    found.ok_or_else(|| wrong("apiGroup", value, &format!("{RAY} or {DOMINO}")))
}

fn waits(value: &str) -> Result<bool, Fault> {
    if value == "joined" { Ok(true) } else { Err(wrong("wait", value, "joined")) }
}

fn dry_run(value: &str) -> Result<bool, Fault> {
    if value == "All" { Ok(true) } else { Err(wrong("dryRun", value, "All")) }
}

fn number(key: &str, value: &str, most: u32) -> Result<u32, Fault> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits && (1..=most).contains(number));
    number.ok_or_else(|| wrong(key, value, &format!("a whole number from 1 to {most}")))
}

fn mark(value: &str) -> Result<Option<String>, Fault> {
    if value.len() > MOST_MARK {
        return Err(Fault::bad("continue is none of ours: send what the page before answered"));
    }
    Ok(Some(value.to_owned()).filter(|mark| !mark.is_empty()))
}

/// The key under which a request is done once, from every value of `Idempotency-Key`.
pub fn key(values: &[&[u8]]) -> Result<Option<String>, Fault> {
    let [value] = values else {
        return match values {
            [] => Ok(None),
            _ => Err(Fault::bad("Idempotency-Key is there twice; send it once")),
        };
    };
    let sound = (1..=MOST_KEY).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(value) {
        Ok(key) if sound => Ok(Some(key.to_owned())),
        _ => Err(Fault::bad(format!(
            "Idempotency-Key has to be 1 to {MOST_KEY} visible ASCII characters, such as a UUID"
        ))),
    }
}

/// That a body says it is JSON, or nothing.
pub fn is_json(values: &[&[u8]]) -> Result<(), Fault> {
    let good = |value: &&[u8]| {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"application/json")
            || kind.eq_ignore_ascii_case(b"application/merge-patch+json")
    };
    if values.iter().all(good) {
        return Ok(());
    }
    Err(Fault::new(
        Code::UnsupportedMedia,
        "the body is taken as Content-Type: application/json alone",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        let fault = wanted(body.as_bytes()).unwrap_err();
        assert_eq!(fault.code, Code::BadRequest);
        fault.message
    }

    #[test]
    fn a_scale_is_read() {
        let body = br#"{"replicas": 2, "group": "gpu", "workersToDelete": ["b", "a", "b"]}"#;
        let victims = vec!["a".to_owned(), "b".to_owned()];
        let group = Some("gpu".to_owned());
        assert_eq!(wanted(body), Ok(Wanted { group, replicas: 2, victims }));
        assert_eq!(wanted(b"{\"replicas\":0}").unwrap().replicas, 0);
    }

    #[test]
    fn what_is_not_known_is_named_and_refused() {
        assert!(refused(r#"{"replica": 5}"#).contains("\"replica\" is no field"));
        assert!(refused(r#"{"group": "a"}"#).contains("replicas is missing"));
        assert!(refused(r#"{"replicas": 1, "replicas": 2}"#).contains("there twice"));
        for body in ["", "[]", "5", "null", "\"a\"", "{", "{\"replicas\":5}x"] {
            assert!(refused(body).contains("cannot be read"), "{body}");
        }
        for count in ["-1", "2.5", "5.0", "\"5\"", "true", "null", "3000000000", "[5]", "1e2"] {
            assert!(refused(&format!("{{\"replicas\":{count}}}")).starts_with("replicas is"));
        }
        for group in ["\"\"", "5", "[]"] {
            let body = format!("{{\"replicas\":1,\"group\":{group}}}");
            assert!(refused(&body).starts_with("group is"), "{group}");
        }
        for pods in ["\"a\"", "[5]", "[\"\"]", "[\"A_b\"]", "{}"] {
            let body = format!("{{\"replicas\":1,\"workersToDelete\":{pods}}}");
            assert!(refused(&body).starts_with("workersToDelete has"), "{pods}");
        }
    }

    #[test]
    fn a_query_is_read_strictly() {
        let known = ["apiGroup", "wait", "timeoutSeconds", "limit", "continue", "dryRun"];
        let of = |query: &str| Query::of(Some(query), &known);
        let read = of("wait=joined&timeoutSeconds=90&apiGroup=ray.io").unwrap();
        assert_eq!((read.wait, read.group), (Some(90), Some(RAY)));
        assert_eq!(of("wait=joined").unwrap().wait, Some(USUAL_WAIT));
        assert_eq!(of("limit=5&continue=a%2Fb").unwrap().mark.as_deref(), Some("a/b"));
        assert!(of("dryRun=All").unwrap().dry_run);
        for query in [
            "wait=ready",
            "wait=",
            "timeoutSeconds=5",
            "wait=joined&timeoutSeconds=0",
            "wait=joined&timeoutSeconds=601",
            "wait=joined&timeoutSeconds=%2B5",
            "limit=0",
            "limit=501",
            "limit=x",
            "apiGroup=apps",
            "force=1",
            "limit=1&limit=2",
            "dryRun=true",
        ] {
            assert_eq!(of(query).unwrap_err().code, Code::BadRequest, "{query}");
        }
        assert!(Query::of(Some("limit=1"), &["wait"]).is_err());
    }

    #[test]
    fn a_key_is_one_word_that_can_be_seen() {
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&[b"a-1"]), Ok(Some("a-1".to_owned())));
        let long = [b'a'; MOST_KEY + 1];
        for values in [&[&b""[..]][..], &[b"a b"], &[b"a\xff"], &[b"a", b"a"], &[&long]] {
            assert_eq!(key(values).unwrap_err().code, Code::BadRequest);
        }
    }
}
