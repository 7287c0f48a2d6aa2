//! Pod Security, a control at a time.

use serde_json::{Value, json};

use super::super::world::{CONTAINERS, SECTIONS, SUBMITTERS, template};
use super::Break;

const RULE: &str = "policy/pod-security";

/// The level that a break is found from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    Baseline,
    Restricted,
}
use Since::{Baseline, Restricted};

/// What is set where, and the place that is found: below it, or the same.
type Row = (&'static str, Value, &'static str, Since);

/// Below a Pod's spec.
fn of_pods() -> Vec<Row> {
    vec![
        ("hostNetwork", json!(true), "", Baseline),
        ("hostPID", json!(true), "", Baseline),
        ("hostIPC", json!(true), "", Baseline),
        ("volumes[0]", json!({"name": "v", "hostPath": {"path": "/"}}), ".hostPath", Baseline),
        ("volumes[0]", json!({"name": "v", "nfs": {"server": "s"}}), ".nfs", Restricted),
        (
            "securityContext.sysctls",
            json!([{"name": "net.ipv4.tcp_rmem", "value": "1"}, {"name": "kernel.msgmax"}]),
            "[1].name",
            Baseline,
        ),
    ]
}

/// Below a container.
fn of_containers() -> Vec<Row> {
    vec![
        ("securityContext.privileged", json!(true), "", Baseline),
        ("securityContext.procMount", json!("Unmasked"), "", Baseline),
        ("securityContext.capabilities.add", json!(["SYS_ADMIN"]), "[0]", Baseline),
        (
            "securityContext.capabilities.add",
            json!(["NET_BIND_SERVICE", "CHOWN"]),
            "[1]",
            Restricted,
        ),
        ("securityContext.capabilities.drop", json!(["CHOWN"]), "", Restricted),
        ("securityContext.capabilities.drop", Value::Null, "", Restricted),
        ("securityContext.allowPrivilegeEscalation", json!(true), "", Restricted),
        ("securityContext.allowPrivilegeEscalation", Value::Null, "", Restricted),
        ("ports[0].hostPort", json!(8265), "", Baseline),
        ("livenessProbe.tcpSocket.host", json!("example.com"), "", Baseline),
        ("readinessProbe.httpGet.host", json!("example.com"), "", Baseline),
        ("startupProbe.httpGet.host", json!("example.com"), "", Baseline),
        ("lifecycle.postStart.httpGet.host", json!("example.com"), "", Baseline),
        ("lifecycle.preStop.tcpSocket.host", json!("example.com"), "", Baseline),
    ]
}

/// Below a security context, of a Pod or a container.
fn of_either() -> Vec<Row> {
    vec![
        ("appArmorProfile.type", json!("Unconfined"), "", Baseline),
        ("seccompProfile.type", json!("Unconfined"), "", Baseline),
        ("seLinuxOptions.type", json!("spc_t"), "", Baseline),
        ("seLinuxOptions.user", json!("system_u"), "", Baseline),
        ("seLinuxOptions.role", json!("sysadm_r"), "", Baseline),
        ("windowsOptions.hostProcess", json!(true), "", Baseline),
        ("runAsNonRoot", json!(false), "", Restricted),
        ("runAsUser", json!(0), "", Restricted),
    ]
}

/// Every control with the path of what it is set in: the Pod, or one of its containers.
fn controls() -> Vec<(String, Value, String, Since)> {
    let mut all = Vec::new();
    let mut add = |inside: String, rows: Vec<Row>| {
        all.extend(rows.into_iter().map(|(path, value, below, from)| {
            let path = format!("{inside}{path}");
            (path.clone(), value, format!("{path}{below}"), from)
        }));
    };
    add(String::new(), of_pods());
    add("securityContext.".to_owned(), of_either());
    for container in CONTAINERS {
        add(format!("{container}."), of_containers());
        add(format!("{container}.securityContext."), of_either());
    }
    all
}

pub(super) fn breaks() -> Vec<Break> {
    let mut all: Vec<Break> =
        SECTIONS.iter().flat_map(|section| of_template(&format!("{section}.template"))).collect();
    for (kind, submitter) in SUBMITTERS {
        let of_submitter = of_template(submitter).into_iter();
        all.extend(of_submitter.map(|it| it.given((submitter, template("submit"))).only_in(kind)));
    }
    all
}

fn of_template(template: &str) -> Vec<Break> {
    let baseline = || Break::new(RULE, "podSecurity: {level: baseline}");
    let restricted = || Break::new(RULE, "podSecurity: {level: restricted}");
    let mut all = Vec::new();
    for (path, value, place, from) in controls() {
        let set = |rule: Break| rule.set(format!("{template}.spec.{path}"), value.clone());
        let place = format!("{template}.spec.{place}");
        all.push(set(restricted()).found(&place));
        all.push(if from == Baseline { set(baseline()).found(place) } else { set(baseline()) });
    }
    let profile = format!(
        "{template}.metadata.annotations[container.apparmor.security.beta.kubernetes.io/ray-head]"
    );
    all.push(baseline().broken(&profile, json!("unconfined")));
    for fine in ["runtime/default", "localhost/x"] {
        all.push(baseline().set(&profile, json!(fine)));
    }
    // What neither the Pod nor its containers say is missed in each of them.
    for key in ["runAsNonRoot", "seccompProfile"] {
        let unsaid = format!("{template}.spec.securityContext.{key}");
        let missed = |rule: Break, container| {
            rule.found(format!("{template}.spec.{container}.securityContext.{key}"))
        };
        all.push(CONTAINERS.iter().fold(restricted().set(unsaid, Value::Null), missed));
    }
    all
}
