//! The OpenAPI 3.1 document, made of the table of endpoints and the forms of the answers.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::endpoint::{ENDPOINTS, Endpoint, Operation};
use super::request::{MOST_ON_A_PAGE, MOST_WAIT, USUAL_PAGE, USUAL_WAIT};
use super::view::{ClusterList, ClusterState, Problem, ScaleRequest, ScaleResult, slug};
use crate::dialect::{DOMINO, RAY};
use crate::scaling::Code;

#[derive(OpenApi)]
#[openapi(components(schemas(ClusterList, ClusterState, Problem, ScaleRequest, ScaleResult)))]
struct Forms;

/// The document, as text.
pub static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

const ABOUT: &str = "Reads and scales Ray clusters of `ray.io` and of Domino, and says when their workers \
have really joined Ray.\n\nA caller sends a token of Kubernetes for this audience (`kubectl create token \
NAME --audience raywarden`) and may do here what RBAC lets them do on rayclusters: get and list to read, \
patch to scale. Every change is judged by the installation's rules as the caller's own.\n\nErrors are \
application/problem+json with a `code` that stays.";

/// The document.
pub fn document() -> Value {
    let schemas = serde_json::to_value(Forms::openapi()).unwrap_or_default();
    let schemas = schemas.pointer("/components/schemas").cloned().unwrap_or_default();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in ENDPOINTS {
        let entry = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        put(entry, &endpoint.method.to_lowercase(), operation(&endpoint));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "raywarden scaling API", "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}, "description": ABOUT,
        },
        "security": [{"kubernetes": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"kubernetes": {
                "type": "http", "scheme": "bearer",
                "description": "A token of Kubernetes for the audience that the installation names",
            }},
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let operation = endpoint.operation;
    let mut described = json!({
        "operationId": operation.as_str(),
        "summary": endpoint.summary,
        "parameters": parameters(endpoint),
        "responses": responses(operation),
    });
    if operation.is_open() {
        put(&mut described, "security", json!([]));
    }
    if operation == Operation::Scale {
        let body = json!({
            "required": true,
            "content": {"application/json": {"schema": reference("ScaleRequest")}},
        });
        put(&mut described, "requestBody", body);
    }
    described
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

/// The parameters of a query that an operation takes.
pub const fn query(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::List => &["apiGroup", "limit", "continue"],
        Operation::Get | Operation::GetScale => &["apiGroup", "wait", "timeoutSeconds"],
        Operation::Scale => &["apiGroup", "wait", "timeoutSeconds", "dryRun"],
        Operation::Document | Operation::Health | Operation::Ready => &[],
    }
}

fn parameters(endpoint: &Endpoint) -> Value {
    let in_path = ["namespace", "name"]
        .into_iter()
        .filter(|name| endpoint.path.contains(&format!("{{{name}}}")));
    let in_path = in_path.map(
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
    );
    let in_query = query(endpoint.operation).iter().map(|name| {
        let (about, schema) = parameter(name);
        json!({"name": name, "in": "query", "description": about, "schema": schema})
    });
    let mut all: Vec<Value> = in_path.chain(in_query).collect();
    if endpoint.operation == Operation::Scale {
        all.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "A request with the key of an earlier one is not done again; the cluster holds \
                            the last eight keys",
            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
        }));
    }
    all.into()
}

fn parameter(name: &str) -> (&'static str, Value) {
    match name {
        "apiGroup" => (
            "The API group of the cluster; both are looked at without it",
            json!({"type": "string", "enum": [RAY, DOMINO]}),
        ),
        "wait" => (
            "Answer when every worker has joined Ray; with Accept: text/event-stream tell of the progress \
             as events `progress`, and of the end as `joined` or `timeout`",
            json!({"type": "string", "enum": ["joined"]}),
        ),
        "timeoutSeconds" => (
            "The longest wait; 202 with the state of the moment where it passes",
            json!({"type": "integer", "minimum": 1, "maximum": MOST_WAIT, "default": USUAL_WAIT}),
        ),
        "dryRun" => (
            "Judge by all rules and by the API server, and store nothing",
            json!({"type": "string", "enum": ["All"]}),
        ),
        "limit" => (
            "The most clusters of a page",
            json!({"type": "integer", "minimum": 1, "maximum": MOST_ON_A_PAGE, "default": USUAL_PAGE}),
        ),
        _ => ("What the page before answered", json!({"type": "string"})),
    }
}

fn reference(form: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{form}")})
}

fn responses(operation: Operation) -> Value {
    let answer = |about: &str, form: &str| json!({"description": about, "content": {"application/json": {"schema": reference(form)}}});
    let plain = |about: &str| json!({"description": about, "content": {"application/json": {"schema": {"type": "object"}}}});
    let mut all = match operation {
        Operation::List => json!({"200": answer("A page", "ClusterList")}),
        Operation::Get | Operation::GetScale => json!({
            "200": answer("The cluster; every worker has joined, where that was waited for", "ClusterState"),
            "202": answer("Not every worker has joined within the time", "ClusterState"),
        }),
        Operation::Scale => json!({
            "200": answer("Done; every worker has joined, where that was waited for", "ScaleResult"),
            "202": answer("Done; not every worker has joined within the time", "ScaleResult"),
        }),
        Operation::Document => json!({"200": plain("OpenAPI 3.1")}),
        Operation::Health => json!({"200": plain("It answers")}),
        Operation::Ready => json!({"200": plain("Welcome"), "503": plain("Not now, and why")}),
    };
    if !operation.is_open() {
        let problem = json!({
            "description": "Why it is not done: by `code`",
            "content": {"application/problem+json": {"schema": reference("Problem")}},
            "x-codes": codes(operation).into_iter().map(slug).collect::<Vec<_>>(),
        });
        put(&mut all, "default", problem);
    }
    all
}

/// The codes that an operation answers with.
fn codes(operation: Operation) -> Vec<Code> {
    let mut codes = vec![
        Code::BadRequest,
        Code::Unauthenticated,
        Code::Unauthorized,
        Code::RateLimited,
        Code::Internal,
        Code::Unavailable,
    ];
    if matches!(operation, Operation::Get | Operation::GetScale | Operation::Scale) {
        codes.extend([Code::NotFound, Code::Ambiguous]);
    }
    if operation == Operation::Scale {
        codes.extend([
            Code::TooSlow,
            Code::TooLarge,
            Code::UnsupportedMedia,
            Code::NotScalable,
            Code::InvalidAutoscaling,
            Code::Conflict,
            Code::AutoscalerOwns,
            Code::ParentOwns,
            Code::Suspended,
            Code::ManagedElsewhere,
            Code::AboveCeiling,
            Code::AboveMax,
            Code::BelowMin,
            Code::ZeroWorkers,
            Code::NoSuchWorker,
            Code::KeyReused,
            Code::Refused,
        ]);
    }
    codes
}
