use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn cluster(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": name, "namespace": "team-a", "uid": "u-1"},
        "spec": spec,
    })
}

fn autoscaled() -> Value {
    cluster("lab", &json!({"enableInTreeAutoscaling": true}))
}

/// The store after the actions, as an API server would keep it.
fn carried_out(mut existing: Vec<Value>, actions: &[Action]) -> Vec<Value> {
    for action in actions {
        match action {
            Action::Create(object) => existing.push(object.clone()),
            Action::Mend(object) => {
                let same = |other: &Value| other["kind"] == object["kind"];
                if let Some(found) = existing.iter_mut().find(|other| same(other)) {
                    found.clone_from(object);
                }
            }
            Action::Remove { kind, .. } => existing.retain(|other| other["kind"] != *kind),
            _ => {}
        }
    }
    existing
}

fn settled(cluster: &Value, mut existing: Vec<Value>) -> Vec<Value> {
    for _ in 0..4 {
        let actions = plan(cluster, &existing);
        if actions.is_empty() {
            return existing;
        }
        existing = carried_out(existing, &actions);
    }
    panic!("no end: {:?}", plan(cluster, &existing));
}

#[test]
fn a_new_cluster_gets_account_role_and_binding_of_one_name() {
    let cluster = autoscaled();
    let made = settled(&cluster, Vec::new());
    let kinds: Vec<&str> = made.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ServiceAccount", "Role", "RoleBinding"]);
    for object in &made {
        assert_eq!(object["metadata"]["name"], "raywarden-lab");
        assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "u-1");
    }
    assert_eq!(made[2]["subjects"][0]["name"], "raywarden-lab");
}

#[test]
fn an_account_that_the_user_named_is_bound_and_never_made() {
    let head = json!({"template": {"spec": {"serviceAccountName": "reader"}}});
    let spec = json!({"enableInTreeAutoscaling": true, "headGroupSpec": head});
    let made = settled(&cluster("lab", &spec), Vec::new());
    assert_eq!(made.len(), 2);
    assert_eq!(made[1]["subjects"][0]["name"], "reader");
}

#[test]
fn nothing_is_made_where_nothing_is_needed() {
    let mut leaving = autoscaled();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let elsewhere =
        json!({"enableInTreeAutoscaling": true, "managedBy": "kueue.x-k8s.io/multikueue"});
    for object in [cluster("lab", &json!({})), leaving, cluster("lab", &elsewhere), json!(7)] {
        assert_eq!(plan(&object, &[]), []);
        assert_eq!(name(&object), None);
    }
}

#[test]
fn an_object_of_our_name_that_is_not_ours_is_left_alone_and_told_of() {
    let cluster = autoscaled();
    let foreign = json!({"kind": "Role", "metadata": {"name": "raywarden-lab"}, "rules": []});
    let actions = plan(&cluster, std::slice::from_ref(&foreign));
    let conflict = Action::Conflict { kind: "Role".into(), name: "raywarden-lab".into() };
    assert!(actions.contains(&conflict), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Mend(_))));
}

#[test]
fn what_drifted_is_mended_and_a_binding_to_another_role_is_replaced() {
    let cluster = autoscaled();
    let sound = settled(&cluster, Vec::new());
    let mut drifted = sound.clone();
    drifted[1]["rules"] = json!([]);
    drifted[2]["roleRef"]["name"] = json!("cluster-admin");
    drifted[2]["metadata"]["uid"] = json!("u-9");
    let actions = plan(&cluster, &drifted);
    assert!(matches!(&actions[0], Action::Mend(object) if object["kind"] == "Role"));
    assert!(matches!(&actions[1], Action::Remove { uid, .. } if uid == "u-9"));
    assert_eq!(settled(&cluster, drifted), sound);
}

proptest! {
    #[test]
    fn a_plan_that_was_carried_out_by_half_gives_the_rest(
        keep in prop::collection::vec(any::<bool>(), 3),
        spoil in prop::collection::vec(any::<bool>(), 3),
        length in 1_usize..80,
    ) {
        let cluster = cluster(&"c".repeat(length), &json!({"enableInTreeAutoscaling": true}));
        let sound = settled(&cluster, Vec::new());
        let mut half = Vec::new();
        for (object, (keep, spoil)) in sound.iter().zip(keep.into_iter().zip(spoil)) {
            let mut object = object.clone();
            if spoil {
                object["metadata"]["labels"] = json!({});
            }
            if keep {
                half.push(object);
            }
        }
        let mut ended = settled(&cluster, half);
        ended.sort_by_key(|object| object["kind"].to_string());
        let mut wanted = sound;
        wanted.sort_by_key(|object| object["kind"].to_string());
        prop_assert_eq!(ended, wanted);
    }

    #[test]
    fn the_role_never_reaches_another_cluster(name in "[a-z]{1,20}") {
        for rule in rules(&name).as_array().unwrap() {
            if rule["apiGroups"] == json!(["ray.io"]) {
                prop_assert_eq!(&rule["resourceNames"], &json!([name]));
            }
            let verbs = rule["verbs"].to_string();
            prop_assert!(!verbs.contains("delete") && !verbs.contains("create") && !verbs.contains('*'));
        }
    }
}
