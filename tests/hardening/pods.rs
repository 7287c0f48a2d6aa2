//! Pod Security, a control at a time.

use serde_json::{Value, json};

use super::world::{KINDS, TEMPLATES, Write, object, only, patched, policy, said, set, sound};
use raywarden::admission::Phase;

/// The level that a break is found from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    Baseline,
    Restricted,
}
use Since::{Baseline, Restricted};

/// What is set where, and the place that is found: below it, or the same.
type Break = (&'static str, Value, &'static str, Since);

/// Below a Pod's spec.
fn of_pods() -> Vec<Break> {
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
fn of_containers() -> Vec<Break> {
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
fn of_either() -> Vec<Break> {
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

/// Every break with the path of what it is set in: the Pod, or one of its containers.
fn breaks() -> Vec<(String, Value, String, Since)> {
    const CONTAINERS: [&str; 3] = ["containers[0]", "containers[1]", "initContainers[0]"];
    let mut all = Vec::new();
    let mut add = |inside: String, breaks: Vec<Break>| {
        all.extend(breaks.into_iter().map(|(path, value, below, from)| {
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

#[test]
fn each_control_is_found_at_its_place_in_every_template_of_every_kind() {
    let baseline = policy("podSecurity: {level: baseline}");
    let restricted = policy("podSecurity: {level: restricted}");
    let mut tried = 0;
    for (kind, at) in KINDS {
        for policies in [&baseline, &restricted] {
            assert_eq!(said(policies, &object(kind, at, &sound())), only("", &[]), "{kind}");
        }
        for template in TEMPLATES {
            for (path, value, place, from) in breaks() {
                let mut spec = sound();
                set(&mut spec, &format!("{template}.spec.{path}"), value);
                let broken = object(kind, at, &spec);
                let found = only("policy/pod-security", &[format!("{at}.{template}.spec.{place}")]);
                assert_eq!(said(&restricted, &broken), found, "restricted: {kind} {path}");
                let found = if from == Baseline { found } else { only("", &[]) };
                assert_eq!(said(&baseline, &broken), found, "baseline: {kind} {path}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 4 * 3 * (6 + 8 + 3 * (14 + 8)));
}

#[test]
fn an_unconfined_profile_by_annotation_is_found() {
    const KEY: &str = "container.apparmor.security.beta.kubernetes.io/ray-head";
    let policies = policy("podSecurity: {level: baseline}");
    for (profile, fine) in [("unconfined", false), ("runtime/default", true), ("localhost/x", true)]
    {
        let mut spec = sound();
        set(&mut spec, "headGroupSpec.template.metadata", json!({"annotations": {KEY: profile}}));
        let place = format!("spec.headGroupSpec.template.metadata.annotations[{KEY}]");
        let places = if fine { vec![] } else { vec![place] };
        let found = said(&policies, &object("RayCluster", "spec", &spec));
        assert_eq!(found, only("policy/pod-security", &places), "{profile}");
    }
}

#[test]
fn what_neither_pod_nor_container_says_is_missed_in_each_container() {
    let policies = policy("podSecurity: {level: restricted}");
    for key in ["runAsNonRoot", "seccompProfile"] {
        let mut spec = sound();
        set(
            &mut spec,
            &format!("workerGroupSpecs[1].template.spec.securityContext.{key}"),
            Value::Null,
        );
        let container =
            |it: &str| format!("spec.workerGroupSpecs[1].template.spec.{it}.securityContext.{key}");
        let places = ["containers[0]", "containers[1]", "initContainers[0]"].map(container);
        let found = said(&policies, &object("RayCluster", "spec", &spec));
        assert_eq!(found, only("policy/pod-security", &places));
    }
}

#[test]
fn a_context_of_the_pod_alone_and_one_of_the_containers_alone_are_both_enough() {
    let policies = policy("podSecurity: {level: restricted}");
    let mut spec = sound();
    for template in TEMPLATES {
        set(&mut spec, &format!("{template}.spec.securityContext"), Value::Null);
        for container in ["containers[0]", "containers[1]", "initContainers[0]"] {
            let context = format!("{template}.spec.{container}.securityContext");
            set(&mut spec, &format!("{context}.runAsNonRoot"), json!(true));
            set(&mut spec, &format!("{context}.seccompProfile"), json!({"type": "Localhost"}));
        }
    }
    assert_eq!(said(&policies, &object("RayCluster", "spec", &spec)), only("", &[]));
}

#[test]
fn the_injected_sidecar_passes_the_restricted_level_with_the_context_of_its_head() {
    let policies = policy("podSecurity: {level: restricted}\nsidecar: {podSecurity: restricted}");
    let mut spec = sound();
    set(&mut spec, "enableInTreeAutoscaling", json!(true));
    let new = object("RayCluster", "spec", &spec);
    for write in [Write::standalone(&policies), Write::by_alice(&policies)] {
        let answer = write.ask(Phase::Offline, &new);
        assert!(answer.allowed && !answer.patch.is_empty(), "{:?}", answer.findings);
        let stored = patched(&new, &answer);
        assert_eq!(write.said(Phase::Validate, &stored), only("", &[]));
    }
    let write = Write::standalone(&policies);
    let stored = patched(&new, &write.ask(Phase::Offline, &new));
    let sidecar = &stored["spec"]["headGroupSpec"]["template"]["spec"]["containers"][2];
    assert_eq!(sidecar["name"], "autoscaler");
    // A sidecar that somebody loosens afterwards is found where it stands.
    let mut loose = stored.clone();
    let context = "spec.headGroupSpec.template.spec.containers[2].securityContext.privileged";
    set(&mut loose, context, json!(true));
    let write = Write { old: Some(stored), ..write };
    let found = write.said(Phase::Validate, &loose);
    let rules = ["policy/pod-security", "policy/sidecar"];
    assert_eq!(found, rules.map(|rule| format!("{rule} at {context}")).into());
}

#[test]
fn an_old_fault_warns_and_a_new_one_refuses() {
    let policies = policy("podSecurity: {level: baseline}");
    let mut stored = sound();
    set(&mut stored, "headGroupSpec.template.spec.hostPID", json!(true));
    let mut next = stored.clone();
    set(&mut next, "workerGroupSpecs[0].replicas", json!(2));
    let write =
        Write { old: Some(object("RayCluster", "spec", &stored)), ..Write::by_alice(&policies) };
    assert!(write.ask(Phase::Validate, &object("RayCluster", "spec", &next)).allowed);
    set(&mut next, "headGroupSpec.template.spec.hostIPC", json!(true));
    let answer = write.ask(Phase::Validate, &object("RayCluster", "spec", &next));
    let refused: Vec<String> = answer.denials().map(|finding| finding.at.to_string()).collect();
    assert_eq!(refused, ["spec.headGroupSpec.template.spec.hostIPC"]);
}
