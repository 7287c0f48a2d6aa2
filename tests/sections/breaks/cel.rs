//! Conditions in CEL over what `cluster` and `object` show of each kind.

use serde_json::{Value, json};

use super::super::world::{CONTAINERS, ON, SECTIONS, SUBMITTERS, template};
use super::Break;

/// A rule of that expression, which names that field.
fn rule(expression: &str, field: Option<&str>) -> Break {
    let mut rule = json!({
        "name": "house", "message": "not so", "fix": "make it so", "expression": expression,
    });
    if let Some(field) = field {
        rule["field"] = json!(field);
    }
    Break::new("policy/cel", json!({"rules": [rule]}).to_string())
}

/// That every container of head and groups holds `condition`, over `c`.
fn of_containers(condition: &str) -> String {
    let all = |of: &str| format!("({of}.containers + {of}.initContainers).all(c, {condition})");
    format!("{} && cluster.groups.all(g, {})", all("cluster.head"), all("g"))
}

/// That head and groups hold `condition`, over `{}`.
fn of_sections(condition: &str) -> String {
    let of = |name: &str| condition.replace("{}", name);
    format!("{} && cluster.groups.all(g, {})", of("cluster.head"), of("g"))
}

/// What head and groups show, with a change that breaks it.
fn shown() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("{}.serviceAccountName == ''", "template.spec.serviceAccountName", json!("admin")),
        ("!('tier' in {}.labels)", "template.metadata.labels[tier]", json!("gold")),
        ("!('num-cpus' in {}.rayStartParams)", "rayStartParams[num-cpus]", json!("64")),
        ("!has({}.pod.hostPID)", "template.spec.hostPID", json!(true)),
    ]
}

/// What groups show alone.
fn of_groups() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("g.name in ['small', 'large']", "groupName", json!("huge")),
        ("g.replicas <= 1", "replicas", json!(2)),
        ("g.min == 0", "minReplicas", json!(1)),
        ("g.max == 5", "maxReplicas", json!(6)),
        ("g.hosts == 1", "numOfHosts", json!(2)),
    ]
}

/// What the cluster shows as a whole.
fn of_cluster() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("!cluster.autoscaling", ON.0, ON.1),
        ("cluster.rayVersion == '2.52.0'", "rayVersion", json!("2.51.0")),
        ("!('tier' in cluster.labels)", "metadata.labels[tier]", json!("gold")),
        ("!('note' in cluster.annotations)", "metadata.annotations[note]", json!("x")),
        ("cluster.groups.size() == 2", "workerGroupSpecs", json!([])),
        ("!has(object.metadata.generateName)", "metadata.generateName", json!("x-")),
    ]
}

pub(super) fn breaks() -> Vec<Break> {
    let ours = of_containers("has(c.image) && c.image.startsWith('registry.example/')");
    let small = of_containers("quantity(c.resources.limits.cpu) <= quantity(1)");
    let mut all = Vec::new();
    for section in SECTIONS {
        for container in CONTAINERS {
            let inside = format!("{section}.template.spec.{container}");
            for image in [json!("elsewhere.example/ray:1"), Value::Null] {
                all.push(rule(&ours, None).set(format!("{inside}.image"), image).found(""));
            }
            let cpu = format!("{inside}.resources.limits.cpu");
            let field = format!("{section}.template");
            let named = rule(&small, Some(&format!("spec.{field}")));
            all.push(named.set(cpu, json!("1001m")).found(field));
        }
        for (condition, path, value) in shown() {
            let path = format!("{section}.{path}");
            all.push(rule(&of_sections(condition), None).set(path, value).found(""));
        }
        if section != "headGroupSpec" {
            for (condition, path, value) in of_groups() {
                let condition = format!("cluster.groups.all(g, {condition})");
                let named = rule(&condition, Some("spec.workerGroupSpecs"));
                all.push(named.set(format!("{section}.{path}"), value).found("workerGroupSpecs"));
            }
        }
    }
    for (condition, path, value) in of_cluster() {
        all.push(rule(condition, None).set(path, value.clone()).found(""));
        let field = if path.starts_with("metadata") { path } else { &format!("spec.{path}") };
        // A rule names its field without brackets.
        let field = field.replace('[', ".").replace(']', "");
        all.push(rule(condition, Some(&field)).broken(path, value));
    }
    // The object shows what the cluster does not: the Pod that submits a job.
    for (kind, submitter) in SUBMITTERS {
        let condition = format!("!has(object.{submitter}.spec.hostPID)");
        let place = format!("{submitter}.spec.hostPID");
        let named = rule(&condition, Some(&place)).given((submitter, template("submit")));
        all.push(named.broken(place, json!(true)).only_in(kind));
    }
    all.push(
        rule("oldObject == null || cluster.groups.size() == 2", None)
            .comparing()
            .set("workerGroupSpecs", json!([]))
            .found(""),
    );
    all
}
