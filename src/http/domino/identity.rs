//! The credential of a request -> who asks.
//!
//! Domino is asked at its principal endpoint, with what the caller sent and nothing else.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;

use super::upstream::{PRINCIPAL, Upstream};
use crate::http::call::values;
use crate::http::callers::Callers;
use crate::scaling::credential::{Credential, KEY_HEADER, TOKEN_HEADER};
use crate::scaling::pace::Rate;
use crate::scaling::{Fault, Principal};

pub(super) struct Identities {
    upstream: Upstream,
    callers: Callers<Principal>,
}

impl Identities {
    pub(super) fn new(upstream: Upstream, rate: Rate, lasts: Duration) -> Self {
        Self { upstream, callers: Callers::new(rate, lasts) }
    }

    /// Who asks, and with what.
    pub(super) async fn identify(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<(Principal, Credential), Fault> {
        let credential =
            Credential::of(&values(headers, KEY_HEADER), &values(headers, TOKEN_HEADER))?;
        let look_up = Box::pin(async {
            let (status, body) = self.upstream.get(PRINCIPAL, &credential).await?;
            Principal::read(status, &body)
        });
        let name = |principal: &Principal| principal.id.clone();
        let principal = self.callers.identify(credential.digest(), peer, name, look_up).await?;
        Ok((principal, credential))
    }
}
