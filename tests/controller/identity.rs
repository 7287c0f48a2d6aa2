//! Account, Role and binding of autoscalers, and the account of the controller itself.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::WORLD;
use super::space::{MOMENT, SOON, Space, autoscaled, cluster};
use super::support::controller::Controller;
use super::support::wait::wait_until;

/// The garbage collector learns of a new kind half a minute after its start.
const GARBAGE: Duration = Duration::from_mins(1);

const OURS: [&str; 3] = ["serviceaccounts", "roles", "rolebindings"];

#[test]
fn a_role_that_drifted_is_mended() {
    let space = Space::new("drift");
    let _controller = space.controller(&[]);
    space.create("rayclusters", &autoscaled("lab", 0));
    space.settle("lab", 0);
    let rules = |role: &Value| role["rules"].clone();
    let role = space.find("roles", "raywarden-lab").expect("the Role");
    let binding = space.find("rolebindings", "raywarden-lab").expect("the binding");

    space.merge(
        "roles",
        "raywarden-lab",
        &json!({"rules": [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}),
    );
    space.merge("rolebindings", "raywarden-lab", &json!({"subjects": []}));

    wait_until(SOON, "the Role is mended", || {
        let now = space.find("roles", "raywarden-lab")?;
        (rules(&now) == rules(&role)).then_some(())
    });
    wait_until(SOON, "the binding is mended", || {
        let now = space.find("rolebindings", "raywarden-lab")?;
        (now["subjects"] == binding["subjects"]).then_some(())
    });
    space.delete("roles", "raywarden-lab");
    wait_until(SOON, "the Role is made anew", || space.find("roles", "raywarden-lab"));
}

#[test]
fn a_foreign_role_of_our_name_stays_as_it_is_and_the_rest_is_made() {
    let space = Space::new("foreign-role");
    let theirs = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "raywarden-lab"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    });
    let before = space.create("roles", &theirs);
    let _controller = space.controller(&[]);
    space.create("rayclusters", &autoscaled("lab", 1));

    let condition = space.wait_condition("lab", "RBACConflict", "True");

    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("Role raywarden-lab"), "{message}");
    space.settle("lab", 1);
    assert!(space.find("serviceaccounts", "raywarden-lab").is_some());
    assert!(space.find("rolebindings", "raywarden-lab").is_some());
    space.told("NameTaken", "Role raywarden-lab");
    assert_eq!(space.find("roles", "raywarden-lab"), Some(before));
}

#[test]
fn an_account_that_the_user_names_is_bound_and_never_made_or_owned() {
    let space = Space::new("own-account");
    let _controller = space.controller(&[]);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s3"}});
    let before = space.create("serviceaccounts", &account);
    let mut object = autoscaled("lab", 0);
    object["spec"]["headGroupSpec"]["template"]["spec"]["serviceAccountName"] = json!("s3");
    space.create("rayclusters", &object);

    space.settle("lab", 0);

    assert_eq!(space.pods("lab", "head")[0]["spec"]["serviceAccountName"], "s3");
    let binding = space.find("rolebindings", "raywarden-lab").expect("the binding");
    assert_eq!(binding["subjects"][0]["name"], "s3");
    assert_eq!(space.find("serviceaccounts", "raywarden-lab"), None);
    assert_eq!(space.find("serviceaccounts", "s3"), Some(before));
}

#[test]
fn an_account_that_is_missing_is_named_and_the_head_comes_once_it_is_there() {
    let space = Space::new("no-account");
    let _controller = space.controller(&[]);
    let mut object = autoscaled("lab", 1);
    object["spec"]["headGroupSpec"]["template"]["spec"]["serviceAccountName"] = json!("later");
    space.create("rayclusters", &object);

    let condition = space.wait_condition("lab", "ServiceAccountMissing", "True");

    assert!(condition["message"].as_str().unwrap().contains("later"), "{condition}");
    assert!(space.list("pods").is_empty());
    assert_eq!(space.find("serviceaccounts", "later"), None, "never made for the user");
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "later"}});
    space.create("serviceaccounts", &account);
    space.settle("lab", 1);
    wait_until(SOON, "the condition goes", || {
        space.condition("lab", "ServiceAccountMissing").is_null().then_some(())
    });
}

