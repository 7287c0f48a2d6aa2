use serde_json::{Value, json};

use super::for_pod;
use crate::admission::{Answer, Phase, PolicySet, Review, Settings, review};
use crate::model::{NodeManager, Op, Operation};

fn cluster() -> Value {
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "lab", "namespace": "team-a"},
        "spec": {
            "enableInTreeAutoscaling": true,
            "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [
                {"name": "ray-head", "image": "x:1", "resources": {"limits": {"cpu": "1"}}}]}}},
            "workerGroupSpecs": [],
        },
    })
}

fn answer(manager: NodeManager, old: Option<&Value>, new: &Value, user: &str) -> Answer {
    let settings = Settings { node_manager: Some(manager), ..Settings::default() };
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    let request = Review::of_manifest(operation, user, "", new.clone(), old.cloned());
    let request = Review { manifest: false, ..request };
    review(&settings, &PolicySet::default(), Phase::Mutate, &request)
}

/// The object as it is stored after a person's write.
fn stored(manager: NodeManager, old: Option<&Value>, new: &Value) -> Value {
    patched(new, &answer(manager, old, new, "alice"))
}

fn patched(object: &Value, answer: &Answer) -> Value {
    let ops: Vec<Value> = answer.patch.iter().map(Op::to_json).collect();
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(ops)).unwrap();
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}

fn head(object: &Value) -> &Value {
    &object["spec"]["headGroupSpec"]["template"]["spec"]
}

fn head_mut(object: &mut Value) -> &mut Value {
    &mut object["spec"]["headGroupSpec"]["template"]["spec"]
}

use NodeManager::{KubeRay, Raywarden};

#[test]
fn the_sidecar_is_marked_last_and_complete() {
    let object = stored(Raywarden, None, &cluster());
    let sidecar = &head(&object)["containers"][1];
    let names: Vec<&str> =
        sidecar["env"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "RAY_CLUSTER_NAME",
            "RAY_CLUSTER_NAMESPACE",
            "RAY_HEAD_POD_NAME",
            "KUBERAY_CRD_VER",
            "KUBERAY_GEN_AUTOSCALER_START_CMD",
            "RAYWARDEN_MANAGED"
        ]
    );
    assert_eq!(sidecar["command"], json!(["/bin/bash", "-c", "--"]));
    assert_eq!(
        sidecar["args"],
        json!(["ray kuberay-autoscaler --cluster-name $(RAY_CLUSTER_NAME) \
                --cluster-namespace $(RAY_CLUSTER_NAMESPACE)"])
    );
}

#[test]
fn a_variable_of_the_options_replaces_ours_in_its_place() {
    let mut object = cluster();
    object["spec"]["autoscalerOptions"] = json!({"env": [
        {"name": "A", "value": "1"}, {"name": "KUBERAY_CRD_VER", "value": "v1alpha1"},
        {"name": "A", "value": "2"}]});
    let object = stored(Raywarden, None, &object);
    let env = &head(&object)["containers"][1]["env"];
    assert_eq!(env[3], json!({"name": "KUBERAY_CRD_VER", "value": "v1alpha1"}));
    assert_eq!(env[5], json!({"name": "A", "value": "2"}));
    assert_eq!(env[6]["name"], "RAYWARDEN_MANAGED");
}

#[test]
fn autoscaler_v2_sets_the_variable_and_the_restart_policy_of_the_head() {
    let mut object = cluster();
    object["spec"]["autoscalerOptions"] = json!({"version": "v2"});
    let object = stored(Raywarden, None, &object);
    assert_eq!(head(&object)["restartPolicy"], "Never");
    let variable = json!([{"name": "RAY_enable_autoscaler_v2", "value": "true"}]);
    assert_eq!(head(&object)["containers"][0]["env"], variable);
    // The stored object passes its own validation.
    let request = Review::of_manifest(Operation::Create, "alice", "", object, None);
    let settings = Settings { node_manager: Some(Raywarden), ..Settings::default() };
    assert!(review(&settings, &PolicySet::default(), Phase::Validate, &request).allowed);
}

