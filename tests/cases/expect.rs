//! What a step expects of an answer, and what every answer must satisfy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Asks for the answer to a request.
type Ask<'a> = &'a dyn Fn(&Value) -> Value;

/// What is wrong with the answer to `review`.
pub(crate) fn faults(ask: Ask<'_>, review: &Value, expect: &Value) -> Vec<String> {
    let answer = ask(review);
    let response = &answer["response"];
    let request = &review["request"];
    let mut faults = form(response, request);
    let patched = match patched(&request["object"], response) {
        Ok(patched) => patched,
        Err(fault) => {
            faults.push(fault);
            return faults;
        }
    };
    faults.extend(second_pass(ask, review, response, &patched));
    faults.extend(missed(expect, response, &request["object"], &patched));
    faults
}

fn form(response: &Value, request: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if response["uid"] != request["uid"] {
        faults.push("another uid".to_owned());
    }
    if response.get("patch").is_some() != response.get("patchType").is_some() {
        faults.push("patch and patchType do not go together".to_owned());
    }
    let warnings = texts(&response["warnings"]);
    if warnings.len() > 10 {
        faults.push(format!("{} warnings", warnings.len()));
    }
    for warning in warnings {
        if warning.len() > 256 || !warning.chars().all(|c| (' '..='~').contains(&c)) {
            faults.push(format!("a warning that the API server would cut: {warning}"));
        }
    }
    faults
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn operations(response: &Value) -> Vec<Value> {
    let Some(text) = response["patch"].as_str() else {
        return Vec::new();
    };
    let bytes = STANDARD.decode(text).expect("a patch is base64");
    serde_json::from_slice(&bytes).expect("a patch is a list of operations")
}

/// The object after the patch, by a library that is not ours.
pub(crate) fn patched(object: &Value, response: &Value) -> Result<Value, String> {
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(operations(response)))
        .map_err(|error| format!("no RFC 6902 patch: {error}"))?;
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).map_err(|error| format!("does not apply: {error}"))?;
    Ok(object)
}

fn second_pass(ask: Ask<'_>, review: &Value, first: &Value, patched: &Value) -> Vec<String> {
    if operations(first).is_empty() {
        return Vec::new();
    }
    let mut again = review.clone();
    again["request"]["object"] = patched.clone();
    let answer = ask(&again);
    let second = &answer["response"];
    let mut faults = Vec::new();
    let left = operations(second);
    if !left.is_empty() {
        faults.push(format!("second pass still patches {left:?}"));
    }
    if second["allowed"] != first["allowed"] {
        faults.push("second pass has another verdict".to_owned());
    }
    faults
}

fn missed(expect: &Value, response: &Value, sent: &Value, patched: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let status = &response["status"];
    let warnings = texts(&response["warnings"]);
    let message = status["message"].as_str().unwrap_or("");
    for (key, wanted) in expect.as_object().into_iter().flatten() {
        let fault = match key.as_str() {
            "allowed" => (response["allowed"] != *wanted)
                .then(|| format!("allowed is {}: {message}", response["allowed"])),
            "code" => (status["code"] != *wanted).then(|| format!("code is {}", status["code"])),
            "causes" => causes(wanted, status),
            "messageContains" => texts(wanted)
                .iter()
                .find(|text| !message.contains(**text))
                .map(|text| format!("no {text:?} in {message:?}")),
            "warnings" => texts(wanted)
                .iter()
                .find(|text| !warnings.iter().any(|warning| warning.contains(**text)))
                .map(|text| format!("no warning with {text:?} in {warnings:?}")),
            "noWarnings" => (!warnings.is_empty()).then(|| format!("warnings {warnings:?}")),
            "emptyPatch" => {
                let left = operations(response);
                (!left.is_empty()).then(|| format!("patches {left:?}"))
            }
            "patchPathsMatch" => wandering(wanted, response),
            "patched" => wanted.as_object().into_iter().flatten().find_map(|(at, value)| {
                let found = patched.pointer(at);
                (found != Some(value)).then(|| format!("{at} is {found:?}, not {value}"))
            }),
            "unchanged" => texts(wanted)
                .iter()
                .find(|at| sent.pointer(at) != patched.pointer(at))
                .map(|at| format!("{at} changed to {:?}", patched.pointer(at))),
            "absent" => texts(wanted)
                .iter()
                .find(|at| patched.pointer(at).is_some())
                .map(|at| format!("{at} is there")),
            "anyOf" => any_of(wanted, response, sent, patched),
            other => Some(format!("unknown expectation {other:?}")),
        };
        faults.extend(fault);
    }
    faults
}

fn causes(wanted: &Value, status: &Value) -> Option<String> {
    let list = status["details"]["causes"].as_array();
    let mut found: Vec<&str> =
        list.into_iter().flatten().filter_map(|cause| cause["field"].as_str()).collect();
    let mut wanted = texts(wanted);
    for list in [&mut found, &mut wanted] {
        list.sort_unstable();
        list.dedup();
    }
    (found != wanted).then(|| format!("causes are {found:?}, not {wanted:?}"))
}

/// The patterns of the cases are a prefix, perhaps closed by `$` or `(/|$)`.
fn wandering(pattern: &Value, response: &Value) -> Option<String> {
    let pattern = pattern.as_str().expect("a pattern is text").trim_start_matches('^');
    let fits = |path: &str| {
        if let Some(folder) = pattern.strip_suffix("(/|$)") {
            path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        } else if let Some(exact) = pattern.strip_suffix('$') {
            path == exact
        } else {
            path.starts_with(pattern)
        }
    };
    operations(response)
        .iter()
        .filter_map(|op| op["path"].as_str())
        .find(|path| !fits(path))
        .map(|path| format!("patches {path}, outside {pattern}"))
}

fn any_of(wanted: &Value, response: &Value, sent: &Value, patched: &Value) -> Option<String> {
    let all: Vec<Vec<String>> = wanted
        .as_array()
        .into_iter()
        .flatten()
        .map(|each| missed(each, response, sent, patched))
        .collect();
    (!all.iter().any(Vec::is_empty)).then(|| format!("none of the alternatives: {all:?}"))
}
