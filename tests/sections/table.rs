//! The table of all breaks, held against the engine, and what it has to hold so that no rule, place, kind
//! or field of a section is left out.

use std::collections::{BTreeMap, BTreeSet};

use raywarden::admission::{Phase, PolicySet};
use raywarden::dialect::{self, Dialect};
use raywarden::model::Severity;
use raywarden::policy::rules::{Base, catalogue};
use raywarden::policy::spec::PolicySpec;
use serde_json::Value;

use super::breaks::{Break, absolute, breaks};
use super::world::{CONTAINERS, KINDS, SECTIONS, SUBMITTERS, Write, only, policy, yaml};

/// Every break with a kind that has its place, and where the cluster's spec stands there.
fn tries() -> Vec<(Break, &'static str, &'static str)> {
    let of = |each: Break| {
        let kinds =
            KINDS.into_iter().filter(move |(kind, _)| each.kind.is_none_or(|it| it == *kind));
        let all: Vec<_> = kinds.map(|(kind, at)| (each.clone(), kind, at)).collect();
        all
    };
    breaks().into_iter().flat_map(of).collect()
}

/// What is wrong with the answer to one write.
fn fault(
    policies: &PolicySet,
    old: Option<&Value>,
    new: &Value,
    each: &Break,
    places: &[String],
) -> Option<String> {
    let rule = each.rule;
    let write = if each.standalone { Write::standalone } else { Write::by_alice };
    let write = Write { old: old.cloned(), ..write(policies) };
    let answer = write.ask(Phase::Validate, new);
    let findings: Vec<_> = answer.findings.iter().filter(|it| it.policy.is_some()).collect();
    let said: BTreeSet<String> =
        findings.iter().map(|finding| format!("{} at {}", finding.rule, finding.at)).collect();
    // Nobody is refused for what a namespace reaches together.
    let soft = rule == "policy/namespace-ceiling";
    let due = if soft { Severity::Warn } else { Severity::Deny };
    let weighed = findings.iter().all(|finding| finding.severity == due);
    let right = said == only(rule, places) && findings.len() == places.len() && weighed;
    (!right).then(|| format!("{findings:?}"))
}

