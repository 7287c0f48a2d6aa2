use serde_json::{Value, json};

use super::super::PolicySet;
use super::super::compile::{KIND, Policy};
use super::*;
use crate::admission::{Answer, Phase, Review, Settings, review};
use crate::model::{Finding, Operation, Severity};

fn compiled(rules: &Value) -> Result<Policy, Vec<String>> {
    let policy = json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": KIND, "metadata": {"name": "house"},
        "spec": {"enforcement": "deny", "rules": rules},
    });
    let told = |flaws: Vec<super::super::Flaw>| flaws.iter().map(ToString::to_string).collect();
    Policy::compile(&policy).map_err(told)
}

fn rule(expression: &str) -> Value {
    json!([{"name": "r", "expression": expression, "message": "not so"}])
}

fn flaw(expression: &str) -> String {
    compiled(&rule(expression)).expect_err(expression).join("\n")
}

fn container(name: &str) -> Value {
    json!({"name": name, "image": "ray", "resources": {"limits": {"cpu": "1500m", "memory": "2Gi"}}})
}

fn cluster() -> Value {
    let pod = |name| json!({"spec": {"containers": [container(name)], "initContainers": [container("init")]}});
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "lab", "namespace": "team-a", "labels": {"tier": "gold"}},
        "spec": {
            "rayVersion": "2.52.0",
            "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": pod("head")},
            "workerGroupSpecs": [{
                "groupName": "small", "replicas": 2, "minReplicas": 1, "maxReplicas": 4,
                "rayStartParams": {}, "template": pod("worker"),
            }],
        },
    })
}

fn judged(policy: &Policy, object: Value, old: Option<Value>) -> Answer {
    let policies = PolicySet { policies: vec![Arc::new(policy.clone())], ..PolicySet::default() };
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    let mut request = Review::of_manifest(operation, "jo", "team-a", object, old);
    request.groups = vec!["staff".to_owned()];
    request.manifest = false;
    review(&Settings::default(), &policies, Phase::Validate, &request)
}

fn found(expression: &str, object: Value) -> Vec<(Severity, String)> {
    let policy = compiled(&rule(expression)).unwrap_or_else(|flaws| panic!("{flaws:?}"));
    let answer = judged(&policy, object, None);
    let ours = answer.findings.into_iter().filter(|it| it.rule == RuleId::POLICY_CEL);
    ours.map(|finding| (finding.severity, finding.found)).collect()
}

#[test]
fn rules_read_the_object_the_view_and_the_request() {
    for holds in [
        "object.kind == 'RayCluster' && oldObject == null",
        "cluster.name == 'lab' && cluster.namespace == 'team-a' && cluster.kind == 'RayCluster'",
        "cluster.labels.tier == 'gold' && !('x' in cluster.annotations) && !cluster.autoscaling",
        "cluster.rayVersion.startsWith('2.') && cluster.head.rayStartParams['num-cpus'] == '0'",
        "cluster.groups.size() == 1 && cluster.groups[0].name == 'small'",
        "cluster.groups.all(g, g.min == 1 && g.replicas == 2 && g.max == 4 && g.hosts == 1)",
        "cluster.groups.all(g, (g.containers + g.initContainers).all(c, has(c.image)))",
        "cluster.head.initContainers.map(c, c.name) == ['init']",
        "['init'] == cluster.head.initContainers.map(c, c.name)",
        "cluster.head.containers == object.spec.headGroupSpec.template.spec.containers",
        "request.user == 'jo' && 'staff' in request.groups && request.operation == 'CREATE'",
        "request.namespace == 'team-a' && request.kind == 'RayCluster'",
        "cluster.head.containers[0].image.matches('^ra[yz]$')",
        "cluster.head.serviceAccountName == '' && size(cluster.head.labels) == 0",
        "object.?spec.?suspend.orValue(false) == false",
        "quantity(cluster.head.containers[0].resources.limits.cpu) == quantity('1.5')",
        "quantity(2) > quantity('1500m') && quantity(1.5) <= quantity('1500m')",
        "quantity('1Gi') + quantity('1Gi') == quantity('2Gi') && quantity('500m') * 3 > quantity(1)",
    ] {
        assert_eq!(found(holds, cluster()), [], "{holds}");
        let broken = format!("!({holds})");
        let wanted = [(Severity::Deny, "r: not so".to_owned())];
        assert_eq!(found(&broken, cluster()), wanted, "{broken}");
    }
}

