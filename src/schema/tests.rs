use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::model::{RuleId, Severity};

#[derive(Deserialize)]
struct Table {
    base: Value,
    invalid: Vec<Case>,
    unknown: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    patch: json_patch::Patch,
    at: String,
    rule: Option<String>,
    fix: String,
}

fn table() -> Table {
    serde_saphyr::from_str(include_str!("../../tests/data/invalid.yaml")).unwrap()
}

fn patched(base: &Value, case: &Case) -> Value {
    let mut object = base.clone();
    json_patch::patch(&mut object, &case.patch)
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    object
}

fn findings(object: &Value) -> Vec<Finding> {
    check(object).expect("a kind with a schema")
}

fn cluster(spec: &Value) -> Value {
    json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "a"}, "spec": spec})
}

fn group(more: &Value) -> Value {
    let mut group = json!({"groupName": "g", "template": {"spec": {"containers": []}}});
    json_patch::merge(&mut group, more);
    cluster(&json!({
        "headGroupSpec": {"template": {"spec": {"containers": []}}},
        "workerGroupSpecs": [group],
    }))
}

#[test]
fn the_base_of_the_table_has_no_fault() {
    assert_eq!(findings(&table().base), []);
}

#[test]
fn what_the_api_server_refuses_is_refused_at_the_same_place() {
    let table = table();
    for case in &table.invalid {
        let found = findings(&patched(&table.base, case));
        let denied: Vec<_> = found.iter().filter(|each| each.severity == Severity::Deny).collect();
        let [one] = denied.as_slice() else {
            panic!("{}: {found:#?}", case.name);
        };
        assert_eq!(one.at.to_json_pointer(), case.at, "{}", case.name);
        assert_eq!(Some(one.rule.as_str()), case.rule.as_deref(), "{}", case.name);
        assert!(one.fix.contains(&case.fix), "{}: {}", case.name, one.fix);
    }
}

#[test]
fn an_unknown_field_warns_with_what_was_meant() {
    let table = table();
    for case in &table.unknown {
        let found = findings(&patched(&table.base, case));
        let [one] = found.as_slice() else {
            panic!("{}: {found:#?}", case.name);
        };
        assert_eq!(one.severity, Severity::Warn, "{}", case.name);
        assert_eq!(one.rule, RuleId::UNKNOWN_FIELD, "{}", case.name);
        assert_eq!(one.at.to_json_pointer(), case.at, "{}", case.name);
        assert!(one.fix.contains(&case.fix), "{}: {}", case.name, one.fix);
    }
}

#[test]
fn a_null_is_dropped_or_replaced_by_the_default_as_the_server_does() {
    let object = group(&json!({}));
    assert_eq!(findings(&object), []);
    let nulls = json!({"apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "a", "labels": null, "creationTimestamp": null},
        "spec": {
            "suspend": null,
            "unheardOf": null,
            "headGroupSpec": {
                "rayStartParams": {"num-cpus": null},
                "template": {"metadata": {"creationTimestamp": null}, "spec": {"containers": []}},
            },
            "workerGroupSpecs": [{
                "groupName": "g", "minReplicas": null, "maxReplicas": null, "replicas": null,
                "template": {"spec": {"containers": []}},
            }],
        },
        "status": null,
    });
    assert_eq!(findings(&nulls), []);
}

#[test]
fn a_count_beyond_32_bits_is_refused_though_the_server_stores_it() {
    let found =
        findings(&group(&json!({"replicas": 3_000_000_000_u64, "maxReplicas": 2_147_483_647})));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rule, RuleId::TYPE);
    assert_eq!(found[0].at.to_string(), "spec.workerGroupSpecs[0].replicas");
    assert_eq!(findings(&group(&json!({"replicas": 1.0}))), []);
    for none in [json!(1e20), json!(u64::MAX), json!(0.5)] {
        assert_eq!(findings(&group(&json!({"replicas": none})))[0].rule, RuleId::TYPE);
    }
}

#[test]
fn the_status_is_never_refused() {
    let mut object = group(&json!({}));
    object["status"] = json!({"state": 5, "bogus": true});
    let found = findings(&object);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].at.to_string(), "status.bogus");
    object["status"] = json!("ready");
    assert_eq!(findings(&object), []);
}

#[test]
fn metadata_is_checked_lightly() {
    let mut object = group(&json!({}));
    object["metadata"] = json!({
        "name": "a",
        "labels": {"a": 1},
        "ownerReferences": null,
        "managedFields": [{"fieldsV1": {"f:spec": {}}, "manager": "kubectl"}],
        "finalizers": ["a/b", "a/b"],
    });
    let found = findings(&object);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].at.to_string(), "metadata.labels[a]");
}

