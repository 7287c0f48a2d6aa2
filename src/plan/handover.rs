//! The change by which a live cluster passes from one node manager to the other.
//!
//! Input: a stored RayCluster and who shall make its Pods. Output: a JSON patch that tests what it was
//! planned from, or nothing where all is as it should be. To raywarden: its Pods may be adopted. To
//! KubeRay: exactly what we put in is taken out, because KubeRay's next head would have two containers
//! of one name and an account that nobody keeps. No Pod is touched either way.

use serde_json::{Value, json};

use super::{ADOPT, Subject};
use crate::dialect::kuberay::managed_elsewhere;
use crate::inject;
use crate::model::{Draft, NodeManager, Op, Pointer};

/// The patch; empty where nothing is to be done, `None` where the cluster is run elsewhere or is no
/// stored object.
pub fn patch(object: &Value, to: NodeManager) -> Option<Vec<Value>> {
    let subject = Subject::of(object)?;
    if managed_elsewhere(&subject.view) {
        return None;
    }
    let adopted = Pointer::of(["metadata", "annotations"]).at(ADOPT);
    let mut draft = Draft::new(object);
    match to {
        NodeManager::Raywarden => draft.set(&adopted, json!("true")),
        NodeManager::KubeRay => {
            draft.remove(&adopted);
            inject::take_out(&subject.view, &mut draft);
        }
    }
    if draft.ops().is_empty() {
        return Some(Vec::new());
    }
    let mut operations = vec![subject.tests_uid()];
    for op in draft.ops() {
        // What is taken out or replaced is what was seen, or nothing happens.
        if let (Op::Remove { at } | Op::Replace { at, .. }, true) =
            (op, is_untouched(op, draft.ops()))
            && let Some(seen) = at.get(object)
        {
            operations.push(json!({"op": "test", "path": at.to_json_pointer(), "value": seen}));
        }
        operations.push(op.to_json());
    }
    Some(operations)
}

/// Whether no earlier operation moved the place of `op`.
fn is_untouched(op: &Op, all: &[Op]) -> bool {
    let mut earlier = all.iter().take_while(|other| !std::ptr::eq(*other, op));
    earlier.all(|other| {
        let list = other.at().split_last().map(|(list, _)| list);
        list.is_none_or(|list| op.at().below(&list).is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Settings;

    fn cluster() -> Value {
        json!({
            "apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": {"name": "lab", "namespace": "ns", "uid": "u"},
            "spec": {
                "enableInTreeAutoscaling": true,
                "headGroupSpec": {"template": {"spec": {"containers": [{"name": "ray-head"}]}}},
                "workerGroupSpecs": [],
            },
        })
    }

    fn patched(object: &Value, operations: &[Value]) -> Value {
        let mut object = object.clone();
        let patch: json_patch::Patch =
            serde_json::from_value(Value::Array(operations.to_vec())).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
        object
    }

    #[test]
    fn to_kuberay_takes_out_what_we_put_in_and_a_second_time_nothing() {
        let settings =
            Settings { node_manager: Some(NodeManager::Raywarden), ..Settings::default() };
        let injected = inject::for_pod(&cluster(), &settings).into_owned();
        let operations = patch(&injected, NodeManager::KubeRay).unwrap();
        let left = patched(&injected, &operations);
        let spec = &left["spec"]["headGroupSpec"]["template"]["spec"];
        assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
        assert!(spec.get("serviceAccountName").is_none());
        assert_eq!(patch(&left, NodeManager::KubeRay).unwrap(), [] as [Value; 0]);
    }

    #[test]
    fn to_raywarden_allows_adoption_and_back_takes_it_away() {
        let operations = patch(&cluster(), NodeManager::Raywarden).unwrap();
        let allowed = patched(&cluster(), &operations);
        assert_eq!(allowed["metadata"]["annotations"][ADOPT], "true");
        assert!(patch(&allowed, NodeManager::Raywarden).unwrap().is_empty());
        let back = patched(&allowed, &patch(&allowed, NodeManager::KubeRay).unwrap());
        assert!(back["metadata"]["annotations"].get(ADOPT).is_none());
    }

    #[test]
    fn a_cluster_that_runs_elsewhere_stays_as_it_is() {
        let mut elsewhere = cluster();
        elsewhere["spec"]["managedBy"] = json!("kueue.x-k8s.io/multikueue");
        assert_eq!(patch(&elsewhere, NodeManager::KubeRay), None);
    }
}