#[test]
fn what_cannot_be_judged_is_reported_and_refuses_nobody() {
    for (expression, why) in [
        ("object.spec.nothing.there == 1", "there is no field \"nothing\""),
        ("cluster.groups[7].name == 'x'", "no such entry"),
        ("cluster.name > 5", "_>_"),
        ("quantity(cluster.name) > quantity(1)", "\"lab\" is no quantity"),
        ("cluster.name", "it gives a string, not true or false"),
        ("1 / (cluster.groups.size() - 1) == 1", "division by zero"),
        ("quantity(1) > 1", "quantity"),
    ] {
        let told = found(expression, cluster());
        let [(Severity::Audit, text)] = told.as_slice() else {
            panic!("{expression}: {told:?}");
        };
        assert!(text.starts_with("r: could not be judged: ") && text.contains(why), "{text}");
    }
}

#[test]
fn flaws_name_the_place_and_the_reason() {
    for (expression, why) in [
        ("", "is empty"),
        ("cluster.name ==", "is no CEL: line 1, column"),
        ("true &&\n )", "is no CEL: line 2"),
        ("clutser.name == 'x'", "reads \"clutser\", which is not there; there are object, "),
        ("cluster.groups.all(g, h.min == 1)", "reads \"h\""),
        ("cluster.name.frobnicate()", "calls frobnicate(), which is not there; there are bool, "),
        ("cluster.name.matches(cluster.kind)", "a pattern that is written in the rule"),
        ("cluster.name.matches('(')", "has a bad pattern"),
        ("cluster.name.matches('((a{99}){99}){99}')", "has a bad pattern"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "more than 2 loops"),
        ("acme.Thing{a: 1} == 1", "makes a message"),
    ] {
        let told = flaw(expression);
        assert!(told.starts_with("spec.rules[0].expression: "), "{told}");
        assert!(told.contains(why), "{expression}: {told}");
    }
    let rules = json!([
        {"name": "a b", "expression": "true", "message": "m"},
        {"name": "c", "expression": "true", "message": " ", "field": "spec..x"},
        {"name": "c", "expression": "object.", "message": "m"},
    ]);
    let told = compiled(&rules).unwrap_err();
    let places: Vec<&str> = told.iter().filter_map(|it| it.split(':').next()).collect();
    let wanted = [
        "spec.rules[0].name",
        "spec.rules[1].message",
        "spec.rules[1].field",
        "spec.rules[2].name",
        "spec.rules[2].expression",
    ];
    assert_eq!(places, wanted, "{told:#?}");
}

/// On a thread as small as those that answer reviews.
#[test]
fn whatever_is_too_deep_or_too_long_is_refused_and_overflows_no_stack() {
    let deep = |open: &str, close: &str, times: usize| {
        format!("{}true{}", open.repeat(times), close.repeat(times))
    };
    for (expression, why) in [
        (deep("(", ")", 2000), "brackets within each other"),
        (format!("0{} == 0", " + 1".repeat(1000)), "deeper than"),
        (format!("object{}", ".a".repeat(2000)), "deeper than"),
        (deep("[", "]", 500), "brackets"),
        (format!("'{}' == ''", "x".repeat(5000)), "5008 bytes long; the most is 4096"),
        (format!("1 in [{}1]", "1,".repeat(300)), "lists 301 values"),
    ] {
        let told = flaw(&expression);
        let cropped: String = told.chars().take(300).collect();
        assert!(told.contains(why), "{cropped}");
    }
    for odd in [
        deep("!", "", 3000),
        deep("-", "", 3000),
        format!("{}true", "true ? true : ".repeat(280)),
        format!("{}true", "true || ".repeat(500)),
        "(\")\")".repeat(400),
    ] {
        let taken = compiled(&rule(&odd)).map(|policy| judged(&policy, cluster(), None).allowed);
        assert!(taken.is_err() || taken == Ok(true), "{taken:?}");
    }
    let deepest = format!("0{} < 100", " + 1".repeat(21));
    assert_eq!(found(&deepest, cluster()), []);
    let long = vec!["cluster.name == 'lab'"; 150].join(" && ");
    assert_eq!(found(&long, cluster()), []);
}

#[test]
fn the_work_of_one_rule_is_bounded() {
    let mut object = cluster();
    let many: Vec<Value> = (0..1500).map(|index| json!({"name": format!("v{index}")})).collect();
    object["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"] = json!(many);
    let env = "cluster.head.containers[0].env";
    for walks in [
        format!("{env}.all(a, {env}.all(b, a.name != '' && b.name != ''))"),
        format!("{env}.all(a, a in {env})"),
        format!("{env}.map(a, {env}.map(b, b.name)).size() > 0"),
        format!("{env}.exists(a, {env} == {env} && a.name == 'no')"),
    ] {
        let told = found(&walks, object.clone());
        let [(Severity::Audit, text)] = told.as_slice() else { panic!("{walks}: {told:?}") };
        assert!(text.contains("it takes more than 100000 steps"), "{text}");
    }
    assert_eq!(found(&format!("{env}.all(e, e.name != '')"), object.clone()), []);
    let more: Vec<Value> = (0..2001).map(Value::from).collect();
    object["spec"]["more"] = json!(more);
    let told = found("true", object);
    assert!(told[0].1.contains("a list of 2001; the most is 2000"), "{told:?}");
}