#[test]
fn an_account_that_gives_no_token_is_told_of_unless_the_head_mounts_one_itself() {
    let space = Space::new("no-token");
    let _controller = space.controller(&[]);
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "hardened"},
        "automountServiceAccountToken": false,
    });
    space.create("serviceaccounts", &account);
    let mut object = autoscaled("mounts", 0);
    object["spec"]["headGroupSpec"]["template"]["spec"]["serviceAccountName"] = json!("hardened");
    let mut bare = object.clone();
    object["spec"]["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"] =
        json!(true);
    space.create("rayclusters", &object);
    space.settle("mounts", 0);
    bare["metadata"]["name"] = json!("bare");
    space.create("rayclusters", &bare);
    space.settle("bare", 0);
    space.told("AutoscalerWithoutToken", "account hardened gives Pods no token");
    let events = space.list("events").into_iter();
    let about: Vec<String> = events
        .filter(|event| event["reason"] == "AutoscalerWithoutToken")
        .map(|event| event["regarding"]["name"].to_string())
        .collect();
    assert_eq!(about, ["\"bare\""]);
}

#[test]
fn of_two_long_similar_names_one_can_be_deleted_without_the_other() {
    let space = Space::new("similar");
    let _controller = space.controller(&[]);
    let stem = "a-very-long-name-of-a-ray-cluster-of-one-of-our-te";
    let names = [format!("{stem}-a"), format!("{stem}-b")];
    for name in &names {
        space.create("rayclusters", &autoscaled(name, 1));
    }
    for name in &names {
        space.settle(name, 1);
    }
    let owned_by = |name: &str| {
        let uid = space.cluster(name)["metadata"]["uid"].clone();
        let kinds = OURS.iter().chain(&["services", "pods"]);
        let all = kinds.flat_map(|kind| space.list(kind));
        all.filter(|it| it["metadata"]["ownerReferences"][0]["uid"] == uid).collect::<Vec<_>>()
    };
    let of_second = owned_by(&names[1]);
    assert_eq!((owned_by(&names[0]).len(), of_second.len()), (6, 6));

    space.delete("rayclusters", &names[0]);

    wait_until(GARBAGE, "the first one's Pods go", || {
        (space.list("pods").len() == 2).then_some(())
    });
    wait_until(GARBAGE, "the first one's roles go", || {
        (space.list("roles").len() == 1).then_some(())
    });
    space.stays(MOMENT, "the second's objects", || owned_by(&names[1]).len() == 6);
    let uids = |objects: &[Value]| -> Vec<Value> {
        objects.iter().map(|it| it["metadata"]["uid"].clone()).collect()
    };
    assert_eq!(uids(&owned_by(&names[1])), uids(&of_second));
}

/// A kubeconfig of an account with these rules everywhere, and the Lease in its own namespace.
fn restricted(space: &Space, rules: &Value) -> PathBuf {
    let plane = &WORLD.plane;
    let name = &space.name;
    let group = "rbac.authorization.k8s.io";
    let subject = json!([{"kind": "ServiceAccount", "name": "controller", "namespace": name}]);
    let of = |kind: &str| json!({"apiGroup": group, "kind": kind, "name": name});
    let lease = json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                        "verbs": ["get", "create", "update"]}]);
    let items = json!([
        {"apiVersion": "v1", "kind": "ServiceAccount",
         "metadata": {"name": "controller", "namespace": name}},
        {"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name},
         "rules": rules},
        {"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
         "metadata": {"name": name}, "roleRef": of("ClusterRole"), "subjects": subject},
        {"apiVersion": format!("{group}/v1"), "kind": "Role",
         "metadata": {"name": name, "namespace": name}, "rules": lease},
        {"apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
         "metadata": {"name": name, "namespace": name}, "roleRef": of("Role"),
         "subjects": subject},
    ]);
    plane.apply_yaml(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    let token = plane.kubectl(&["create", "token", "controller", "-n", name]).ok();
    plane.write_kubeconfig(name, token.trim())
}

/// The rules that the controller says it needs.
fn needed() -> Vec<Value> {
    let rules = raywarden::control::rights::NEEDED.iter().map(|(group, resource, verbs)| {
        json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
    });
    rules.collect()
}

