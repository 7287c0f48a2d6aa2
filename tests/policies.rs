//! Administrators' policies on a real API server: their definition, their own admission, how they come
//! into force, and a rollout from audit to deny over clusters that break them already.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use support::account::with_rights;
use support::control_plane::{ControlPlane, Options};
use support::controller::Controller;
use support::run::{Ran, run};
use support::wait::wait_until;
use support::webhook::{Webhook, raywarden};

const SOON: Duration = Duration::from_mins(1);

const CRD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crd/rayclusterpolicy.yaml");

#[test]
fn the_definition_explains_itself_and_refuses_what_no_policy_can_say() {
    let plane = ControlPlane::start(Options { crd: Some(CRD.to_owned()), ..Options::default() });
    let explained = wait_until(SOON, "the server publishes the schema", || {
        let explained = plane.kubectl(&["explain", "rayclusterpolicy.spec.ceilings"]);
        explained.status.success().then_some(explained.stdout)
    });
    println!("{explained}");
    for part in ["perCluster", "The most that one cluster may reach", "deny: Refused"] {
        assert!(explained.contains(part), "{part} is not in {explained}");
    }
    let policy = |spec: &str| {
        format!(
            "apiVersion: raywarden.io/v1alpha1\nkind: RayClusterPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
        )
    };
    let apply = |spec: &str| plane.kubectl_with("admin", &["apply", "-f", "-"], &policy(spec));
    for (bad, at) in [
        ("{enforcement: block}", "spec.enforcement"),
        ("{ceilings: {perCluster: {pods: many}}}", "spec.ceilings.perCluster.pods"),
        ("{labels: {required: [{values: [a]}]}}", "spec.labels.required[0].key"),
        ("{rules: [{name: r, expression: 'true'}]}", "spec.rules[0].message"),
        ("{ceilngs: {}}", "spec.ceilngs"),
    ] {
        let refusal = apply(bad).refused();
        assert!(refusal.contains(at), "{bad}: {refusal}");
    }
    apply("{ceilings: {perCluster: {pods: 4, cpu: 8, memory: 16Gi, resources: {x: 500m}}}}").ok();
    let stored = plane.get_json(&["rayclusterpolicy", "p"]);
    assert_eq!(stored["spec"]["enforcement"], "audit", "{stored}");
    let listed = plane.kubectl(&["get", "rcp"]).ok();
    assert!(listed.contains("ENFORCEMENT") && listed.contains("BREAKING"), "{listed}");
}

/// A control plane with KubeRay's definition of a cluster and ours of a policy.
fn plane() -> ControlPlane {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    plane.kubectl(&["create", "-f", CRD]).ok();
    wait_until(SOON, "policies are served", || {
        plane.kubectl(&["get", "rayclusterpolicies"]).status.success().then_some(())
    });
    plane
}

/// A webhook that watches policies, and is asked by the API server.
fn webhook(plane: &ControlPlane) -> Webhook {
    let kubeconfig = plane.kubeconfig("admin").display().to_string();
    let webhook =
        Webhook::start(plane, &["--policies", "watch", "--kubeconfig", kubeconfig.as_str()]);
    webhook.register(plane);
    webhook
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: raywarden.io/v1alpha1\nkind: RayClusterPolicy\nmetadata: {{name: {name}}}\n\
         spec: {spec}\n"
    )
}

fn apply(plane: &ControlPlane, yaml: &str) -> Ran {
    plane.kubectl_with("alice", &["apply", "-f", "-"], yaml)
}

/// A sound cluster; `labels` in flow style.
fn cluster(name: &str, labels: &str, replicas: u32) -> String {
    let resources = "{limits: {cpu: 1, memory: 2Gi}, requests: {cpu: 1, memory: 2Gi}}";
    format!(
        "apiVersion: ray.io/v1\nkind: RayCluster\n\
         metadata: {{name: {name}, namespace: default, labels: {labels}}}\n\
         spec:\n  rayVersion: 2.52.0\n  headGroupSpec:\n    rayStartParams: {{}}\n    \
         template: {{spec: {{containers: [{{name: head, image: ray, resources: {resources}}}]}}}}\n  \
         workerGroupSpecs:\n  - groupName: small\n    replicas: {replicas}\n    minReplicas: 0\n    \
         maxReplicas: 9\n    rayStartParams: {{}}\n    \
         template: {{spec: {{containers: [{{name: worker, image: ray, resources: {resources}}}]}}}}\n"
    )
}

/// Applies until what is said holds the words, or for `None` until nothing of policies is said.
fn until_said(plane: &ControlPlane, yaml: &str, words: Option<&str>) -> Ran {
    wait_until(SOON, &format!("{words:?} is said"), || {
        let said = plane.kubectl_with("alice", &["apply", "--dry-run=server", "-f", "-"], yaml);
        let heard = match words {
            Some(words) => said.stderr.contains(words),
            None => said.status.success() && !said.stderr.contains("policy"),
        };
        heard.then_some(said)
    })
}