#[test]
fn a_stored_object_that_broke_the_rule_only_warns_and_one_that_did_not_is_refused() {
    let policy = compiled(&rule("cluster.rayVersion == '3'")).unwrap();
    let mut old = cluster();
    let mut new = cluster();
    new["spec"]["suspend"] = json!(true);
    let severity = |answer: Answer| {
        let found = answer.findings.into_iter().find(|it| it.rule == RuleId::POLICY_CEL);
        found.map(|finding| finding.severity)
    };
    assert_eq!(severity(judged(&policy, new.clone(), Some(old.clone()))), Some(Severity::Warn));
    old["spec"]["rayVersion"] = json!("3");
    assert_eq!(severity(judged(&policy, new.clone(), Some(old.clone()))), Some(Severity::Deny));
    new["spec"]["rayVersion"] = json!("3");
    assert_eq!(severity(judged(&policy, new, Some(old))), None);
}

#[test]
fn a_rule_that_compares_refuses_the_write_that_changes() {
    let same = "oldObject == null || object.spec.rayVersion == oldObject.spec.rayVersion";
    let policy = compiled(&rule(same)).unwrap();
    let (old, mut new) = (cluster(), cluster());
    new["spec"]["suspend"] = json!(true);
    assert!(judged(&policy, new.clone(), Some(old.clone())).allowed);
    new["spec"]["rayVersion"] = json!("2.53.0");
    let answer = judged(&policy, new, Some(old));
    let [finding] = answer.denials().collect::<Vec<_>>()[..] else { panic!("{answer:?}") };
    assert_eq!(finding.cause(), "r: not so [raywarden policy/cel, policy house/r]");
}

#[test]
fn labels_alone_are_judged_by_rules_that_read_them() {
    let rules = json!([
        {"name": "gold", "expression": "cluster.labels.tier == 'gold'", "message": "m"},
        {"name": "small", "expression": "cluster.groups.size() > 9", "message": "m"},
    ]);
    let policy = compiled(&rules).unwrap();
    let (mut old, mut new) = (cluster(), cluster());
    new["metadata"]["labels"]["tier"] = json!("tin");
    let answer = judged(&policy, new.clone(), Some(old.clone()));
    let told: Vec<&str> = answer.findings.iter().map(|it| it.found.as_str()).collect();
    assert_eq!((told, answer.allowed), (vec!["gold: m"], false));
    old["metadata"]["labels"]["tier"] = json!("tin");
    new["metadata"]["labels"]["more"] = json!("x");
    assert!(judged(&policy, new, Some(old)).allowed);
}

#[test]
fn a_finding_stands_at_the_field_that_the_rule_names_in_the_parent_too() {
    let rules = json!([
        {"name": "r", "expression": "false", "message": "m", "field": "spec.workerGroupSpecs[0].template"},
    ]);
    let policy = compiled(&rules).unwrap();
    let at = |object: Value| {
        let answer = judged(&policy, object, None);
        answer.denials().map(|finding| finding.at.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(at(cluster()), ["spec.workerGroupSpecs[0].template"]);
    let job = json!({
        "apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "j", "namespace": "n"},
        "spec": {"rayClusterSpec": cluster()["spec"]},
    });
    assert_eq!(at(job), ["spec.rayClusterSpec.workerGroupSpecs[0].template"]);
}

#[test]
fn an_exception_can_name_one_rule() {
    let policy = json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": KIND, "metadata": {"name": "house"},
        "spec": {
            "enforcement": "deny",
            "rules": [
                {"name": "one", "expression": "false", "message": "m"},
                {"name": "two", "expression": "false", "message": "m"},
            ],
            "exceptions": [{"owner": "o", "reason": "r", "expires": "2030-01-01T00:00:00Z", "rules": ["two"]}],
        },
    });
    let answer = judged(&Policy::compile(&policy).unwrap(), cluster(), None);
    let sources: Vec<String> = answer.denials().map(Finding::source).collect();
    assert_eq!(sources, ["policy/cel, policy house/one"]);
}
