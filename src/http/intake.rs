//! Reads the body of a call, within bounds.
//!
//! What is refused is heard out first, as far as that is cheap: on HTTP/2 a body that nobody reads
//! cancels its stream, and the refusal with it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::telemetry::chain;

/// The largest body that is read. API servers refuse objects above 3 MiB; a review holds two.
pub(super) const MAX_BODY: usize = 7 * 1024 * 1024;

/// How much of a refused body is heard out, and for how long.
const MAX_DISCARDED: usize = 4 * MAX_BODY;
const DISCARD_FOR: Duration = Duration::from_secs(1);

/// Why there is no body.
#[derive(Debug)]
pub(super) enum Fault {
    TooLong,
    Broken(String),
}

/// The whole body.
pub(super) async fn read(body: &mut Body) -> Result<Bytes, Fault> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Fault::Broken(chain(&error)))?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > MAX_BODY {
                return Err(Fault::TooLong);
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

/// Reads the rest and forgets it.
pub(super) async fn discard(body: &mut Body) {
    let _ = timeout(DISCARD_FOR, async {
        let mut left = MAX_DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else {
                return;
            };
            left = rest;
        }
    })
    .await;
}

/// The same for a call that is refused as a whole.
pub(super) async fn hear_out(request: Request) {
    discard(&mut request.into_body()).await;
}
