//! What keeps the sidecar from working in this head Pod. Asked only under autoscaling.

use serde_json::Value;

use super::Subject;
use super::autoscaler::mounts;
use crate::dialect::kuberay::{OVERWRITE_COMMAND, clipped_name};
use crate::inject::sidecar::LOG_PATH;
use crate::model::names::TOKEN_FOLDER;
use crate::model::template::{cleaned, list, text};
use crate::model::{Cluster, Container, Finding, NodeManager, RuleId, Template};

/// The only port that the sidecar knows unless it is told another.
const GCS_PORT: &str = "6379";

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let cluster = subject.cluster;
    let Some(head) = cluster.head() else {
        return Vec::new();
    };
    let mut findings: Vec<Finding> = token(cluster, &head).into_iter().collect();
    findings.extend(host_network(&head));
    findings.extend(account_name(subject, &head));
    findings.extend(port(cluster));
    if let Some(ray) = head.ray_container() {
        findings.extend(ports_disagree(cluster, &ray));
        findings.extend(two_monitors(cluster, &ray));
        findings.extend(mount_slash(&ray));
    }
    findings
}

fn token(cluster: &Cluster<'_>, head: &Template<'_>) -> Option<Finding> {
    let off = head.spec.get("automountServiceAccountToken") == Some(&Value::Bool(false));
    let mounted = mounts(cluster.options(), TOKEN_FOLDER).next().is_some();
    (off && !mounted).then(|| {
        Finding::warn(
            RuleId::TOKEN,
            head.field("automountServiceAccountToken"),
            "false: the autoscaler needs a token and stops without one",
            "true, or a token of the sidecar's own",
            format!("mount a projected token at {TOKEN_FOLDER} by autoscalerOptions.volumeMounts"),
        )
    })
}

fn host_network(head: &Template<'_>) -> Option<Finding> {
    const NEEDED: &str = "ClusterFirstWithHostNet";
    let on = head.spec.get("hostNetwork") == Some(&Value::Bool(true));
    let policy = text(head.spec, "dnsPolicy").unwrap_or("ClusterFirst");
    (on && policy != NEEDED).then(|| {
        Finding::warn(
            RuleId::HOST_NETWORK,
            head.field("dnsPolicy"),
            format!("hostNetwork with dnsPolicy {policy}: the API server's name does not resolve"),
            NEEDED,
            format!("set dnsPolicy: {NEEDED}"),
        )
    })
}

fn account_name(subject: &Subject<'_>, head: &Template<'_>) -> Option<Finding> {
    let named = subject.cluster.head_account()?;
    let clipped = clipped_name(named);
    (subject.manager == NodeManager::KubeRay && clipped != named).then(|| {
        Finding::warn(
            RuleId::ACCOUNT_NAME,
            head.field("serviceAccountName"),
            format!("KubeRay looks for account \"{clipped}\" instead of \"{named}\""),
            "at most 50 characters, a letter first",
            "use an account with a shorter name",
        )
    })
}

fn port(cluster: &Cluster<'_>) -> Option<Finding> {
    let (params, at) = cluster.head_params();
    let port = text(params, "port").filter(|port| *port != GCS_PORT)?;
    let told = ["command", "args"]
        .iter()
        .flat_map(|key| list(cluster.options(), key))
        .any(|part| part.as_str().is_some_and(|part| part.contains("--gcs-address")));
    (!told).then(|| {
        Finding::warn(
            RuleId::HEAD_PORT,
            at.at("port"),
            format!("the head listens on {port}, the autoscaler asks {GCS_PORT}"),
            "",
            "with Ray 2.60 or newer pass --gcs-address in autoscalerOptions.args, else keep 6379",
        )
    })
}

fn ports_disagree(cluster: &Cluster<'_>, ray: &Container<'_>) -> Option<Finding> {
    let (params, _) = cluster.head_params();
    let port = text(params, "port").unwrap_or(GCS_PORT);
    let ports = list(ray.raw, "ports");
    let index = ports.iter().position(|entry| text(entry, "name") == Some("gcs-server"))?;
    let declared = ports.get(index)?.get("containerPort")?;
    (declared.as_i64() != port.trim().parse().ok()).then(|| {
        Finding::warn(
            RuleId::PORTS_DISAGREE,
            ray.at.at("ports").at(index).at("containerPort"),
            format!("gcs-server is {declared}, the head listens on {port}"),
            "",
            "give both the same number: Services point at the container port",
        )
    })
}

/// A `ray start` line of the user's own, which nobody adds `--no-monitor` to.
fn two_monitors(cluster: &Cluster<'_>, ray: &Container<'_>) -> Option<Finding> {
    let line = ray.command_line();
    let overwritten = cluster
        .annotation(OVERWRITE_COMMAND)
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let own = line.contains("ray start") && line.contains("--head");
    let generated = line.contains("KUBERAY_GEN_RAY_START_CMD");
    let fault = (own || (overwritten && !generated && line.contains("--head")))
        && !line.contains("--no-monitor");
    fault.then(|| {
        let key = if list(ray.raw, "args").is_empty() { "command" } else { "args" };
        Finding::warn(
            RuleId::MONITOR,
            ray.at.at(key),
            "a ray start --head line of its own without --no-monitor: two monitors fight",
            "",
            "add --no-monitor, or use $KUBERAY_GEN_RAY_START_CMD",
        )
    })
}

fn mount_slash(ray: &Container<'_>) -> Option<Finding> {
    let (index, mount) = ray.mount_at(LOG_PATH)?;
    let written = text(mount, "mountPath").filter(|path| *path != LOG_PATH)?;
    debug_assert_eq!(cleaned(written), LOG_PATH);
    Some(Finding::warn(
        RuleId::MOUNT_SLASH,
        ray.at.at("volumeMounts").at(index).at("mountPath"),
        format!("\"{written}\" is {LOG_PATH}, but KubeRay compares letters and mounts it twice"),
        "",
        format!("write {LOG_PATH} without the slash"),
    ))
}
