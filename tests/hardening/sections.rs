//! Sidecar, authentication, exposure, queue and autoscaling.

use serde_json::{Value, json};

use super::world::{KINDS, TEMPLATES, Write, object, only, policy, said, set, sound};
use raywarden::admission::Phase;
use raywarden::model::Severity;

/// A policy, what is set beside a sound spec, and the places that are found, below the spec.
type Row = (&'static str, Vec<(&'static str, Value)>, &'static [&'static str]);

/// Holds a table of rows for every kind.
fn hold(rule: &str, rows: Vec<Row>) {
    for (spec, changes, places) in rows {
        let policies = policy(spec);
        for (kind, at) in KINDS {
            let mut cluster = sound();
            for (path, value) in &changes {
                set(&mut cluster, path, value.clone());
            }
            let places: Vec<String> = places.iter().map(|place| format!("{at}.{place}")).collect();
            let found = said(&policies, &object(kind, at, &cluster));
            assert_eq!(found, only(rule, &places), "{kind}: {spec} {changes:?}");
        }
    }
}

const ON: (&str, Value) = ("enableInTreeAutoscaling", Value::Bool(true));

#[test]
fn a_sidecar_that_asks_for_too_much_is_found_in_its_options() {
    const OPTIONS: &str = "autoscalerOptions";
    const POLICY: &str = "sidecar: {cpu: 1, memory: 1Gi}";
    const LIMIT: &str = "autoscalerOptions.resources.limits[cpu]";
    const REQUEST: &str = "autoscalerOptions.resources.requests[memory]";
    let size = |limits: [&str; 2], requests: [&str; 2]| {
        let half = |[cpu, memory]: [&str; 2]| json!({"cpu": cpu, "memory": memory});
        (OPTIONS, json!({"resources": {"limits": half(limits), "requests": half(requests)}}))
    };
    let fits = ["1000m", "1024Mi"];
    hold(
        "policy/sidecar",
        vec![
            (POLICY, vec![ON], &[]),
            (POLICY, vec![ON, size(fits, fits)], &[]),
            (POLICY, vec![ON, size(["1001m", "1Gi"], fits)], &[LIMIT]),
            (POLICY, vec![ON, size(fits, ["1", "1073741825"])], &[REQUEST]),
            (POLICY, vec![ON, size(["2", "1Gi"], ["1", "2Gi"])], &[LIMIT, REQUEST]),
            ("sidecar: {memory: 1Gi}", vec![ON, size(["2", "1Gi"], ["1", "2Gi"])], &[REQUEST]),
            // Without autoscaling the options mean nothing.
            (POLICY, vec![size(["2", "2Gi"], ["2", "2Gi"])], &[]),
        ],
    );
}

#[test]
fn a_loose_sidecar_is_found_in_its_options() {
    const OPTIONS: &str = "autoscalerOptions";
    const BASELINE: &str = "sidecar: {podSecurity: baseline}";
    const RESTRICTED: &str = "sidecar: {podSecurity: restricted}";
    let context = |value: Value| json!({"securityContext": value});
    let strict = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let mut root = strict.clone();
    root["runAsUser"] = json!(0);
    let privileged = json!({"privileged": true});
    hold(
        "policy/sidecar",
        vec![
            (BASELINE, vec![ON, (OPTIONS, context(json!({})))], &[]),
            (
                BASELINE,
                vec![ON, (OPTIONS, context(privileged))],
                &["autoscalerOptions.securityContext.privileged"],
            ),
            (RESTRICTED, vec![ON, (OPTIONS, context(strict))], &[]),
            (
                RESTRICTED,
                vec![ON, (OPTIONS, context(root))],
                &["autoscalerOptions.securityContext.runAsUser"],
            ),
            (
                RESTRICTED,
                vec![ON, (OPTIONS, context(json!({})))],
                &[
                    "autoscalerOptions.securityContext.allowPrivilegeEscalation",
                    "autoscalerOptions.securityContext.capabilities.drop",
                ],
            ),
        ],
    );
}

