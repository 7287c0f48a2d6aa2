//! What a method and a path mean.
//!
//! Input: method, path and query as they came. Output: a [`Route`]. Names in it are not yet looked at.
//! Everything that once had another path is answered with the path of today.

use super::rollout::Node;
use super::{Code, Fault};

/// The shape of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `ray_clusters`.
    Documented,
    /// `kind`, `count`, `clusters`.
    Counted,
}

/// What is asked for; texts are names of clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// The process answers.
    Health,
    /// Traffic is welcome.
    Ready,
    /// Every cluster of the caller.
    List(Shape),
    /// One cluster.
    Get(&'a str),
    /// A scale, as documented; the name stands in the body.
    ScaleNamed,
    /// A scale within the maximum.
    Scale(&'a str),
    /// The bounds of before; the name stands in the body.
    RestoreNamed,
    /// The bounds of before.
    Restore(&'a str),
    /// A new head.
    RestartHead(&'a str),
    /// How far that is.
    HeadStatus(&'a str),
    /// How far a `StatefulSet` is.
    Status(&'a str, Node),
}

/// The only kind that is served.
pub const KIND: &str = "rayclusters";

impl<'a> Route<'a> {
    /// Reads method and path.
    pub fn of(method: &str, path: &'a str) -> Result<Self, Fault> {
        let parts: Vec<&'a str> = path.split('/').skip(1).collect();
        let (allowed, route) = match parts.as_slice() {
            ["healthz"] => ("GET", Self::Health),
            ["readyz"] => ("GET", Self::Ready),
            ["raycluster" | "rayclusterscaler", rest] => match *rest {
                "list" => ("GET", Self::List(Shape::Documented)),
                "scale" => ("POST", Self::ScaleNamed),
                "restore" => ("POST", Self::RestoreNamed),
                name => ("GET", Self::Get(name)),
            },
            ["ddl_cluster_scaler", rest @ ..] => {
                Self::of_kinds(rest).ok_or_else(|| lost(path))??
            }
            _ => return Err(lost(path)),
        };
        let fits = match method {
            "HEAD" => allowed == "GET",
            // The second generation's first notebook scales by POST.
            "POST" => allowed == "POST" || matches!(route, Self::Scale(_)),
            method => method == allowed,
        };
        if fits {
            return Ok(route);
        }
        Err(Fault::new(Code::MethodNotAllowed, format!("{path} takes {allowed}")))
    }

    fn of_kinds(parts: &[&'a str]) -> Option<Result<(&'static str, Self), Fault>> {
        let (kind, name) = match parts {
            ["list", kind] => (*kind, ""),
            [_, kind, name] | ["restart_status", kind, name, _] => (*kind, *name),
            _ => return None,
        };
        let found = match parts {
            ["list", _] => ("GET", Self::List(Shape::Counted)),
            ["cluster" | "get", ..] => ("GET", Self::Get(name)),
            ["scale", ..] => ("PATCH", Self::Scale(name)),
            ["restore", ..] => ("PATCH", Self::Restore(name)),
            ["restart_head", ..] => ("PATCH", Self::RestartHead(name)),
            ["restart_head_status", ..] => ("GET", Self::HeadStatus(name)),
            ["restart_status", _, _, node] => match Node::parse(node) {
                Ok(node) => ("GET", Self::Status(name, node)),
                Err(fault) => return Some(Err(fault)),
            },
            _ => return None,
        };
        Some(served(kind).map(|()| found))
    }

    /// The methods that a path takes.
    pub fn methods(path: &str) -> Vec<&'static str> {
        let methods = ["GET", "HEAD", "POST", "PATCH"];
        methods.into_iter().filter(|method| Route::of(method, path).is_ok()).collect()
    }

    /// Whether anybody may ask.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// What it is called in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Ready => "ready",
            Self::List(_) => "list",
            Self::Get(_) => "get",
            Self::ScaleNamed | Self::Scale(_) => "scale",
            Self::RestoreNamed | Self::Restore(_) => "restore",
            Self::RestartHead(_) => "restart-head",
            Self::HeadStatus(_) => "restart-head-status",
            Self::Status(..) => "restart-status",
        }
    }
}

fn served(kind: &str) -> Result<(), Fault> {
    match kind {
        KIND => Ok(()),
        "daskclusters" | "sparkclusters" => Err(Fault::new(
            Code::NotFound,
            format!("{kind} are not served here: raywarden looks after Ray clusters alone"),
        )),
        _ => Err(Fault::new(Code::InvalidKind, "the kind is rayclusters")),
    }
}

/// The oldest paths, and those of today.
const MOVED: [(&str, &str); 4] = [
    ("/ddl_cluster_scaler_api/", "/ddl_cluster_scaler/{list,cluster,scale}/rayclusters"),
    ("/ddl_cluster_scaler/head/", "GET /ddl_cluster_scaler/restart_status/rayclusters/NAME/head"),
    (
        "/ddl_cluster_scaler/restart-head/",
        "PATCH /ddl_cluster_scaler/restart_head/rayclusters/NAME",
    ),
    (
        "/ddl_cluster_scaler/head-hw-tier/",
        "PATCH /ddl_cluster_scaler/restart_head/rayclusters/NAME with head_hw_tier_name",
    ),
];

fn lost(path: &str) -> Fault {
    let moved = MOVED.iter().find(|(old, _)| path.starts_with(old));
    let message = match moved {
        Some((_, new)) => format!("this path of an early release is gone; use {new}"),
        None => "nothing here; GET /raycluster/list, GET /raycluster/NAME and POST \
                 /raycluster/scale are, and /ddl_cluster_scaler/{list,cluster,scale,...}/rayclusters"
            .to_owned(),
    };
    Fault::new(Code::NotFound, message)
}

/// One parameter of a query.
pub fn parameter(query: Option<&str>, key: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.into_iter().find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
}

/// A page of a list: how many, and from where on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many; without it everything.
    pub limit: Option<u32>,
    /// What the page before said.
    pub next: Option<String>,
}

/// The most clusters of one page.
pub const MOST_ON_A_PAGE: u32 = 500;

impl Page {
    /// Reads `limit` and `continue`.
    pub fn of(query: Option<&str>) -> Result<Self, Fault> {
        let limit = match parameter(query, "limit") {
            None => None,
            Some(text) => Some(
                text.parse()
                    .ok()
                    .filter(|limit| (1..=MOST_ON_A_PAGE).contains(limit))
                    .ok_or_else(|| Fault::bad("limit is a number from 1 to 500"))?,
            ),
        };
        let next = parameter(query, "continue").filter(|token| !token.is_empty());
        if next.as_ref().is_some_and(|token| limit.is_none() || token.len() > 4096) {
            return Err(Fault::bad("continue goes with limit, and is what the page before said"));
        }
        Ok(Self { limit, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(method: &str, path: &str) -> Code {
        Route::of(method, path).unwrap_err().code
    }

    #[test]
    fn every_generation_finds_its_routes() {
        let routes = [
            ("GET", "/healthz", Route::Health),
            ("GET", "/raycluster/list", Route::List(Shape::Documented)),
            ("GET", "/rayclusterscaler/list", Route::List(Shape::Documented)),
            ("GET", "/raycluster/ray-1", Route::Get("ray-1")),
            ("HEAD", "/raycluster/ray-1", Route::Get("ray-1")),
            ("POST", "/raycluster/scale", Route::ScaleNamed),
            ("POST", "/rayclusterscaler/scale", Route::ScaleNamed),
            ("POST", "/raycluster/restore", Route::RestoreNamed),
            ("GET", "/ddl_cluster_scaler/list/rayclusters", Route::List(Shape::Counted)),
            ("GET", "/ddl_cluster_scaler/cluster/rayclusters/ray-1", Route::Get("ray-1")),
            ("GET", "/ddl_cluster_scaler/get/rayclusters/ray-1", Route::Get("ray-1")),
            ("PATCH", "/ddl_cluster_scaler/scale/rayclusters/ray-1", Route::Scale("ray-1")),
            ("POST", "/ddl_cluster_scaler/scale/rayclusters/ray-1", Route::Scale("ray-1")),
            ("PATCH", "/ddl_cluster_scaler/restore/rayclusters/ray-1", Route::Restore("ray-1")),
            ("PATCH", "/ddl_cluster_scaler/restart_head/rayclusters/r", Route::RestartHead("r")),
            (
                "GET",
                "/ddl_cluster_scaler/restart_head_status/rayclusters/r",
                Route::HeadStatus("r"),
            ),
            (
                "GET",
                "/ddl_cluster_scaler/restart_status/rayclusters/r/worker",
                Route::Status("r", Node::Worker),
            ),
        ];
        for (method, path, route) in routes {
            assert_eq!(Route::of(method, path), Ok(route), "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_served_is_told_apart_and_says_where_to_go() {
        assert_eq!(code("GET", "/ddl_cluster_scaler/list/daskclusters"), Code::NotFound);
        assert_eq!(code("PATCH", "/ddl_cluster_scaler/scale/sparkclusters/s"), Code::NotFound);
        assert_eq!(code("GET", "/ddl_cluster_scaler/list/pods"), Code::InvalidKind);
        assert_eq!(code("GET", "/raycluster/scale"), Code::MethodNotAllowed);
        assert_eq!(Route::methods("/raycluster/scale"), ["POST"]);
        assert_eq!(Route::methods("/raycluster/ray-1"), ["GET", "HEAD"]);
        assert_eq!(code("DELETE", "/raycluster/ray-1"), Code::MethodNotAllowed);
        assert_eq!(
            code("GET", "/ddl_cluster_scaler/restart_status/rayclusters/r/x"),
            Code::BadRequest
        );
        for path in [
            "/",
            "",
            "/raycluster",
            "/raycluster/a/b",
            "/raycluster/list/",
            "/x",
            "/ddl_cluster_scaler/x/y",
        ] {
            assert_eq!(code("GET", path), Code::NotFound, "{path}");
        }
        for (old, new) in MOVED {
            let fault = Route::of("POST", &format!("{old}rayclusters/r")).unwrap_err();
            assert!(fault.code == Code::NotFound && fault.message.ends_with(new), "{fault}");
        }
    }

    #[test]
    fn parameters_are_decoded_and_pages_bounded() {
        let query = Some("a=1&started_at=2025-10-02T09%3A30%3A00Z");
        assert_eq!(parameter(query, "started_at").unwrap(), "2025-10-02T09:30:00Z");
        assert_eq!(Page::of(None), Ok(Page::default()));
        let page = Page { limit: Some(2), next: Some("abc".to_owned()) };
        assert_eq!(Page::of(Some("limit=2&continue=abc")), Ok(page));
        for bad in ["limit=0", "limit=501", "limit=x", "continue=abc"] {
            assert_eq!(Page::of(Some(bad)).unwrap_err().code, Code::BadRequest, "{bad}");
        }
    }
}
