//! `/livez`: the process answers. `/readyz`: traffic is welcome, or why not. `/metrics`: what it counts.
//!
//! Readiness is a list of named checks, each a function that looks at the state of the moment. A
//! process that drains is alive and not ready.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::text;

/// What a check finds: a word about the good state, or the reason against it.
pub type Finding = Result<String, String>;

/// A check that asks somebody again and again, till `stop`, and tells what was found last.
pub fn watched<F: Future<Output = Finding> + Send>(
    stop: CancellationToken,
    ask: impl Fn() -> F + Send + 'static,
) -> impl Fn() -> Finding + Send + Sync {
    const BETWEEN: Duration = Duration::from_secs(10);
    let finding = Arc::new(Mutex::new(Err("not looked at yet".to_owned())));
    let noted = Arc::clone(&finding);
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            let found = ask().await;
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = found;
            let _ = tokio::time::timeout(BETWEEN, stop.cancelled()).await;
        }
    });
    move || finding.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What a registry holds, in the text form of `OpenMetrics`.
pub fn encoded(registry: &Registry) -> String {
    let mut page = String::new();
    // Writing to a String does not fail.
    let _ = encode(&mut page, registry);
    page
}

/// A page for Prometheus, made when it is asked for.
pub type Page = Arc<dyn Fn() -> String + Send + Sync>;

type Check = Box<dyn Fn() -> Finding + Send + Sync>;

/// Whether traffic is welcome.
#[derive(Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Check)>,
    draining: AtomicBool,
}

impl Readiness {
    /// The same with one more check.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        check: impl Fn() -> Finding + Send + Sync + 'static,
    ) -> Self {
        self.checks.push((name, Box::new(check)));
        self
    }

    /// The same with the checks of `other`, which are told of and keep nothing from being ready.
    #[must_use]
    pub fn noting(mut self, other: Self) -> Self {
        self.checks.extend(other.checks.into_iter().map(|(name, check)| {
            let note: Check = Box::new(move || {
                Ok(check().unwrap_or_else(|reason| format!("NOT READY: {reason}")))
            });
            (name, note)
        }));
        self
    }

    /// From now on not ready: the process is about to end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why traffic is not welcome; empty where it is.
    pub fn faults(&self) -> Vec<String> {
        let findings = self.findings().into_iter();
        findings.filter_map(|(name, it)| it.err().map(|why| format!("{name}: {why}"))).collect()
    }

    fn findings(&self) -> Vec<(&'static str, Finding)> {
        let shutdown = if self.is_draining() {
            Err("draining: the process is about to end".to_owned())
        } else {
            Ok("serving".to_owned())
        };
        let checks = self.checks.iter().map(|(name, check)| (*name, check()));
        std::iter::once(("shutdown", shutdown)).chain(checks).collect()
    }

    pub(super) fn answer(&self, query: Option<&str>) -> Response {
        let findings = self.findings();
        let ready = findings.iter().all(|(_, finding)| finding.is_ok());
        let verbose = query.is_some_and(|query| {
            query.split('&').any(|pair| pair.split('=').next() == Some("verbose"))
        });
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        if ready && !verbose {
            return text(status, "ok");
        }
        let mut page = String::new();
        for (name, finding) in &findings {
            match finding {
                Ok(word) if verbose => _ = writeln!(page, "[+] {name}: {word}"),
                Ok(_) => {}
                Err(reason) => _ = writeln!(page, "[-] {name}: {reason}"),
            }
        }
        page.push_str(if ready { "ready" } else { "not ready" });
        text(status, page)
    }
}

/// The answer to `GET /metrics`.
pub(super) fn metrics(page: &Page) -> Response {
    const FORM: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(CONTENT_TYPE, FORM)], page()).into_response()
}

pub(super) async fn livez() -> Response {
    text(StatusCode::OK, "ok")
}