#[test]
fn a_sidecar_that_says_nothing_is_judged_by_what_it_gets() {
    let policies = policy("sidecar: {podSecurity: restricted}");
    let mut spec = sound();
    set(&mut spec, "enableInTreeAutoscaling", json!(true));
    // A stored cluster of KubeRay's has none; a RayJob's child gets the head's.
    let stored = object("RayCluster", "spec", &spec);
    let mut next = stored.clone();
    set(&mut next, "spec.workerGroupSpecs[0].replicas", json!(2));
    let write = Write { old: Some(stored), ..Write::by_alice(&policies) };
    assert_eq!(write.said(Phase::Validate, &next).len(), 2);
    let job = |spec: &Value| said(&policies, &object("RayJob", "spec.rayClusterSpec", spec));
    assert_eq!(job(&spec), only("", &[]));
    set(&mut spec, "headGroupSpec.template.spec.containers[0].securityContext", Value::Null);
    assert_eq!(job(&spec).len(), 2);
}

#[test]
fn authentication_is_asked_for_with_the_version_that_knows_it() {
    const POLICY: &str = "auth: {requireToken: true}";
    let token = || ("authOptions", json!({"mode": "token"}));
    hold(
        "policy/auth",
        vec![
            (POLICY, vec![token()], &[]),
            (POLICY, vec![], &["authOptions.mode"]),
            (POLICY, vec![("authOptions", json!({}))], &["authOptions.mode"]),
            (POLICY, vec![("authOptions", json!({"mode": "disabled"}))], &["authOptions.mode"]),
            (POLICY, vec![token(), ("rayVersion", json!("2.51.9"))], &["rayVersion"]),
            (POLICY, vec![token(), ("rayVersion", Value::Null)], &["rayVersion"]),
            (POLICY, vec![token(), ("rayVersion", json!("2.60.0"))], &[]),
        ],
    );
}

#[test]
fn each_way_in_from_outside_is_found_and_no_other() {
    const ALL: [&str; 6] =
        ["Ingress", "LoadBalancer", "NodePort", "ExternalIps", "HostPort", "HostNetwork"];
    let service = |spec: Value| ("headGroupSpec.headService", json!({"spec": spec}));
    let ways: Vec<(&str, (&str, Value), &str)> = vec![
        ("Ingress", ("headGroupSpec.enableIngress", json!(true)), "headGroupSpec.enableIngress"),
        (
            "LoadBalancer",
            ("headGroupSpec.serviceType", json!("LoadBalancer")),
            "headGroupSpec.serviceType",
        ),
        (
            "LoadBalancer",
            service(json!({"type": "LoadBalancer"})),
            "headGroupSpec.headService.spec.type",
        ),
        ("NodePort", ("headGroupSpec.serviceType", json!("NodePort")), "headGroupSpec.serviceType"),
        ("NodePort", service(json!({"type": "NodePort"})), "headGroupSpec.headService.spec.type"),
        (
            "ExternalIps",
            service(json!({"externalIPs": ["192.0.2.7"]})),
            "headGroupSpec.headService.spec.externalIPs",
        ),
    ];
    for (kind, at) in KINDS {
        for (way, (path, value), place) in &ways {
            let mut spec = sound();
            set(&mut spec, path, value.clone());
            for forbidden in ALL {
                let policies = policy(&format!("exposure: {{forbid: [{forbidden}]}}"));
                let found = said(&policies, &object(kind, at, &spec));
                let places = if forbidden == *way { vec![format!("{at}.{place}")] } else { vec![] };
                assert_eq!(found, only("policy/exposure", &places), "{kind} {forbidden} {path}");
            }
        }
        let all = policy(&format!("exposure: {{forbid: [{}]}}", ALL.join(", ")));
        let mut spec = sound();
        set(&mut spec, "headGroupSpec.enableIngress", json!(false));
        set(&mut spec, "headGroupSpec.serviceType", json!("ClusterIP"));
        assert_eq!(said(&all, &object(kind, at, &spec)), only("", &[]));
        let inside = ["containers[0].ports[0].hostPort", "initContainers[0].ports[0].hostPort"];
        for template in TEMPLATES {
            for path in inside.iter().chain(&["containers[1].ports[0].hostPort", "hostNetwork"]) {
                let mut spec = sound();
                let path = format!("{template}.spec.{path}");
                let value = if path.ends_with("Network") { json!(true) } else { json!(8265) };
                set(&mut spec, &path, value);
                let found = said(&all, &object(kind, at, &spec));
                assert_eq!(found, only("policy/exposure", &[format!("{at}.{path}")]));
            }
        }
    }
}