#[test]
fn an_embedded_cluster_is_checked_at_its_place_in_the_parent() {
    let spec = json!({
        "headGroupSpec": {"template": {"spec": {"containers": []}}, "rayStartParam": {}},
    });
    let parents = [
        ("v1", "RayJob", "spec.rayClusterSpec", json!({"rayClusterSpec": spec})),
        ("v1", "RayService", "spec.rayClusterConfig", json!({"rayClusterConfig": spec})),
        (
            "v1",
            "RayCronJob",
            "spec.jobTemplate.rayClusterSpec",
            json!({"schedule": "@daily", "jobTemplate": {"rayClusterSpec": spec}}),
        ),
        ("v1alpha1", "RayService", "spec.rayClusterConfig", json!({"rayClusterConfig": spec})),
    ];
    for (version, kind, home, spec) in parents {
        let object = json!({"apiVersion": format!("ray.io/{version}"), "kind": kind, "spec": spec});
        let found = findings(&object);
        assert_eq!(found[0].at.to_string(), format!("{home}.headGroupSpec.rayStartParam"));
        assert_eq!(found[0].fix, "did you mean rayStartParams?");
        assert_eq!(found.len(), if version == "v1" { 1 } else { 2 }, "{kind} {version}");
    }
    let service = json!({"apiVersion": "ray.io/v1", "kind": "RayService", "spec": {}});
    assert_eq!(findings(&service)[0].at.to_string(), "spec.rayClusterConfig");
}

#[test]
fn the_fields_of_a_kind_that_embeds_a_cluster_are_checked_too() {
    let found = findings(&json!({"apiVersion": "ray.io/v1", "kind": "RayJob", "spec": {
        "shutdownAfterJobFinish": true,
        "entrypointNumCpus": "1",
        "deletionStrategy": {"deletionRules": []},
        "workerGroupSpecs": [],
    }, "status": {"jobId": 1}}));
    let told: Vec<_> = found.iter().map(|each| (each.at.to_string(), each.fix.as_str())).collect();
    assert_eq!(
        told,
        [
            ("spec.shutdownAfterJobFinish".to_owned(), "did you mean shutdownAfterJobFinishes?"),
            ("spec.entrypointNumCpus".to_owned(), "write 1 without quotes"),
            (
                "spec.deletionStrategy.deletionRules".to_owned(),
                "add an entry, or take the field out"
            ),
            (
                "spec.workerGroupSpecs".to_owned(),
                "did you mean spec.rayClusterSpec.workerGroupSpecs?"
            ),
        ]
    );
}

#[test]
fn what_there_is_no_schema_for_is_not_judged() {
    for object in [
        json!({"apiVersion": "ray.io/v2", "kind": "RayCluster"}),
        json!({"apiVersion": "ray.io/v1", "kind": "PodSpec"}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
        json!({"apiVersion": 1, "kind": "RayCluster"}),
        json!([]),
        Value::Null,
    ] {
        assert_eq!(check(&object), None, "{object}");
    }
}

#[test]
fn every_pattern_of_the_schema_has_its_grammar() {
    fn visit(schema: &definition::Schema) {
        if let Some(pattern) = &schema.pattern {
            assert!(lexical::matches(pattern, "").is_some(), "{pattern}");
        }
        let fields = schema.properties.iter().flat_map(|fields| fields.values());
        fields
            .chain(schema.items.as_deref())
            .chain(schema.additional_properties.as_deref())
            .for_each(visit);
        let keyed = schema.list_type == Some(definition::ListType::Map);
        assert_eq!(keyed, !schema.list_keys.is_empty());
    }
    Definitions::embedded().iter().for_each(|(_, schema)| visit(schema));
}

#[test]
fn faults_without_end_are_cut_off() {
    let entries: Vec<Value> = (0..100_000).map(|_| json!({"bogus": 1})).collect();
    let object = group(&json!({"template": {"spec": {"containers": entries}}}));
    assert!(findings(&object).len() <= 200);
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "spec",
        "headGroupSpec",
        "workerGroupSpecs",
        "template",
        "containers",
        "name",
        "env",
        "resources",
        "limits",
        "cpu",
        "minReplica",
        "ports",
        "metadata",
        "status",
        "",
        "é-\u{0}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_judged_without_a_panic_and_twice_alike(spec in any_json(), kind in 0_usize..4) {
        let kind = ["RayCluster", "RayJob", "RayService", "RayCronJob"][kind];
        let object = json!({"apiVersion": "ray.io/v1", "kind": kind, "spec": spec, "metadata": spec});
        let first = check(&object);
        prop_assert_eq!(&first, &check(&object));
        for finding in first.unwrap() {
            prop_assert!(finding.severity >= Severity::Warn);
            prop_assert!(finding.rule == RuleId::REQUIRED || finding.at.get(&object).is_some());
        }
    }

    #[test]
    fn a_finding_never_hangs_on_the_order_of_fields(at in 0_usize..35) {
        let table = table();
        let case = &table.invalid[at.min(table.invalid.len() - 1)];
        let object = patched(&table.base, case);
        let mut forward: Vec<String> = findings(&object).iter().map(Finding::cause).collect();
        let mut backward: Vec<String> =
            findings(&reversed(&object)).iter().map(Finding::cause).collect();
        forward.sort();
        backward.sort();
        prop_assert_eq!(forward, backward);
    }
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.iter().rev().map(|(key, value)| (key.clone(), reversed(value))).collect(),
        ),
        Value::Array(entries) => entries.iter().map(reversed).collect(),
        other => other.clone(),
    }
}