#[test]
fn token_authentication_reaches_the_sidecar() {
    let mut object = cluster();
    object["spec"]["authOptions"] = json!({"mode": "token"});
    let object = stored(Raywarden, None, &object);
    let env = head(&object)["containers"][1]["env"].to_string();
    assert!(env.contains(r#""secretKeyRef":{"name":"lab","key":"auth_token"}"#), "{env}");
}

#[test]
fn a_new_head_image_takes_the_sidecar_along_unless_the_options_pin_one() {
    for pinned in [None, Some("as:1")] {
        let mut new = cluster();
        if let Some(image) = pinned {
            new["spec"]["autoscalerOptions"] = json!({"image": image});
        }
        let old = stored(Raywarden, None, &new);
        let mut new = old.clone();
        head_mut(&mut new)["containers"][0]["image"] = json!("x:2");
        let after = stored(Raywarden, Some(&old), &new);
        assert_eq!(head(&after)["containers"][1]["image"], pinned.unwrap_or("x:2"));
    }
}

#[test]
fn one_changed_option_is_carried_into_the_sidecar_and_no_other_default_is() {
    let mut old = stored(Raywarden, None, &cluster());
    // As an earlier release left it.
    head_mut(&mut old)["containers"][1]["args"] = json!(["another line"]);
    let mut new = old.clone();
    new["spec"]["autoscalerOptions"] =
        json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}});
    let after = stored(Raywarden, Some(&old), &new);
    let sidecar = &head(&after)["containers"][1];
    assert_eq!(sidecar["args"], json!(["another line"]));
    assert_eq!(sidecar["resources"]["requests"], json!({"cpu": "1", "memory": "1Gi"}));
}

#[test]
fn what_a_writer_left_out_comes_back_at_its_rank() {
    let mut old = stored(Raywarden, None, &cluster());
    head_mut(&mut old)["containers"].as_array_mut().unwrap().push(json!({"name": "proxy"}));
    let mut new = old.clone();
    head_mut(&mut new)["containers"].as_array_mut().unwrap().remove(1);
    assert_eq!(stored(Raywarden, Some(&old), &new), old);
}

#[test]
fn a_new_default_never_changes_a_stored_object() {
    let old = stored(Raywarden, None, &cluster());
    let mut new = old.clone();
    head_mut(&mut new)["nodeSelector"] = json!({"pool": "a"});
    let settings = Settings {
        node_manager: Some(Raywarden),
        sidecar: crate::model::settings::SidecarSize { cpu: "2".into(), memory: "2Gi".into() },
        ..Settings::default()
    };
    let request = Review::of_manifest(Operation::Update, "alice", "", new, Some(old));
    let answer = review(&settings, &PolicySet::default(), Phase::Mutate, &request);
    assert!(answer.patch.is_empty(), "{:?}", answer.patch);
}

#[test]
fn handed_over_to_kuberay_everything_that_would_break_it_goes() {
    let mut object = cluster();
    object["spec"]["autoscalerOptions"] = json!({"version": "v2", "image": "as:1"});
    let injected = stored(Raywarden, None, &object);
    let mut touched = injected.clone();
    touched["spec"]["rayVersion"] = json!("2.53.0");
    for (old, new) in [(None, &injected), (Some(&injected), &touched)] {
        let after = stored(KubeRay, old, new);
        assert_eq!(head(&after)["containers"].as_array().unwrap().len(), 1);
        assert_eq!(head(&after).get("serviceAccountName"), None);
        assert_eq!(head(&after)["containers"][0]["env"], json!([]));
        assert_eq!(after["spec"]["headGroupSpec"]["rayStartParams"]["no-monitor"], "true");
    }
    // A write of the autoscaler itself leaves all of it alone.
    let mut scaled = injected.clone();
    scaled["spec"]["suspend"] = json!(false);
    let own = "system:serviceaccount:team-a:raywarden-lab";
    assert!(answer(KubeRay, Some(&injected), &scaled, own).patch.is_empty());
}

