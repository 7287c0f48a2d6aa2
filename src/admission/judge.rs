//! The order of one review: gate, dialect, actor, mutation, judgement, answer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use super::{
    Answer, Mode, Parent, Phase, PolicySet, Review, Settings, Why, actor, gate, policies as own,
    requester,
};
use crate::bounds::Clamp;
use crate::dialect::{self, Dialect, kuberay};
use crate::model::{
    Actor, Change, Cluster, Draft, Finding, NodeManager, Op, Operation, Pointer, RuleId, Severity,
};
use crate::policy::defaults::Key;
use crate::{bounds, inject, policy, schema};

/// Judges one request.
pub fn review(settings: &Settings, policies: &PolicySet, phase: Phase, review: &Review) -> Answer {
    if let Some(lease) = requester::new_lease(review) {
        let mut answer = pass(review, Why::ForeignKind);
        if phase != Phase::Validate {
            answer.passed = None;
            answer.patch = requester::record(settings, review, lease);
        }
        return answer;
    }
    if own::is_policy(review) {
        return own::judge(settings, phase, review, pass(review, Why::Unchanged));
    }
    let metadata_only = match gate::passes(review) {
        Some(Why::MetadataOnly) if !policies.policies.is_empty() => true,
        Some(why) => return pass(review, why),
        None => false,
    };
    let Some(object) = &review.object else {
        return pass(review, Why::NoObject);
    };
    if review.sub_resource.is_some() {
        return scale(settings, review, object);
    }
    let Some(dialect) = dialect::of(&review.kind.group, &review.kind.kind) else {
        return pass(review, Why::ForeignKind);
    };
    let Some(cluster) = dialect.view(object) else {
        return pass(review, Why::NoObject);
    };
    let stored = review.old_object.as_ref().filter(|_| review.operation == Operation::Update);
    let old = stored.and_then(|stored| dialect.view(stored));
    let manager = settings.node_manager(&review.namespace);
    let actor = actor::of(settings, manager, &review.user, &review.namespace, old.as_ref());
    let parent =
        matches!(dialect, Dialect::RayCluster).then(|| kuberay::parent(&cluster)).flatten();
    let change = Change {
        settings,
        manager,
        operation: review.operation,
        actor,
        field_manager: review.field_manager.as_deref(),
        child: parent.is_some() || matches!(dialect, Dialect::Embedded(_)),
        strict: policies.strict,
        request: review.request(object, stored),
        requested: &cluster,
        new: &cluster,
        old: old.as_ref(),
    };
    let work = Work { review, policies, phase, dialect, object, stored };
    let mut answer = if metadata_only { work.metadata(&change) } else { work.answer(&change) };
    answer.parent = parent.map(|(parent, name)| Parent {
        kind: parent.kind().to_owned(),
        name,
        spec: parent.spec(),
    });
    answer
}

/// One review of a kind that is ours, on its way.
struct Work<'a> {
    review: &'a Review,
    policies: &'a PolicySet,
    phase: Phase,
    dialect: Dialect,
    object: &'a Value,
    stored: Option<&'a Value>,
}

/// What mutation gives.
struct Mutation {
    ops: Vec<Op>,
    findings: Vec<Finding>,
    /// The changed object, where anything changed.
    value: Option<Value>,
    clamps: Vec<Clamp>,
}

impl<'a> Work<'a> {
    fn answer(&self, change: &Change<'a>) -> Answer {
        let mut findings = Vec::new();
        let mutates = self.phase != Phase::Validate;
        if let (true, Some(stored)) = (mutates, self.stored) {
            findings.extend(bounds::scope::judge(
                change.actor,
                self.is_converted(),
                stored,
                self.object,
                change.new,
            ));
        }
        let Mutation { ops, findings: told, value, clamps } = self.mutate(change);
        if mutates {
            findings.extend(told);
        }
        if self.phase != Phase::Mutate {
            findings.extend(self.judge(change, value.as_ref().unwrap_or(self.object)));
        }
        if self.review.manifest {
            let shape = self.shape();
            // Where a rule of ours speaks about a place, the schema need not.
            let places: HashSet<Pointer> = findings.iter().map(|it| it.at.clone()).collect();
            findings.extend(shape.into_iter().filter(|finding| !places.contains(&finding.at)));
        }
        let mut answer = self.close(change, findings, ops);
        if !change.actor.is_person() && !answer.patch.is_empty() {
            answer.clamps = clamps;
        }
        answer
    }

    /// What only changes labels or annotations.
    fn metadata(&self, change: &Change<'a>) -> Answer {
        let judges = self.phase != Phase::Mutate;
        let findings =
            if judges { policy::evaluate_metadata(self.policies, change) } else { Vec::new() };
        let mut answer = self.close(change, findings, Vec::new());
        answer.passed = answer.findings.is_empty().then_some(Why::MetadataOnly);
        answer
    }