#[test]
fn a_rayservice_is_not_opened_by_a_service_of_its_own() {
    let policies = policy("exposure: {forbid: [LoadBalancer, NodePort, ExternalIps]}");
    for (key, value) in [
        ("type", json!("LoadBalancer")),
        ("type", json!("NodePort")),
        ("externalIPs", json!(["192.0.2.7"])),
    ] {
        let mut service = object("RayService", "spec.rayClusterConfig", &sound());
        set(&mut service, &format!("spec.serveService.spec.{key}"), value);
        let place = format!("spec.serveService.spec.{key}");
        assert_eq!(said(&policies, &service), only("policy/exposure", &[place]));
    }
}

const QUEUE: &str = "kueue.x-k8s.io/queue-name";

fn queued(kind: &str, at: &str, queue: Option<&str>) -> Value {
    let mut object = object(kind, at, &sound());
    if let Some(queue) = queue {
        object["metadata"]["labels"] = json!({QUEUE: queue});
    }
    object
}

#[test]
fn a_queue_is_asked_for_by_its_label() {
    let place = format!("metadata.labels[{QUEUE}]");
    for (kind, at) in KINDS {
        for (spec, queue, fine) in [
            ("queue: {required: true}", None, false),
            ("queue: {required: true}", Some(""), false),
            ("queue: {required: true}", Some("team-a"), true),
            ("queue: {allowed: ['team-*']}", None, true),
            ("queue: {allowed: ['team-*']}", Some("team-a"), true),
            ("queue: {allowed: ['team-*']}", Some("gold"), false),
            ("queue: {required: true, allowed: [gold]}", None, false),
            ("queue: {immutable: true}", None, true),
        ] {
            let found = said(&policy(spec), &queued(kind, at, queue));
            let places = if fine { vec![] } else { vec![place.clone()] };
            assert_eq!(found, only("policy/queue", &places), "{kind} {spec} {queue:?}");
        }
    }
}

#[test]
fn nobody_takes_a_cluster_out_of_its_queue_by_a_label_alone() {
    let policies = policy("queue: {immutable: true}");
    let place = only("policy/queue-immutable", &[format!("metadata.labels[{QUEUE}]")]);
    for (kind, at) in KINDS {
        for (before, after, fine) in [
            (Some("a"), Some("a"), true),
            (Some("a"), Some("b"), false),
            (Some("a"), None, false),
            (Some("a"), Some(""), false),
            (None, Some("a"), true),
        ] {
            let write = Write { old: Some(queued(kind, at, before)), ..Write::by_alice(&policies) };
            let mut next = queued(kind, at, after);
            let expected = if fine { only("", &[]) } else { place.clone() };
            assert_eq!(write.said(Phase::Validate, &next), expected, "{kind} {before:?} {after:?}");
            assert_eq!(write.ask(Phase::Validate, &next).allowed, fine);
            // Together with another change too.
            set(&mut next, &format!("{at}.workerGroupSpecs[0].replicas"), json!(2));
            assert_eq!(write.said(Phase::Validate, &next), expected, "{kind} {before:?} {after:?}");
        }
    }
}

#[test]
fn a_machine_may_change_the_queue_and_it_is_noted() {
    let policies = policy("queue: {immutable: true}");
    let write = Write {
        user: "system:serviceaccount:kueue-system:kueue-controller-manager",
        old: Some(queued("RayCluster", "spec", Some("a"))),
        ..Write::by_alice(&policies)
    };
    let answer = write.ask(Phase::Validate, &queued("RayCluster", "spec", Some("b")));
    assert!(answer.allowed);
    assert_eq!(answer.findings.len(), 1);
    assert_eq!(answer.findings[0].severity, Severity::Note);
}