#[test]
fn an_account_of_the_users_own_is_never_replaced_or_taken_out() {
    let mut object = cluster();
    head_mut(&mut object)["serviceAccountName"] = json!("reader");
    for manager in [Raywarden, KubeRay] {
        let once = stored(manager, None, &object);
        assert_eq!(head(&once)["serviceAccountName"], "reader");
        let other = if manager == Raywarden { KubeRay } else { Raywarden };
        assert_eq!(head(&stored(other, None, &once))["serviceAccountName"], "reader");
    }
}

#[test]
fn opted_out_or_managed_elsewhere_nothing_is_injected() {
    let mut out = cluster();
    out["metadata"]["annotations"] = json!({"raywarden.io/inject": "disabled"});
    let mut elsewhere = cluster();
    elsewhere["spec"]["managedBy"] = json!("kueue.x-k8s.io/multikueue");
    for object in [out, elsewhere] {
        for manager in [Raywarden, KubeRay] {
            assert_eq!(stored(manager, None, &object), object);
        }
    }
}

#[test]
fn with_the_sidecar_at_the_pod_the_stored_object_stays_as_written() {
    let settings = Settings {
        node_manager: Some(Raywarden),
        inject_at: crate::model::settings::InjectAt::Pod,
        ..Settings::default()
    };
    let request = Review::of_manifest(Operation::Create, "alice", "", cluster(), None);
    assert!(review(&settings, &PolicySet::default(), Phase::Mutate, &request).patch.is_empty());
}

#[test]
fn a_head_that_is_built_has_the_sidecar_wherever_it_is_kept_otherwise() {
    let pod = Settings { inject_at: crate::model::settings::InjectAt::Pod, ..Settings::default() };
    let mut queued = cluster();
    queued["metadata"]["labels"] = json!({"kueue.x-k8s.io/queue-name": "research"});
    for (object, settings) in [(cluster(), pod), (queued, Settings::default())] {
        let once = for_pod(&object, &settings).into_owned();
        assert_eq!(head(&once)["containers"][1]["name"], "autoscaler");
        assert_eq!(head(&once)["serviceAccountName"], "raywarden-lab");
        assert_eq!(once["spec"]["headGroupSpec"]["rayStartParams"]["no-monitor"], "true");
        assert_eq!(*for_pod(&once, &settings), once);
    }
}

#[test]
fn a_head_that_is_built_has_the_same_sidecar_as_a_stored_one() {
    let injected = stored(Raywarden, None, &cluster());
    assert_eq!(*for_pod(&cluster(), &Settings::default()), injected);
}

#[test]
fn a_head_that_is_built_keeps_the_stored_sidecar_as_it_is() {
    let mut old = stored(Raywarden, None, &cluster());
    head_mut(&mut old)["containers"][1]["args"] = json!(["another line"]);
    head_mut(&mut old)["serviceAccountName"] = Value::Null;
    let built = for_pod(&old, &Settings::default());
    assert_eq!(head(&built)["containers"][1]["args"], json!(["another line"]));
    assert_eq!(head(&built)["serviceAccountName"], "raywarden-lab");
}

#[test]
fn a_head_is_built_as_it_is_stored_where_injection_is_not_ours_to_do() {
    let mut off = cluster();
    off["spec"]["enableInTreeAutoscaling"] = json!(false);
    let mut out = cluster();
    out["metadata"]["annotations"] = json!({"raywarden.io/inject": "disabled"});
    let mut elsewhere = cluster();
    elsewhere["spec"]["managedBy"] = json!("kueue.x-k8s.io/multikueue");
    let mut foreign = cluster();
    head_mut(&mut foreign)["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "autoscaler"}));
    for object in [off, out, elsewhere, foreign] {
        assert_eq!(*for_pod(&object, &Settings::default()), object);
    }
}