    /// Written through v1alpha1, whose conversion drops fields.
    fn is_converted(&self) -> bool {
        let written = self.review.request_kind.as_ref().unwrap_or(&self.review.kind);
        written.version == "v1alpha1"
    }

    /// Everything that is ours to change.
    fn mutate(&self, change: &Change<'a>) -> Mutation {
        let mut draft = Draft::new(self.object);
        let told = self.give_defaults(change, &mut draft);
        let given = (!draft.ops().is_empty()).then(|| draft.value().clone());
        let mut mutation = self.mend_given(change, draft, given.as_ref());
        mutation.findings.extend(told);
        mutation
    }

    /// Mends an object that was given defaults: `given`, where there are any.
    fn mend_given(&self, change: &Change<'a>, draft: Draft<'_>, given: Option<&Value>) -> Mutation {
        match given.and_then(|given| self.dialect.view(given)) {
            Some(cluster) => self.mend(&change.with_new(&cluster), draft),
            None => self.mend(change, draft),
        }
    }

    /// What policies give to a new cluster that says nothing. Nothing is given that would have the
    /// write refused.
    fn give_defaults(&self, change: &Change<'a>, draft: &mut Draft<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.phase == Phase::Validate || !self.policies.gives(change) {
            return findings;
        }
        for enforced in [true, false] {
            let mut trial = draft.clone();
            let mut refusals = self.refusals(change, &trial);
            for key in Key::ALL {
                let wanted = self.seen(change, &trial, |change| {
                    policy::defaults::wanted(self.policies, change, key, enforced)
                });
                let Some(wanted) = wanted else { continue };
                let mut next = trial.clone();
                if key == Key::Enable {
                    // What an earlier injection left is no part of a cluster that says nothing.
                    self.seen(change, &trial, |off| inject::mend(off, &mut next));
                }
                next.apply([wanted.edit.clone()]);
                let after = self.refusals(change, &next);
                let worse = after.iter().find(|refusal| !refusals.contains(*refusal));
                match worse {
                    _ if !next.has(&wanted.edit.at) => continue,
                    Some((source, _)) => {
                        findings.push(wanted.held_back(source));
                        continue;
                    }
                    None if enforced => findings.extend(wanted.told()),
                    None => findings.push(wanted.would_set()),
                }
                (trial, refusals) = (next, after);
            }
            if enforced {
                *draft = trial;
            }
        }
        findings
    }

    /// Which rules would refuse the write, and where, were the object as the draft shows it.
    fn refusals(&self, change: &Change<'a>, draft: &Draft<'_>) -> BTreeSet<(String, Pointer)> {
        let given = draft.value().clone();
        let mutation = self.mend_given(change, draft.clone(), Some(&given));
        let object = mutation.value.as_ref().unwrap_or(self.object);
        let findings = self.judge(change, object).into_iter().chain(mutation.findings);
        let refusals = findings.filter(|finding| finding.severity == Severity::Deny);
        refusals.map(|finding| (finding.source(), finding.at)).collect()
    }

    /// Counts, bounds and the sidecar.
    fn mend(&self, change: &Change<'_>, mut draft: Draft<'_>) -> Mutation {
        let (edits, mut findings) = bounds::carry(change);
        draft.apply(edits);
        let (clamps, edits, told) = self.seen(change, &draft, |change| {
            let (edits, told) = bounds::mend(change);
            (bounds::clamps(change, &edits), edits, told)
        });
        draft.apply(edits);
        findings.extend(told);
        if inject::strip(change, &mut draft) {
            let stripped = draft.value().clone();
            let cluster = self.dialect.view(&stripped);
            let change = cluster.as_ref().map(|cluster| change.with_new(cluster));
            findings.extend(change.iter().flat_map(|change| inject::mend(change, &mut draft)));
        } else {
            findings.extend(inject::mend(change, &mut draft));
        }
        let (ops, value) = draft.into_parts();
        Mutation { ops, findings, value, clamps }
    }

    /// Asks a rule about the cluster as the draft shows it.
    fn seen<T>(
        &self,
        change: &Change<'_>,
        draft: &Draft<'_>,
        rule: impl FnOnce(&Change<'_>) -> T,
    ) -> T {
        if draft.ops().is_empty() {
            return rule(change);
        }
        match self.dialect.view(draft.value()) {
            Some(cluster) => rule(&change.with_new(&cluster)),
            None => rule(change),
        }
    }

    /// What the API server's schema would say of a file. On an update a value that is stored
    /// already only warns, as there.
    fn shape(&self) -> Vec<Finding> {
        let findings = schema::check(self.object).unwrap_or_default();
        let stored = |finding: &Finding| {
            let now = finding.at.get(self.object);
            now.is_some() && self.stored.is_some_and(|stored| finding.at.get(stored) == now)
        };
        let weighed = findings
            .into_iter()
            .map(|finding| if stored(&finding) { finding.with(Severity::Warn) } else { finding });
        weighed.collect()
    }

    fn judge(&self, change: &Change<'a>, object: &Value) -> Vec<Finding> {
        let mut findings = Vec::new();
        let cluster: Option<Cluster<'_>> = self.dialect.view(object);
        let mended = cluster.as_ref().map(|cluster| change.with_new(cluster));
        if let Some(mended) = &mended {
            findings.extend(bounds::judge(mended));
            findings.extend(policy::built_in(self.policies, mended));
        }
        let judged = if self.is_final(change) { Some(change) } else { mended.as_ref() };
        if let Some(judged) = judged {
            findings.extend(policy::evaluate(self.policies, judged));
        }
        findings
    }

    /// Policies are asked of the object as it stands: nothing is patched any more. An installation that
    /// audits patches nothing at all; there they are asked of what it would have come to.
    fn is_final(&self, change: &Change<'_>) -> bool {
        self.phase == Phase::Validate && change.settings.mode == Mode::Enforce
    }

    fn close(&self, change: &Change<'_>, findings: Vec<Finding>, ops: Vec<Op>) -> Answer {
        let mut findings = distinct(findings);
        if !change.actor.is_person() {
            for finding in &mut findings {
                // No machine can mend what a policy asks of people; a refused scale would stop it.
                let refuses = finding.severity == Severity::Deny && finding.policy.is_none();
                let spoken = finding.rule == RuleId::SCOPE || refuses;
                if !spoken {
                    finding.severity = Severity::Note;
                }
            }
        }
        let audited = change.settings.mode == Mode::Audit;
        let refused = findings.iter().any(|finding| finding.severity == Severity::Deny);
        let allowed = audited || !refused;
        let patches = self.phase != Phase::Validate && !audited && allowed;
        // In audit mode the mutating webhook says what it would have set; the validating one need not
        // say it again.
        let says = !patches && allowed && !(audited && self.phase == Phase::Validate);
        let (patch, unpatched) = match (patches, says) {
            (true, _) => (ops, Vec::new()),
            (false, true) => (Vec::new(), ops),
            (false, false) => (Vec::new(), Vec::new()),
        };
        let mut answer = Answer {
            allowed,
            findings,
            patch,
            unpatched,
            actor: change.actor,
            audited,
            passed: None,
            subject: self.review.subject(),
            parent: None,
            clamps: Vec::new(),
            audit_annotations: BTreeMap::new(),
        };
        answer.audit_annotations = annotations(&answer);
        answer
    }
}