#[test]
fn autoscaling_is_held_to_what_the_section_says() {
    const FLAG: &str = "enableInTreeAutoscaling";
    const REQUIRED: &str = "autoscaling: {mode: Required}";
    const FORBIDDEN: &str = "autoscaling: {mode: Forbidden}";
    const V2: &str = "autoscaling: {versions: [v2]}";
    const CALM: &str = "autoscaling: {upscalingModes: [Conservative, Default]}";
    const IDLE: &str = "autoscaling: {idleTimeoutSeconds: {min: 60, max: 600}}";
    let options = |value: Value| ("autoscalerOptions", value);
    let env = |value: &str| {
        let env = json!([{"name": "RAY_enable_autoscaler_v2", "value": value}]);
        ("headGroupSpec.template.spec.containers[0].env", env)
    };
    let mine = "workerGroupSpecs[1].idleTimeoutSeconds";
    hold(
        "policy/autoscaling",
        vec![
            (REQUIRED, vec![ON], &[]),
            (REQUIRED, vec![], &[FLAG]),
            (REQUIRED, vec![(FLAG, json!(false))], &[FLAG]),
            (REQUIRED, vec![("workerGroupSpecs", json!([]))], &[]),
            (FORBIDDEN, vec![ON], &[FLAG]),
            (FORBIDDEN, vec![], &[]),
            (V2, vec![ON], &[]),
            (V2, vec![ON, options(json!({"version": "v2"}))], &[]),
            (V2, vec![ON, options(json!({"version": "v1"}))], &["autoscalerOptions.version"]),
            (V2, vec![options(json!({"version": "v1"}))], &[]),
            (V2, vec![ON, env("1")], &[]),
            (V2, vec![ON, env("0")], &["headGroupSpec.template.spec.containers[0].env[0]"]),
            (CALM, vec![ON, options(json!({"upscalingMode": "Default"}))], &[]),
            (
                CALM,
                vec![ON, options(json!({"upscalingMode": "Aggressive"}))],
                &["autoscalerOptions.upscalingMode"],
            ),
            (IDLE, vec![ON, options(json!({"idleTimeoutSeconds": 60})), (mine, json!(600))], &[]),
            (
                IDLE,
                vec![ON, options(json!({"idleTimeoutSeconds": 59}))],
                &["autoscalerOptions.idleTimeoutSeconds"],
            ),
            (IDLE, vec![ON, (mine, json!(601))], &["workerGroupSpecs[1].idleTimeoutSeconds"]),
        ],
    );
}

#[test]
fn a_refusal_of_the_mode_says_how_to_write_it_instead() {
    let fix = |policies: &str, on: bool, labels: Value| {
        let mut object = object("RayCluster", "spec", &sound());
        object["spec"]["enableInTreeAutoscaling"] = json!(on);
        object["metadata"]["labels"] = labels;
        let policies = policy(policies);
        let answer = Write::by_alice(&policies).ask(Phase::Validate, &object);
        answer.denials().next().expect("it is refused").message()
    };
    let forbidden = fix("autoscaling: {mode: Forbidden}", true, Value::Null);
    assert!(forbidden.contains("replicas of each group"), "{forbidden}");
    let required = fix("autoscaling: {mode: Required}", false, json!({QUEUE: "a"}));
    assert!(required.contains("kueue.x-k8s.io/elastic-job"), "{required}");
}

#[test]
fn a_long_idle_time_may_be_lowered_and_not_raised() {
    let policies = policy("autoscaling: {idleTimeoutSeconds: {max: 600}}");
    let of = |seconds: i64| {
        let mut spec = sound();
        set(&mut spec, "enableInTreeAutoscaling", json!(true));
        set(&mut spec, "autoscalerOptions", json!({"idleTimeoutSeconds": seconds}));
        object("RayCluster", "spec", &spec)
    };
    let write = Write { old: Some(of(900)), ..Write::by_alice(&policies) };
    assert!(write.ask(Phase::Validate, &of(800)).allowed);
    assert!(!write.ask(Phase::Validate, &of(1000)).allowed);
}