const TWO_FLAWS: &str = "{enforcement: deny, match: {kinds: [RayCluste]}, rules: [{name: odd, \
                         message: m, expression: 'clutser.name == \"x\"'}]}";

#[test]
fn a_bad_policy_is_refused_with_every_flaw_and_a_good_one_holds_within_seconds() {
    let plane = plane();
    let _webhook = webhook(&plane);
    let refusal = apply(&plane, &policy("bad", TWO_FLAWS)).refused();
    for part in [
        "spec.match.kinds[0]",
        "is no Ray kind; allowed: RayCluster",
        "spec.rules[0].expression",
        "reads \"clutser\", which is not there",
        "[raywarden policy/flaw]",
    ] {
        assert!(refusal.contains(part), "{part} is not in {refusal}");
    }
    assert!(!plane.kubectl(&["get", "rcp", "bad"]).status.success());

    let team = cluster("team", "{}", 1);
    apply(&plane, &team).ok();
    let rule = "{enforcement: deny, rules: [{name: named-team, message: the cluster has no team, \
                fix: label it, expression: '\"team\" in cluster.labels'}]}";
    apply(&plane, &policy("teams", rule)).ok();
    let said = until_said(&plane, &cluster("other", "{}", 1), Some("is invalid"));
    let refusal = said.refused();
    for part in ["named-team: the cluster has no team", "label it", "policy teams/named-team"] {
        assert!(refusal.contains(part), "{part} is not in {refusal}");
    }
    apply(&plane, &cluster("other", "{team: a}", 1)).ok();

    plane.kubectl(&["delete", "rcp", "teams"]).ok();
    until_said(&plane, &cluster("third", "{}", 1), None);
}

#[test]
fn a_bad_policy_that_got_in_during_an_outage_is_left_out_while_the_good_ones_hold() {
    let plane = plane();
    let mut webhook = webhook(&plane);
    let good = "{enforcement: deny, labels: {required: [{key: team}]}}";
    apply(&plane, &policy("good", good)).ok();
    let holds = || {
        let said = until_said(&plane, &cluster("c", "{}", 1), Some("policy good"));
        assert!(!said.status.success(), "{}", said.report());
    };
    holds();
    apply(&plane, &policy("bad", TWO_FLAWS)).refused();
    webhook.stop();
    // It stays registered while nobody answers, and what is written now gets in.
    let registered = plane.get_json(&["validatingwebhookconfiguration", "raywarden"]);
    for entry in registered["webhooks"].as_array().expect("a list") {
        assert_eq!(entry["failurePolicy"], "Ignore", "{entry}");
    }
    apply(&plane, &policy("bad", TWO_FLAWS)).ok();
    apply(&plane, &cluster("breaks", "{}", 1)).ok();
    apply(&plane, &cluster("keeps", "{team: a}", 1)).ok();
    webhook.serve();
    holds();
    until_said(&plane, &cluster("c", "{team: a}", 1), None);

    let kubeconfig = plane.kubeconfig("admin").to_owned();
    let mut controller = Controller::begin(&kubeconfig, "default", &["--node-manager", "kuberay"]);
    controller.wait_leads();
    let accepted = |name: &str, wanted: &str| {
        wait_until(SOON, &format!("{name} is told {wanted}"), || {
            let policy = plane.get_json(&["rcp", name]);
            let status = &policy["status"];
            (status["conditions"][0]["status"] == wanted).then(|| policy.clone())
        })
    };
    let bad = accepted("bad", "False");
    let flaws: Vec<&str> = bad["status"]["flaws"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|flaw| flaw["field"].as_str())
        .collect();
    assert_eq!(flaws.len(), 2, "{bad}");
    assert!(flaws.contains(&"spec.match.kinds[0]") && flaws.contains(&"spec.rules[0].expression"));
    let good = accepted("good", "True");
    assert_eq!(good["status"]["observedGeneration"], good["metadata"]["generation"]);
    let listed = plane.kubectl(&["get", "rcp"]).ok();
    assert!(listed.contains("False") && listed.contains("True"), "{listed}");

    // The good one is about a cluster that breaks it, which was stored while nobody answered.
    wait_until(SOON, "the good one is counted", || {
        let status = &plane.get_json(&["rcp", "good"])["status"];
        (status["matching"] == 2 && status["breaking"] == 1).then_some(())
    });

    // Its owner can label it and take it away, and mending it brings it into force.
    plane.kubectl(&["label", "rcp", "bad", "seen=yes"]).ok();
    let mended = "{enforcement: deny, labels: {required: [{key: owner}]}}";
    apply(&plane, &policy("bad", mended)).ok();
    let mended = accepted("bad", "True");
    assert_eq!(mended["status"]["flaws"], json!([]), "{mended}");
    until_said(&plane, &cluster("c", "{team: a}", 1), Some("policy bad"));
    // Once it is counted too, what is said already is not written again.
    let counted = wait_until(SOON, "the mended one is counted", || {
        let policy = plane.get_json(&["rcp", "bad"]);
        let status = &policy["status"];
        (status["matching"] == 2 && status["breaking"] == 2).then_some(policy)
    });
    let before = counted["metadata"]["resourceVersion"].clone();
    plane.kubectl(&["label", "rcp", "good", "seen=yes"]).ok();
    accepted("good", "True");
    assert_eq!(plane.get_json(&["rcp", "bad"])["metadata"]["resourceVersion"], before);
}

