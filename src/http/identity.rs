//! A token of Kubernetes -> who asks, and whether they may.
//!
//! The API server knows both: TokenReview with our audience, SubjectAccessReview for what is asked
//! for. Invariants: a token goes to the API server alone, and only where it says that it is for us; an
//! API server that does not answer is an outage and never a refusal, and never nobody.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use sha2::{Digest as _, Sha256};

use crate::http::access::{is_allowed, on};
use crate::http::call::values;
use crate::http::callers::Callers;
use crate::http::objects::{outage, patient};
use crate::http::ops::Finding;
use crate::scaling::credential::{TOKEN_HEADER, token_for};
use crate::scaling::known::Known;
use crate::scaling::pace::Rate;
use crate::scaling::preflight::Caller;
use crate::scaling::{Code, Fault};

/// Somebody whom the API server knows.
#[derive(Clone)]
pub(super) struct Somebody {
    pub(super) caller: Caller,
    uid: Option<String>,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

/// Something that somebody may or may not do.
#[derive(Clone, Copy)]
pub(super) struct Deed<'a> {
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    pub(super) resource: &'a str,
    pub(super) namespace: &'a str,
    /// Empty for all.
    pub(super) name: &'a str,
}

pub(super) struct Identities {
    tokens: Api<TokenReview>,
    client: Client,
    audience: String,
    callers: Callers<Somebody>,
    begun: Instant,
    known: Mutex<Known<bool>>,
}

impl Identities {
    pub(super) fn new(client: Client, audience: &str, rate: Rate, lasts: Duration) -> Self {
        Self {
            tokens: Api::all(client.clone()),
            client,
            audience: audience.to_owned(),
            callers: Callers::new(rate, lasts),
            begun: Instant::now(),
            known: Mutex::new(Known::new(lasts)),
        }
    }

    /// Who asks.
    pub(super) async fn identify(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Somebody, Fault> {
        let token = token_for(&self.audience, &values(headers, TOKEN_HEADER))?;
        let digest = Sha256::digest(&token).into();
        let name = |somebody: &Somebody| somebody.caller.user.clone();
        self.callers.identify(digest, peer, name, Box::pin(self.review(token))).await
    }

    /// Whether tokens can be looked at: the API server is asked about one that nobody has.
    pub(super) async fn probe(&self) -> Finding {
        match self.review("none".to_owned()).await {
            Err(fault) if fault.code == Code::Unauthenticated => {
                Ok("tokens can be looked at".to_owned())
            }
            Err(fault) => Err(format!("tokens cannot be looked at: {fault}")),
            Ok(_) => Err("the API server knows a token that nobody has".to_owned()),
        }
    }

    async fn review(&self, token: String) -> Result<Somebody, Fault> {
        let audiences = Some(vec![self.audience.clone()]);
        let spec = TokenReviewSpec { token: Some(token), audiences };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = patient(self.tokens.create(&PostParams::default(), &review)).await;
        let answer = answer.map_err(|error| unanswered("review token", &error))?;
        let status = answer.status.unwrap_or_default();
        // An authenticator that knows no audiences answers for the API server's own.
        let for_us = status.audiences.iter().flatten().any(|it| *it == self.audience);
        let user = status.user.unwrap_or_default();
        match user.username.filter(|name| !name.is_empty()) {
            Some(name) if status.authenticated == Some(true) && for_us => Ok(Somebody {
                caller: Caller { user: name, groups: user.groups.unwrap_or_default() },
                uid: user.uid,
                extra: user.extra,
            }),
            _ => Err(Fault::new(
                Code::Unauthenticated,
                format!(
                    "Kubernetes does not know this token: get a fresh one with kubectl create token \
                     NAME --audience {}",
                    self.audience
                ),
            )),
        }
    }

    /// Whether somebody may do it.
    pub(super) async fn may(&self, somebody: &Somebody, deed: Deed<'_>) -> Result<bool, Fault> {
        let digest = digest(&somebody.caller, deed);
        let recalled = self.lock().get(&digest, self.begun.elapsed());
        if let Some(found) = recalled {
            return found;
        }
        let found = self.ask(somebody, deed).await;
        // Who was given a right a moment ago is not turned away for long.
        if found != Ok(false) {
            self.lock().put(digest, found.clone(), self.begun.elapsed());
        }
        found
    }

    async fn ask(&self, somebody: &Somebody, deed: Deed<'_>) -> Result<bool, Fault> {
        let Deed { verb, group, resource, namespace, name } = deed;
        let name = Some(name).filter(|name| !name.is_empty());
        let spec = SubjectAccessReviewSpec {
            user: Some(somebody.caller.user.clone()),
            groups: Some(somebody.caller.groups.clone()),
            uid: somebody.uid.clone(),
            extra: somebody.extra.clone(),
            resource_attributes: Some(on(resource, verb, group, namespace, name)),
            ..SubjectAccessReviewSpec::default()
        };
        let answer = patient(is_allowed(&self.client, spec)).await;
        answer.map_err(|error| unanswered("review access", &error))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known<bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(caller: &Caller, deed: Deed<'_>) -> [u8; 32] {
    let Deed { verb, group, resource, namespace, name } = deed;
    let mut digest = Sha256::new();
    let groups = caller.groups.iter().map(String::as_str);
    let deed = [caller.user.as_str(), verb, group, resource, namespace, name];
    for part in deed.into_iter().chain(groups) {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn unanswered(doing: &str, error: &Error) -> Fault {
    if let Error::Api(status) = error
        && status.code == 403
    {
        tracing::error!(doing, "the API's own account may not do this; deploy/api has the rights");
    }
    outage(doing, error)
}
