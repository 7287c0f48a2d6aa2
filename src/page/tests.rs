use serde_json::{Value, json};

use super::sums::{Sum, Sums};
use super::*;
use crate::admission::{PolicySet, Settings};
use crate::model::RuleId;
use crate::plan::audit::{Line, answer, lines, question};

/// A stored cluster with bounds that contradict each other where `max` is below 1.
fn stored(max: i64, status: &Value) -> Value {
    let template = json!({"spec": {"containers": [{"name": "ray", "image": "x", "resources": {"limits": {"cpu": "1"}}}]}});
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "lab", "namespace": "team-a", "uid": "u"},
        "spec": {
            "headGroupSpec": {"rayStartParams": {}, "template": template},
            "workerGroupSpecs": [
                {"groupName": "small", "replicas": 2, "minReplicas": 1, "maxReplicas": max,
                 "numOfHosts": 3, "rayStartParams": {}, "template": template},
                {"groupName": "idle", "replicas": 0, "minReplicas": 0, "rayStartParams": {}, "template": template},
            ],
        },
        "status": status,
    })
}

fn judged(object: Value) -> (Cluster, Vec<Line>) {
    let request = question("", object, false);
    let answer = answer(&Settings::default(), &PolicySet::default(), &request).unwrap();
    (Cluster::judged(&request, &answer), lines(&request, &answer))
}

fn cluster(max: i64, status: &Value) -> Cluster {
    judged(stored(max, status)).0
}

fn report(uid: &str, state: &str, strays: usize) -> Value {
    let not_joined: Vec<Value> = (0..strays).map(|n| json!({"pod": n.to_string()})).collect();
    json!({
        "metadata": {"ownerReferences": [{"uid": uid}]},
        "report": {
            "dashboard": {"state": state},
            "workers": {"joined": 3, "starting": 1, "notJoined": strays, "unknown": 0},
            "groups": [{"name": "small", "joined": 3, "starting": 1, "unknown": 0, "notJoined": not_joined}],
        },
    })
}

#[test]
fn bounds_are_read_and_workers_are_counted_in_pods() {
    let cluster = cluster(5, &Value::Null);
    let group = &cluster.groups[0];
    assert_eq!((group.min, group.replicas, group.max, group.hosts), (Some(1), Some(2), Some(5), 3));
    assert_eq!((group.workers.desired, cluster.workers.desired), (6, 6));
    assert_eq!(cluster.groups[1].max, None);
}

#[test]
fn what_nobody_says_is_unknown_and_a_zero_that_somebody_wrote_is_one() {
    assert_eq!(cluster(5, &Value::Null).workers.live, None);
    assert_eq!(cluster(5, &json!({})).workers.live, None);
    assert_eq!(cluster(5, &json!({"observedGeneration": 1})).workers.live, Some(0));
    let cluster = cluster(5, &json!({"availableWorkerReplicas": 4}));
    assert_eq!((cluster.workers.live, cluster.workers.joined), (Some(4), None));
}

#[test]
fn a_report_tells_of_the_very_object_alone() {
    let mut told = cluster(5, &Value::Null);
    told.told(&report("another", "Answers", 1));
    assert_eq!(told, cluster(5, &Value::Null));
    told.told(&report("u", "Answers", 1));
    let known = |live, joined| Workers { desired: 6, live, joined };
    assert_eq!(told.workers, known(Some(5), Some(3)));
    assert_eq!(told.groups[0].workers, known(Some(5), Some(3)));
    assert_eq!(told.groups[1].workers, Workers { desired: 0, live: Some(0), joined: Some(0) });
}

#[test]
fn a_head_that_does_not_answer_leaves_unknown_who_has_joined() {
    let mut told = cluster(5, &Value::Null);
    told.told(&report("u", "Unknown", 0));
    assert_eq!((told.workers.live, told.workers.joined), (Some(4), None));
    assert_eq!((told.groups[0].workers.live, told.groups[0].workers.joined), (Some(4), None));
    assert_eq!(told.groups[1].workers.joined, None);
}

