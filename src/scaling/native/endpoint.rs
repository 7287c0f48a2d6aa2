//! The endpoints.
//!
//! Input: method and path as they came. Output: an [`Target`]. One table drives the routing and the
//! OpenAPI document, so that neither can say what the other does not.

use crate::scaling::{Code, Fault};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The clusters of a namespace.
    List,
    /// One cluster, with its workers.
    Get,
    /// The same; the path under which a scale is written.
    GetScale,
    /// Another number of workers.
    Scale,
    /// The OpenAPI document.
    Document,
    /// The process answers.
    Health,
    /// Traffic is welcome.
    Ready,
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// What it does.
    pub operation: Operation,
    /// The method.
    pub method: &'static str,
    /// The path; parts in braces are parameters.
    pub path: &'static str,
    /// One line about it.
    pub summary: &'static str,
}

const CLUSTERS: &str = "/api/v1/namespaces/{namespace}/rayclusters";
const CLUSTER: &str = "/api/v1/namespaces/{namespace}/rayclusters/{name}";
const SCALE: &str = "/api/v1/namespaces/{namespace}/rayclusters/{name}/scale";

/// Every endpoint.
pub const ENDPOINTS: [Endpoint; 7] = [
    endpoint(Operation::List, "GET", CLUSTERS, "List the Ray clusters of a namespace"),
    endpoint(Operation::Get, "GET", CLUSTER, "Read a cluster, its bounds and its workers"),
    endpoint(Operation::GetScale, "GET", SCALE, "Read how far a scale has come"),
    endpoint(Operation::Scale, "PATCH", SCALE, "Set the replicas of a worker group"),
    endpoint(Operation::Document, "GET", "/openapi.json", "This document"),
    endpoint(Operation::Health, "GET", "/healthz", "Whether the process answers"),
    endpoint(Operation::Ready, "GET", "/readyz", "Whether traffic is welcome"),
];

const fn endpoint(
    operation: Operation,
    method: &'static str,
    path: &'static str,
    summary: &'static str,
) -> Endpoint {
    Endpoint { operation, method, path, summary }
}

impl Operation {
    /// Whether anybody may ask.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Document | Self::Health | Self::Ready)
    }

    /// What it is called in logs, metrics and the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "listRayClusters",
            Self::Get => "getRayCluster",
            Self::GetScale => "getRayClusterScale",
            Self::Scale => "scaleRayCluster",
            Self::Document => "openapi",
            Self::Health => "healthz",
            Self::Ready => "readyz",
        }
    }
}

/// What a method and a path mean; names are not yet looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// What is asked for.
    pub operation: Operation,
    /// The namespace; empty where the path has none.
    pub namespace: &'a str,
    /// The cluster; empty where the path has none.
    pub name: &'a str,
}

impl<'a> Target<'a> {
    /// Reads method and path.
    pub fn of(method: &str, path: &'a str) -> Result<Self, Fault> {
        let fitting: Vec<(&Endpoint, Self)> = ENDPOINTS
            .iter()
            .filter_map(|endpoint| fit(endpoint, path).map(|asked| (endpoint, asked)))
            .collect();
        if fitting.is_empty() {
            return Err(Fault::new(
                Code::NotFound,
                format!(
                    "there is nothing at this path; {CLUSTERS}[/{{name}}[/scale]] is served, and /openapi.json says all"
                ),
            ));
        }
        let same = |wanted: &str| method == wanted || (method == "HEAD" && wanted == "GET");
        let allowed = methods(path).join(", ");
        let found = fitting.into_iter().find(|(endpoint, _)| same(endpoint.method));
        found
            .map(|(_, asked)| asked)
            .ok_or_else(|| Fault::new(Code::MethodNotAllowed, format!("this path takes {allowed}")))
    }
}

/// The methods that a path takes.
pub fn methods(path: &str) -> Vec<&'static str> {
    let fitting = ENDPOINTS.iter().filter(|endpoint| fit(endpoint, path).is_some());
    let mut methods: Vec<&str> = fitting.map(|endpoint| endpoint.method).collect();
    if methods.contains(&"GET") {
        methods.insert(1, "HEAD");
    }
    methods
}

fn fit<'a>(endpoint: &Endpoint, path: &'a str) -> Option<Target<'a>> {
    let mut asked = Target { operation: endpoint.operation, namespace: "", name: "" };
    let mut parts = path.split('/');
    for wanted in endpoint.path.split('/') {
        let part = parts.next()?;
        match wanted {
            "{namespace}" => asked.namespace = part,
            "{name}" => asked.name = part,
            fixed if fixed == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_found_by_its_own_path() {
        for endpoint in ENDPOINTS {
            let path = endpoint.path.replace("{namespace}", "team-a").replace("{name}", "demo");
            let asked = Target::of(endpoint.method, &path).unwrap();
            assert_eq!(asked.operation, endpoint.operation);
            let expected = if path.contains("team-a") { "team-a" } else { "" };
            assert_eq!(asked.namespace, expected);
        }
    }

    #[test]
    fn what_is_not_in_the_table_does_not_exist() {
        for path in [
            "/",
            "",
            "/api/v1/namespaces",
            "/api/v1/namespaces/a/rayclusters/b/scale/",
            "/api/v1/namespaces/a/rayclusters/b/status",
            "//openapi.json",
            "/Healthz",
        ] {
            assert_eq!(Target::of("GET", path).unwrap_err().code, Code::NotFound, "{path}");
        }
        let scale = "/api/v1/namespaces/a/rayclusters/b/scale";
        let fault = Target::of("POST", scale).unwrap_err();
        assert_eq!(fault.code, Code::MethodNotAllowed);
        assert_eq!(fault.message, "this path takes GET, HEAD, PATCH");
        assert_eq!(Target::of("HEAD", scale).unwrap().operation, Operation::GetScale);
    }
}