#[test]
fn an_exception_ends_when_it_says_and_namespaces_are_chosen_by_their_labels() {
    let plane = plane();
    let _webhook = webhook(&plane);
    let ends = Timestamp::now().as_second() + 15;
    let ends = Timestamp::from_second(ends).expect("a moment");
    let spec = format!(
        "{{enforcement: deny, match: {{namespaceSelector: {{matchLabels: {{tier: gold}}}}}}, labels: \
         {{required: [{{key: team}}]}}, exceptions: [{{owner: o, reason: r, expires: '{ends}'}}]}}"
    );
    apply(&plane, &policy("gold", &spec)).ok();
    until_said(&plane, &cluster("c", "{}", 1), None);
    plane.kubectl(&["label", "namespace", "default", "tier=gold"]).ok();
    let said = until_said(&plane, &cluster("c", "{}", 1), Some("policy gold"));
    assert!(!said.status.success(), "{}", said.report());
    let now = Timestamp::now();
    assert!(now >= ends, "refused at {now}, excepted until {ends}");
    plane.kubectl(&["label", "namespace", "default", "tier-"]).ok();
    until_said(&plane, &cluster("c", "{}", 1), None);
}

#[test]
fn a_ceiling_of_a_namespace_counts_what_is_stored_there_and_follows_it() {
    let plane = plane();
    let _webhook = webhook(&plane);
    // Each has eight workers and a head.
    apply(&plane, &cluster("one", "{}", 8)).ok();
    let spec = "{enforcement: warn, ceilings: {perNamespace: {pods: 15}}}";
    apply(&plane, &policy("share", spec)).ok();
    let two = cluster("two", "{}", 8);
    let said = until_said(&plane, &two, Some("policy share"));
    assert!(said.status.success() && said.stderr.contains("18"), "{}", said.report());
    // The stored one is not counted beside itself.
    until_said(&plane, &cluster("one", "{}", 9), None);
    plane.kubectl(&["delete", "raycluster", "one"]).ok();
    until_said(&plane, &two, None);
    apply(&plane, &two).ok();
    until_said(&plane, &cluster("one", "{}", 8), Some("policy share"));
}

#[test]
fn dominos_clusters_count_from_when_their_kind_is_served() {
    let plane = plane();
    let _webhook = webhook(&plane);
    let spec = "{enforcement: warn, ceilings: {perNamespace: {pods: 15}}}";
    apply(&plane, &policy("share", spec)).ok();
    let one = cluster("one", "{}", 8);
    apply(&plane, &one).ok();
    until_said(&plane, &one, None);
    plane.apply_yaml(include_str!("data/domino/crd.yaml"));
    let theirs = "apiVersion: distributed-compute.dominodatalab.com/v1alpha1\nkind: RayCluster\n\
                  metadata: {name: one, namespace: default}\nspec: {worker: {replicas: 8}}\n";
    wait_until(SOON, "Domino's clusters are served", || {
        let made = plane.kubectl_with("admin", &["apply", "-f", "-"], theirs);
        made.status.success().then_some(())
    });
    let said = until_said(&plane, &cluster("one", "{}", 9), Some("policy share"));
    assert!(said.status.success() && said.stderr.contains("19 Pods"), "{}", said.report());
    let name = "rayclusters.distributed-compute.dominodatalab.com";
    plane.kubectl(&["delete", name, "one"]).ok();
    until_said(&plane, &cluster("one", "{}", 9), None);
}