#[test]
fn a_right_that_is_missing_is_named_by_readyz() {
    let space = Space::new("short-of-one");
    let mut rules = needed();
    let pods = rules.iter_mut().find(|it| it["resources"][0] == "pods").expect("a rule of Pods");
    pods["verbs"].as_array_mut().unwrap().retain(|verb| verb != "delete");
    let kubeconfig = restricted(&space, &json!(rules));

    let controller = Controller::begin(&kubeconfig, &space.name, &["--node-manager", "kuberay"]);

    let page = wait_until(SOON, "readyz names what is missing", || {
        let (status, page) = controller.readyz();
        (status == 503 && page.contains("missing")).then_some(page)
    });
    assert!(page.contains("delete pods (core)"), "{page}");
    assert!(!page.contains("create"), "nothing else is missing: {page}");
    wait_until(SOON, "the watches are complete all the same", || {
        controller.readyz().1.contains("[+] watches: every").then_some(())
    });
}

#[test]
fn a_watch_without_its_right_is_counted_and_goes_on_once_it_is_granted() {
    let space = Space::new("no-watch");
    let mut rules = needed();
    rules.retain(|rule| rule["resources"][0] != "jobs");
    let kubeconfig = restricted(&space, &json!(rules));
    let mut controller = Controller::launch(&kubeconfig, &space.name, &[]);
    wait_until(SOON, "the refusals are counted", || {
        let line = "watch_errors_total{watch=\"Job\",reason=\"forbidden\"}";
        controller.metrics().contains(line).then_some(())
    });
    space.create("rayclusters", &autoscaled("lab", 1));
    wait_until(SOON, "readyz names the right", || {
        let (status, page) = controller.readyz();
        (status == 503 && page.contains("(batch)")).then_some(())
    });
    space.stays(MOMENT, "nothing is made", || space.list("pods").is_empty());

    restricted(&space, &json!(needed()));
    controller.wait_ready();
    space.settle("lab", 1);
    let page = controller.metrics();
    assert!(page.contains("steps_total{step=\"create_pod\"} 2"), "{page}");
}

#[test]
fn the_rights_it_asks_for_are_enough() {
    let space = Space::new("just-enough");
    let kubeconfig = restricted(&space, &json!(needed()));
    let controller = Controller::start(
        &kubeconfig,
        &space.name,
        &["--stale-victims-after", "1s", "--orphan-grace", "1s"],
    );
    let mut object = autoscaled("lab", 2);
    object["spec"]["authOptions"] = json!({"mode": "token"});
    space.create("rayclusters", &object);
    let all = space.settle("lab", 2);
    space.run_all("lab");
    space.wait_condition("lab", "RayClusterProvisioned", "True");

    space.name_victims("lab", &[&all[0]]);
    wait_until(SOON, "the victim is replaced", || {
        let names = space.names("lab", "worker");
        (names.len() == 2 && !names.contains(&all[0])).then_some(())
    });
    wait_until(SOON, "the list is cleared", || {
        let cluster = space.cluster("lab");
        let list = &cluster["spec"]["workerGroupSpecs"][0]["scaleStrategy"]["workersToDelete"];
        (*list == json!([])).then_some(())
    });
    space.merge("roles", "raywarden-lab", &json!({"rules": []}));
    wait_until(SOON, "the Role is mended", || {
        let role = space.find("roles", "raywarden-lab")?;
        (role["rules"] != json!([])).then_some(())
    });
    let binding = space.find("rolebindings", "raywarden-lab").unwrap();
    space.delete("rolebindings", "raywarden-lab");
    let mut drifted = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "raywarden-lab", "labels": binding["metadata"]["labels"],
                     "ownerReferences": binding["metadata"]["ownerReferences"]},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "elsewhere"},
    });
    drifted["subjects"] = binding["subjects"].clone();
    // The controller may be faster than we are; then its own binding stands.
    WORLD.call(
        "POST",
        &format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", space.name),
        "application/json",
        &drifted,
    );
    wait_until(SOON, "the binding is as it was", || {
        let now = space.find("rolebindings", "raywarden-lab")?;
        (now["roleRef"] == binding["roleRef"]).then_some(())
    });
    space.create("rayclusters", &cluster("plain", 1));
    space.settle("plain", 1);
    space.told("CreatedPods", "lab-head");
    let report = controller.report();
    assert!(!report.contains("forbidden"), "{report}");
}