#[test]
fn a_list_that_may_be_cut_gives_no_count_of_its_group() {
    let mut told = cluster(5, &Value::Null);
    told.told(&report("u", "Answers", 20));
    assert_eq!((told.workers.live, told.groups[0].workers.live), (Some(24), None));
    assert_eq!(told.groups[1].workers.live, None, "the report may not name every group");
}

#[test]
fn findings_keep_their_parts_and_only_those_that_count_stay() {
    let (mut cluster, mut lines) = judged(stored(0, &Value::Null));
    let finding = cluster.findings.iter().find(|it| it.rule == RuleId::MIN_MAX.as_str()).unwrap();
    assert_eq!(finding.weight, Severity::Deny);
    assert!(!finding.found.is_empty() && !finding.fix.is_empty(), "{finding:?}");
    let all = cluster.findings.len();
    assert!(all > 1 && all == lines.len());
    lines.retain(|line| line.rule == Some(RuleId::MIN_MAX));
    lines[0].first_seen = Some("2026-11-01T08:00:00Z".parse().unwrap());
    cluster.keep(&lines);
    assert_eq!(cluster.findings.len(), 1);
    assert_eq!(cluster.findings[0].since, "2026-11-01T08:00:00Z");
}

#[test]
fn a_spec_of_clusters_brings_no_workers() {
    let spec = stored(0, &Value::Null)["spec"].clone();
    let job = json!({
        "apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "j", "namespace": "team-b"},
        "spec": {"entrypoint": "x", "rayClusterSpec": spec},
    });
    let job = judged(job).0;
    assert!(job.template && job.groups.len() == 2);
    let clusters =
        vec![Arc::new(job), Arc::new(cluster(0, &json!({"availableWorkerReplicas": 4})))];
    let fleet = Fleet { clusters, ..Fleet::default() };
    let sums = Sums::of(&fleet);
    assert_eq!((sums.all.clusters, sums.all.templates, sums.all.groups), (1, 1, 2));
    assert_eq!(sums.all.desired, 6);
    assert_eq!(sums.all.live, Sum { count: 4, unknown: 0 });
    assert_eq!(sums.all.joined, Sum { count: 0, unknown: 1 });
    assert_eq!(sums.namespaces["team-b"].desired, 0);
    assert_eq!(sums.rules["bounds/min-max"].objects, 2);
    assert_eq!(sums.policies[""].objects, 2);
    assert_eq!(sums.all.objects.deny, 2);
}

#[test]
fn every_rule_that_is_broken_is_explained() {
    let fleet = Fleet { clusters: vec![Arc::new(cluster(0, &Value::Null))], ..Fleet::default() };
    let html = page(&fleet);
    let rule = crate::policy::rules::find(RuleId::MIN_MAX).unwrap();
    assert!(html.contains(&format!("<summary>{}</summary>", rule.title)), "{html}");
    assert!(html.contains(">unknown<"), "{html}");
}

#[test]
fn text_is_no_markup_and_a_placeholder_in_it_stays_one() {
    let text = "</script><b a='\"'>&{{data}}\u{2028}";
    let mut hostile = cluster(0, &Value::Null);
    hostile.name = text.to_owned();
    hostile.namespace = text.to_owned();
    let fleet = Fleet {
        source: text.to_owned(),
        clusters: vec![Arc::new(hostile)],
        notes: vec![text.to_owned()],
        ..Fleet::default()
    };
    let html = page(&fleet);
    assert_eq!(html.matches("</script>").count(), 2);
    assert!(!html.contains("<b a="));
    assert!(html.contains("&lt;b a=&#39;&quot;&#39;&gt;&amp;{{data}}"));
    assert!(html.contains(r"\u003c/script\u003e\u003cb a='"));
    assert!(html.contains(r"\u2028"));
    assert!(token(text, text).matches("&lt;/script&gt;").count() == 2);
}

#[test]
fn neither_page_lets_in_more_than_itself() {
    for (html, policy) in [(page(&Fleet::default()), &*POLICY), (token("", "a"), &*TOKEN_POLICY)] {
        assert!(policy.starts_with("default-src 'none'"));
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'));
        assert!(html.contains(&format!("content=\"{policy}\"")));
        for outside in ["src=", "href=\"http", "url(", "@import", " style=", " onclick="] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