#[test]
fn whatever_place_is_broken_is_found_there_and_a_sound_object_passes() {
    let (mut faults, mut compiled) = (Vec::new(), BTreeMap::new());
    for (each, kind, at) in tries() {
        let policies = compiled.entry(each.policy.clone()).or_insert_with_key(|spec| policy(spec));
        let [kept, broken] = each.objects(kind, at);
        let places = each.places(at);
        let mut hold = |what: &str, old: Option<&Value>, new: &Value, places: &[String]| {
            if let Some(said) = fault(policies, old, new, &each, places) {
                let Break { policy, changes, .. } = &each;
                faults.push(format!("{what} {kind}, {policy}, {changes:?}, {places:?}: {said}"));
            }
        };
        hold("sound", None, &kept, &[]);
        hold("sound and unchanged", Some(&kept), &kept, &[]);
        hold("new", None, &broken, if each.compares { &[] } else { &places });
        hold("changed", Some(&kept), &broken, &places);
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// What a rule is about, where each of it has to be broken once.
#[derive(Clone, Copy)]
enum About {
    /// The object, by any of its fields.
    Object,
    /// Worker groups.
    Groups,
    /// The head and worker groups.
    Sections,
    /// Every container of every template.
    Containers,
    /// Every container of the head.
    HeadContainers,
    /// The Pod that submits a job.
    Submitter,
    /// Every container of it.
    SubmitterContainers,
    /// The autoscaler's own container.
    Options,
}
use About::{
    Containers, Groups, HeadContainers, Object, Options, Sections, Submitter, SubmitterContainers,
};

const ABOUT: [(&str, &[About]); 20] = [
    ("policy/group-ceiling", &[Groups]),
    ("policy/cluster-ceiling", &[Containers, Options]),
    ("policy/namespace-ceiling", &[Containers, Options]),
    ("policy/maximum-required", &[Groups]),
    ("policy/minimum-ceiling", &[Groups]),
    ("policy/requests", &[Containers, SubmitterContainers]),
    ("policy/limits", &[Containers, SubmitterContainers]),
    ("policy/head-gpu", &[HeadContainers, Options]),
    ("policy/gpu-agreement", &[Sections]),
    ("policy/images", &[Containers, SubmitterContainers, Options]),
    ("policy/labels", &[Object, Sections]),
    ("policy/service-accounts", &[Sections, Submitter]),
    ("policy/cel", &[Object, Containers]),
    ("policy/pod-security", &[Sections, Containers, Submitter, SubmitterContainers]),
    ("policy/sidecar", &[Options]),
    ("policy/auth", &[Object]),
    ("policy/exposure", &[Sections, Containers, Submitter, SubmitterContainers]),
    ("policy/queue", &[Object]),
    ("policy/queue-immutable", &[Object]),
    ("policy/autoscaling", &[Options, Groups]),
];

impl About {
    /// The places of an object, each of them to be broken.
    fn places(self, kind: &str, at: &str) -> Vec<String> {
        let below = |sections: &[&str]| sections.iter().map(|it| absolute(at, it)).collect();
        let containers = |template: &str| CONTAINERS.map(|it| format!("{template}.spec.{it}"));
        let of_sections = |sections: &[&str]| {
            let each = |section: &&str| containers(&absolute(at, &format!("{section}.template")));
            sections.iter().flat_map(each).collect()
        };
        let [head, groups @ ..] = &SECTIONS;
        let submitters = SUBMITTERS.into_iter().filter(|(of, _)| *of == kind).map(|(_, at)| at);
        match self {
            Self::Object => Vec::new(),
            Self::Groups => below(groups),
            Self::Sections => below(&SECTIONS),
            Self::Containers => of_sections(&SECTIONS),
            Self::HeadContainers => of_sections(&[head]),
            Self::Submitter => submitters.map(str::to_owned).collect(),
            Self::SubmitterContainers => submitters.flat_map(containers).collect(),
            Self::Options => vec![absolute(at, "autoscalerOptions")],
        }
    }
}

#[test]
fn every_rule_of_policies_is_broken_in_every_kind_and_at_every_place_that_it_is_about() {
    let all = catalogue().filter(|rule| rule.id.as_str().starts_with("policy/"));
    // A rule about policies themselves has no place in a cluster.
    let rules: BTreeSet<&str> =
        all.filter(|rule| rule.fails.base != Base::Policy).map(|rule| rule.id.as_str()).collect();
    let about: BTreeMap<&str, &[About]> = ABOUT.into_iter().collect();
    assert_eq!(about.keys().copied().collect::<BTreeSet<_>>(), rules, "what is each rule about?");

    let mut broken: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for (each, kind, at) in tries().into_iter().filter(|(each, ..)| !each.places.is_empty()) {
        let changed = each.changes.iter().map(|(path, _)| absolute(at, path));
        broken.entry((each.rule, kind)).or_default().extend(changed);
    }
    let mut missing = Vec::new();
    for (rule, about) in about {
        for (kind, at) in KINDS {
            let changed = broken.get(&(rule, kind)).map_or(&[][..], Vec::as_slice);
            if changed.is_empty() {
                missing.push(format!("{rule} in a {kind}"));
            }
            for place in about.iter().flat_map(|about| about.places(kind, at)) {
                let inside = |path: &String| {
                    path.strip_prefix(&place).is_some_and(|rest| rest.starts_with(['.', '[']))
                };
                if !changed.iter().any(inside) {
                    missing.push(format!("{rule} in a {kind} at {place}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "never broken:\n{}", missing.join("\n"));
}

#[test]
fn the_kinds_of_the_table_are_all_that_hold_a_cluster_of_ray() {
    let known: BTreeSet<(&str, String)> = dialect::kinds()
        .filter_map(|(_, kind, _, dialect)| match dialect {
            Dialect::RayCluster => Some((kind, "spec".to_owned())),
            Dialect::Embedded(parent) => Some((kind, parent.spec().to_string())),
            Dialect::Domino => None,
        })
        .collect();
    assert_eq!(
        KINDS.map(|(kind, at)| (kind, at.to_owned())).into_iter().collect::<BTreeSet<_>>(),
        known
    );
}

/// What a schema is about: the definition that it names, the choice beside null, the entry of a list.
fn inner<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let definition = |name: &Value| {
        let pointer = name.as_str().expect("a reference").trim_start_matches('#');
        root.pointer(pointer).expect("a definition")
    };
    let named = schema.get("$ref").map(definition);
    match named.or_else(|| schema.pointer("/anyOf/0")).or_else(|| schema.get("items")) {
        Some(next) => inner(next, root),
        None => schema,
    }
}

/// The fields of a schema that hold no others, as paths.
fn leaves(schema: &Value, root: &Value, path: &str, out: &mut BTreeSet<String>) {
    let Some(fields) = inner(schema, root).get("properties").and_then(Value::as_object) else {
        out.insert(path.trim_start_matches('.').to_owned());
        return;
    };
    for (name, field) in fields {
        leaves(field, root, &format!("{path}.{name}"), out);
    }
}

/// The fields that a value says, as paths, of those that are known.
fn said(value: &Value, path: &str, known: &BTreeSet<String>, out: &mut BTreeSet<String>) {
    if known.contains(path) {
        out.insert(path.to_owned());
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                said(field, &path, known, out);
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| said(entry, path, known, out)),
        _ => {}
    }
}

#[test]
fn every_field_of_every_section_has_a_break() {
    let schema = schemars::schema_for!(PolicySpec).to_value();
    let mut fields = BTreeSet::new();
    leaves(&schema, &schema, "", &mut fields);
    // How much a finding weighs, whom a policy is about, and what new clusters get are asked elsewhere.
    let elsewhere = ["match.", "exceptions.", "autoscaling.defaults."];
    fields.retain(|field| {
        !field.ends_with("enforcement") && !elsewhere.iter().any(|it| field.starts_with(it))
    });
    assert!(fields.len() > 40, "{fields:?}");
    let mut tried = BTreeSet::new();
    for each in breaks().iter().filter(|each| !each.places.is_empty()) {
        said(&yaml(&each.policy), "", &fields, &mut tried);
    }
    let missing: Vec<_> = fields.difference(&tried).collect();
    assert!(missing.is_empty(), "no break under {missing:?}");
}