#[test]
fn an_audit_asks_the_policies_in_force_and_a_file_stands_for_its_namesake() {
    let plane = plane();
    apply(&plane, &cluster("lab", "{}", 1)).ok();
    let spec = |enforcement: &str| {
        format!("{{enforcement: {enforcement}, labels: {{required: [{{key: team}}]}}}}")
    };
    apply(&plane, &policy("team", &spec("deny"))).ok();
    // Nobody who judges policies is registered here.
    apply(&plane, &policy("bad", TWO_FLAWS)).ok();
    let file = plane.dir().join("team.yaml");
    std::fs::write(&file, policy("team", &spec("audit"))).expect("can be written");
    let file = file.display().to_string();
    let audit = |kubeconfig: &Path, flags: &[&str]| {
        let mut command = raywarden();
        command.args(["audit", "--kubeconfig"]).arg(kubeconfig).args(flags);
        let ran = run(command, "", SOON);
        (ran.status.code(), ran.stdout.clone(), ran.report())
    };
    let admin = plane.kubeconfig("admin");
    let (code, said, report) = audit(admin, &[]);
    assert_eq!(code, Some(1), "{report}");
    let effect = "team: about 1 object, broken by 1: 1 to refuse";
    assert!(said.contains(effect), "{report}");
    assert!(report.contains("policy bad is not in force: spec.rules[0].expression: "), "{report}");
    let (code, said, report) = audit(admin, &["--policy", &file]);
    assert_eq!(code, Some(0), "{report}");
    let effect = "team: about 1 object, broken by 1: 0 to refuse, 0 to warn, 1 to audit";
    assert!(said.contains(effect) && said.matches("team: about").count() == 1, "{report}");
    let (code, said, report) = audit(admin, &["--policies", "none"]);
    assert!(code == Some(0) && !said.contains("team: about"), "{report}");

    let rules = "[{apiGroups: [ray.io], resources: [rayclusters], verbs: [get, list]}]";
    let reader = with_rights(&plane, "reader", rules);
    let (code, said, report) = audit(&reader, &[]);
    assert!(code == Some(2) && said.contains("1 object: 0 to refuse"), "{report}");
    for words in ["may not list rayclusterpolicies.raywarden.io: the policies", "--policies none"] {
        assert!(report.contains(words), "{report}");
    }
    assert_eq!(audit(&reader, &["--policies", "none"]).0, Some(0));
}

#[test]
fn a_policy_goes_from_audit_to_warn_to_deny_and_never_blocks_what_broke_it_before() {
    let plane = plane();
    let _webhook = webhook(&plane);
    for name in ["scaled", "deleted"] {
        apply(&plane, &cluster(name, "{}", 4)).ok();
    }
    let stage = |enforcement: &str| {
        let spec = format!(
            "{{enforcement: {enforcement}, labels: {{required: [{{key: team}}]}}, rules: [{{name: \
             small, message: more than two workers, expression: 'cluster.groups.all(g, g.replicas <= 2)'}}]}}"
        );
        apply(&plane, &policy("teams", &spec)).ok();
    };
    let new = cluster("new", "{}", 4);

    stage("audit");
    // A marker that is in force once the policy is: both are in one set.
    apply(&plane, &policy("marker", "{enforcement: warn, labels: {required: [{key: marked}]}}"))
        .ok();
    let said = until_said(&plane, &new, Some("policy marker"));
    assert!(said.status.success() && !said.stderr.contains("teams"), "{}", said.report());
    plane.kubectl(&["delete", "rcp", "marker"]).ok();

    stage("warn");
    let said = until_said(&plane, &new, Some("policy teams"));
    assert!(
        said.status.success() && said.stderr.contains("policy teams/small"),
        "{}",
        said.report()
    );

    stage("deny");
    let refusal = until_said(&plane, &new, Some("is invalid")).refused();
    assert!(
        refusal.contains("has no label team") && refusal.contains("small: more than two"),
        "{refusal}"
    );

    let scaled = "/apis/ray.io/v1/namespaces/default/rayclusters/scaled";
    let patch = |part: &str, patch: Value| {
        let request = plane.request_as("alice", "PATCH", &format!("{scaled}{part}"));
        let answer = request.body("application/merge-patch+json", &patch).send();
        assert_eq!(answer.status, 200, "{part} {patch}: {answer:?}");
        answer.json()
    };
    patch("/status", json!({"status": {"state": "ready"}}));
    patch("", json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    let mut groups = plane.get_json(&["raycluster", "scaled"])["spec"]["workerGroupSpecs"].clone();
    groups[0]["replicas"] = json!(3);
    let scaled = patch("", json!({"spec": {"workerGroupSpecs": groups}}));
    assert_eq!(scaled["spec"]["workerGroupSpecs"][0]["replicas"], 3);
    patch("", json!({"spec": {"suspend": true}}));
    patch("", json!({"metadata": {"finalizers": null}}));
    plane.kubectl(&["delete", "raycluster", "scaled", "deleted"]).ok();
    assert!(!plane.kubectl(&["get", "raycluster", "deleted"]).status.success());
}
