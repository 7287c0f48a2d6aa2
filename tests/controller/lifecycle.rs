//! Suspension, rebuilding, and the head that goes.

use serde_json::{Value, json};

use super::space::{MOMENT, SOON, Space, autoscaled, cluster};
use super::support::wait::wait_until;

/// Heads of a cluster, those on their way out included.
fn heads(space: &Space) -> Vec<Value> {
    let pods = space.list("pods").into_iter();
    pods.filter(|pod| pod["metadata"]["labels"]["ray.io/node-type"] == "head").collect()
}

#[test]
fn a_suspended_cluster_has_no_pods_and_comes_back_under_new_names() {
    let space = Space::new("suspend");
    let _controller = space.controller(&[]);
    space.create("rayclusters", &autoscaled("lab", 2));
    let mut used: Vec<String> = Vec::new();
    let mut note_names = || {
        let names = [space.names("lab", "head"), space.names("lab", "worker")].concat();
        assert!(!names.iter().any(|name| used.contains(name)), "{names:?} of {used:?}");
        used.extend(names);
    };
    let suspend = json!({"spec": {"suspend": true}});
    for resume in [json!({"spec": {"suspend": false}}), json!({"spec": {"suspend": null}})] {
        space.settle("lab", 2);
        note_names();
        space.run_all("lab");
        space.wait_condition("lab", "RayClusterProvisioned", "True");

        space.merge("rayclusters", "lab", &suspend);

        space.wait_condition("lab", "RayClusterSuspended", "True");
        assert!(space.list("pods").is_empty());
        assert_eq!(space.cluster("lab")["status"]["state"], "suspended");
        for (kind, status, reason) in [
            ("RayClusterSuspending", "False", "RayClusterSuspending"),
            ("RayClusterSuspended", "True", "RayClusterSuspended"),
            ("RayClusterProvisioned", "False", "RayClusterPodsProvisioning"),
        ] {
            let condition = space.condition("lab", kind);
            assert_eq!(
                (&condition["status"], &condition["reason"]),
                (&json!(status), &json!(reason))
            );
        }
        space.stays(MOMENT, "a suspended cluster", || space.list("pods").is_empty());

        space.merge("rayclusters", "lab", &resume);

        let condition = space.wait_condition("lab", "RayClusterSuspended", "False");
        assert_eq!(condition["reason"], "RayClusterSuspended");
    }
    space.settle("lab", 2);
    note_names();
}

#[test]
fn recreate_builds_the_cluster_anew_when_the_template_changes_and_only_then() {
    let space = Space::new("recreate");
    let _controller = space.controller(&[]);
    let mut object = autoscaled("lab", 1);
    object["spec"]["upgradeStrategy"] = json!({"type": "Recreate"});
    let stored = space.create("rayclusters", &object);
    space.settle("lab", 1);
    let hash = |pod: &Value| {
        pod["metadata"]["annotations"]["ray.io/upgrade-strategy-recreate-hash"].clone()
    };
    let first = heads(&space).remove(0);

    // What the webhook adds, and what the autoscaler writes, rebuild nothing.
    let injected =
        raywarden::inject::for_pod(&stored, &raywarden::model::Settings::default()).into_owned();
    assert_ne!(injected["spec"], stored["spec"]);
    space.merge("rayclusters", "lab", &json!({"spec": injected["spec"]}));
    space.scale("lab", 2);
    let workers = space.settle("lab", 2);
    space.stays(MOMENT, "the head", || {
        heads(&space)[0]["metadata"]["uid"] == first["metadata"]["uid"]
    });

    let image = "/spec/workerGroupSpecs/0/template/spec/containers/0/image";
    space.json_patch("lab", &json!([{"op": "replace", "path": image, "value": "other:1"}]));

    wait_until(SOON, "another head", || {
        let heads = heads(&space);
        (heads.len() == 1 && heads[0]["metadata"]["uid"] != first["metadata"]["uid"]).then_some(())
    });
    let again = space.settle("lab", 2);
    let second = heads(&space).remove(0);
    assert_ne!(second["metadata"]["name"], first["metadata"]["name"]);
    assert_ne!(hash(&second), hash(&first));
    assert!(!again.iter().any(|name| workers.contains(name)), "{again:?} of {workers:?}");
    assert_eq!(space.pods("lab", "worker")[0]["spec"]["containers"][0]["image"], "other:1");
}

#[test]
fn no_new_head_comes_before_the_old_one_is_gone() {
    let space = Space::new("head-goes");
    let _controller = space.controller(&[]);
    space.create("rayclusters", &cluster("lab", 2));
    let workers = space.settle("lab", 2);
    let old = space.names("lab", "head").remove(0);
    space.merge("pods", &old, &json!({"metadata": {"finalizers": ["example.com/wait"]}}));

    space.delete("pods", &old);

    space.stays(MOMENT, "the old head alone", || heads(&space).len() == 1);
    space.merge("pods", &old, &json!({"metadata": {"finalizers": null}}));
    assert_eq!(space.settle("lab", 2), workers, "workers of a head that went stay");
    assert_ne!(space.names("lab", "head")[0], old);
}

#[test]
fn a_worker_on_its_way_out_is_replaced_at_once_or_where_that_is_wanted_once_it_is_gone() {
    for (name, flags) in [("at-once", &[][..]), ("once-gone", &["--replace-after-gone"])] {
        let space = Space::new(name);
        let _controller = space.controller(flags);
        space.create("rayclusters", &cluster("lab", 2));
        let two = space.settle("lab", 2);
        let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
        space.merge("pods", &two[0], &finalizers(json!(["test/held"])));

        space.delete("pods", &two[0]);

        if flags.is_empty() {
            space.settle("lab", 2);
        } else {
            space.stays(2 * MOMENT, "one worker", || space.names("lab", "worker") == two[1..]);
        }
        space.merge("pods", &two[0], &finalizers(Value::Null));
        let now = space.settle("lab", 2);
        assert!(now.contains(&two[1]) && !now.contains(&two[0]), "{two:?} {now:?}");
    }
}