/// Facts for the API server's audit log: what machines did, which nobody is warned of, and what
/// audit mode let through.
fn annotations(answer: &Answer) -> BTreeMap<String, String> {
    const MOST: usize = 20;
    let list = |severity: Severity| {
        let spoken = answer.findings.iter().filter(|finding| finding.severity == severity);
        let lines: Vec<String> = spoken
            .take(MOST)
            .map(|finding| format!("{} {}", finding.source(), finding.at))
            .collect();
        lines.join("; ")
    };
    let changed: Vec<String> =
        answer.unpatched.iter().take(MOST).map(|op| op.at().to_string()).collect();
    let denied = if answer.audited { list(Severity::Deny) } else { String::new() };
    let facts = [
        ("would-deny", denied),
        ("would-set", if answer.audited { changed.join("; ") } else { String::new() }),
        ("noted", list(Severity::Note)),
        ("audited", list(Severity::Audit)),
    ];
    let spoken = facts.into_iter().filter(|(_, text)| !text.is_empty());
    spoken.map(|(key, text)| (key.to_owned(), text)).collect()
}

/// One finding for each rule and place; a policy may ask several things of one place.
fn distinct(findings: Vec<Finding>) -> Vec<Finding> {
    let mut seen = HashSet::new();
    let distinct = findings.into_iter().filter(|finding| {
        let asked = finding.policy.clone().map(|policy| (policy, finding.found.clone()));
        seen.insert((finding.rule, asked, finding.at.clone()))
    });
    distinct.collect()
}

fn pass(review: &Review, why: Why) -> Answer {
    Answer {
        allowed: true,
        findings: Vec::new(),
        patch: Vec::new(),
        unpatched: Vec::new(),
        actor: Actor::Person,
        audited: false,
        passed: Some(why),
        subject: review.subject(),
        parent: None,
        clamps: Vec::new(),
        audit_annotations: BTreeMap::new(),
    }
}

/// Domino's `scale` subresource.
fn scale(settings: &Settings, review: &Review, object: &Value) -> Answer {
    let manager: NodeManager = settings.node_manager(&review.namespace);
    let actor = actor::of(settings, manager, &review.user, &review.namespace, None);
    let mut answer = pass(review, Why::Subresource);
    let finding = bounds::scale::judge(settings, actor, object);
    answer.passed = finding.is_none().then_some(Why::Subresource);
    answer.actor = actor;
    answer.audited = settings.mode == Mode::Audit;
    answer.findings = finding.into_iter().collect();
    if !actor.is_person() {
        answer.findings.retain(|finding| finding.severity == Severity::Deny);
    }
    answer.allowed = answer.audited || answer.denials().next().is_none();
    answer
}
