//! `raywarden scale --for`: a scale lease in the place of a scale.
//!
//! The lease is made with the caller's rights and held by raywarden's controller; here it is waited for
//! until the controller has said what it does with it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};

use super::ScaleArgs;
use crate::cli::follow::{Followed, Format, Until, summary};
use crate::cli::output::{self, print};
use crate::cli::{Verdict, trouble};
use crate::clock;
use crate::plan::lease::BEGINS;

/// How long the controller may take to say what it does with a lease.
const HEARD_WITHIN: Duration = Duration::from_secs(30);

const BETWEEN: Duration = Duration::from_millis(500);

/// The longest hold; who wants more changes the bounds.
const LONGEST: Duration = Duration::from_hours(24 * 366);

fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("raywarden.io", "v1alpha1", "ScaleLease");
    ApiResource::from_gvk_with_plural(&kind, "scaleleases")
}

/// Makes a lease, and waits for what it comes to.
pub(super) async fn hold(
    args: &ScaleArgs,
    followed: &Followed,
    object: &Value,
    hold: Duration,
) -> anyhow::Result<Verdict> {
    if hold.is_zero() || hold > LONGEST {
        bail!("--for has to be more than nothing and at most 366d");
    }
    let until = until(clock::now(), hold)?;
    let api: Api<DynamicObject> =
        Api::namespaced_with(followed.client.clone(), &followed.namespace, &resource());
    let lease = serde_json::from_value(lease(args, followed, until))?;
    let parameters = PostParams { dry_run: args.dry_run.is_some(), ..PostParams::default() };
    let made = match api.create(&parameters, &lease).await {
        Ok(made) => made,
        Err(error) => return refused(error, followed),
    };
    let name = made.name_any();
    if args.dry_run.is_some() {
        output::note(&format!("the lease would be made, until {until}"));
        return Ok(Verdict::Good);
    }
    output::note(&format!("lease {name} asks for {} replicas until {until}", args.replicas));
    let status = heard(&api, &name).await?;
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or("");
    let (phase, message) = (text("phase"), text("message"));
    if phase != "Active" {
        output::note(&format!("lease {name} is {phase}: {message}"));
        return Ok(Verdict::Bad);
    }
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("");
    let over = Until { group: args.group.clone(), workers: None };
    let timeout = if args.wait { args.timeout } else { Duration::ZERO };
    let (state, joined) = followed.wait(uid, &over, timeout).await?;
    print(&match args.output {
        Format::Text => summary(&state),
        Format::Json => {
            let answer = json!({
                "lease": {"name": name, "until": until.to_string(), "phase": phase},
                "cluster": state,
            });
            format!("{}\n", serde_json::to_string_pretty(&answer)?)
        }
    })?;
    Ok(if joined || !args.wait { Verdict::Good } else { Verdict::Bad })
}

fn until(now: Timestamp, hold: Duration) -> anyhow::Result<Timestamp> {
    let hold = SignedDuration::try_from(hold).context("--for is too long")?;
    let until = now.checked_add(hold).context("--for is too long")?;
    Timestamp::from_second(until.as_second()).context("--for is too long")
}

fn lease(args: &ScaleArgs, followed: &Followed, until: Timestamp) -> Value {
    let cropped: String = followed.name.chars().take(50).collect();
    let mut spec = json!({
        "cluster": {"apiGroup": followed.dialect.group(), "name": followed.name},
        "replicas": args.replicas,
        "until": until.to_string(),
    });
    if let (Some(group), Some(members)) = (&args.group, spec.as_object_mut()) {
        members.insert("group".to_owned(), group.clone().into());
    }
    json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "ScaleLease",
        "metadata": {"generateName": format!("{cropped}-"), "namespace": followed.namespace},
        "spec": spec,
    })
}

fn refused(error: kube::Error, followed: &Followed) -> anyhow::Result<Verdict> {
    match error {
        kube::Error::Api(status) if status.code == 404 => bail!(
            "scale leases are not installed at {}: kubectl apply -f deploy/crd/scalelease.yaml, and \
             raywarden's controller holds them",
            followed.server
        ),
        kube::Error::Api(status) if [400, 403, 422].contains(&status.code) => {
            output::note(&format!("the lease is refused: {}", status.message));
            Ok(Verdict::Bad)
        }
        error => Err(trouble::general(error, &followed.server, "create a scalelease")),
    }
}

/// How far the controller has come with a lease.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// It has not seen it.
    Unread,
    /// It is about to ask the cluster.
    Begins,
    /// It has said what becomes of it.
    Decided,
}

fn stage(status: &Value) -> Stage {
    if status.pointer("/conditions/0/reason").is_some_and(|reason| reason == BEGINS) {
        Stage::Begins
    } else if status.get("phase").is_some_and(|phase| !phase.is_null()) {
        Stage::Decided
    } else {
        Stage::Unread
    }
}

/// The status of the lease, as soon as the controller has decided: that a lease begins is said before
/// the cluster is asked, and what comes of it behind.
async fn heard(api: &Api<DynamicObject>, name: &str) -> anyhow::Result<Value> {
    let begun = Instant::now();
    let mut beginning = None;
    while begun.elapsed() < HEARD_WITHIN {
        let lease = api.get(name).await.context("failed to read the lease")?;
        let status = lease.data.get("status").cloned().unwrap_or_default();
        match stage(&status) {
            Stage::Unread => {}
            Stage::Begins => beginning = Some(status),
            Stage::Decided => return Ok(status),
        }
        tokio::time::sleep(BETWEEN).await;
    }
    beginning.ok_or_else(|| {
        anyhow!(
            "nobody has taken up lease {name} within {} s: does raywarden's controller run? The lease \
             stands, and holds as soon as it does",
            HEARD_WITHIN.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_only_begins_is_not_decided_yet() {
        let status = |phase: &str, reason: &str| json!({"phase": phase, "conditions": [{"type": "Held", "reason": reason}]});
        assert_eq!(stage(&json!({})), Stage::Unread);
        assert_eq!(stage(&status("Pending", BEGINS)), Stage::Begins);
        assert_eq!(stage(&status("Pending", "HeldByAnother")), Stage::Decided);
        assert_eq!(stage(&status("Active", "Held")), Stage::Decided);
    }

    #[test]
    fn a_hold_ends_on_a_whole_second() {
        let now: Timestamp = "2026-11-25T21:00:00.75Z".parse().unwrap();
        let end = until(now, Duration::from_hours(2)).unwrap();
        assert_eq!(end.to_string(), "2026-11-25T23:00:00Z");
    }
}
