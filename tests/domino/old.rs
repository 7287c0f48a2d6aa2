//! Answers of the services that Domino's users have today, as recorded: status, kind and body.

use serde_json::Value;

use super::support::request::Answer;

fn recorded(status: u16, kind: &str, body: &str) -> Answer {
    let headers = vec![("content-type".to_owned(), kind.to_owned())];
    Answer { status, headers, body: body.to_owned() }
}

/// An unhandled error.
pub(crate) fn html(status: u16) -> Answer {
    recorded(
        status,
        "text/html; charset=utf-8",
        "<!doctype html>\n<title>500 Internal Server Error</title>",
    )
}

/// A handled error of the first generation.
pub(crate) fn text(status: u16, words: &str) -> Answer {
    recorded(status, "text/html; charset=utf-8", words)
}

/// An answer of the second generation, or a success of the first.
pub(crate) fn json(status: u16, body: &Value) -> Answer {
    recorded(status, "application/json", &body.to_string())
}

/// What a test wants of an answer.
pub(crate) type Check<'a> = &'a dyn Fn(&Answer) -> bool;

/// The answer is as wanted, and the recorded one is not.
#[track_caller]
pub(crate) fn mended(answer: &Answer, old: &Answer, check: Check<'_>) {
    assert!(check(answer), "not as wanted: {answer:?}");
    assert!(!check(old), "the old service's answer would do: {old:?}");
}

/// A refusal with this status and code, as JSON that nobody caches.
pub(crate) fn refuses(answer: &Answer, status: u16, code: &str) -> bool {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
    answer.status == status
        && answer.header("content-type") == Some("application/json")
        && answer.header("cache-control") == Some("no-store")
        && body["error"] == code
        && body["message"].as_str().is_some_and(|words| !words.is_empty())
        && body["request_id"].as_str() == answer.header("x-request-id")
}
