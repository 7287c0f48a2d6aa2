//! One round for one cluster: fetch -> plan -> apply -> status.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::controller::Action as Next;
use serde_json::Value;

use super::accounts::Accounts;
use super::apply::{self, Done, Hands};
use super::events::Recorder;
use super::evidence::Evidence;
use super::index::{EXPECTED_FOR, Index, Key, Moment, Patience};
use super::leader::Leader;
use super::metrics::Metrics;
use super::resources;
use crate::clock;
use crate::model::NodeManager;
use crate::model::names::own_account;
use crate::plan::condition::{Condition, FOREIGN_NODE_MANAGER};
use crate::plan::status::{self, Failure, Outcome};
use crate::plan::{self, Action, Observed, Plan, Subject, Terms, head, nodes, stale};

/// After this time it is looked again whether another manager is still at work.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// For how long a change of the status that may wait waits after the last one.
const PAUSE: Duration = Duration::from_secs(1);

/// What a round needs.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) index: Arc<Index>,
    pub(super) accounts: Accounts,
    pub(super) leader: Leader,
    pub(super) evidence: Evidence,
    pub(super) events: Arc<Recorder>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) terms: Terms,
}

/// Why a round ended early.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Something has to become true first, which takes a moment.
    NotYet(&'static str),
    /// The API server refused or did not answer.
    Api(String),
    /// It refused for want of room: quota or limits.
    Refused(String),
    /// The account that the head names is not there; it is watched for.
    NoAccount(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet(what) => write!(f, "{what}"),
            Self::Api(what) | Self::Refused(what) | Self::NoAccount(what) => {
                write!(f, "a step failed: {what}")
            }
        }
    }
}

impl std::error::Error for Trouble {}

impl Trouble {
    /// How long to wait after it.
    pub(super) const fn patience(&self) -> Patience {
        let (first, longest) = match self {
            Self::NotYet(_) => (Duration::from_millis(200), Duration::from_secs(5)),
            Self::Api(_) => (Duration::from_secs(1), Duration::from_mins(5)),
            Self::Refused(_) => (Duration::from_secs(5), Duration::from_mins(5)),
            Self::NoAccount(_) => (Duration::from_mins(1), Duration::from_mins(5)),
        };
        Patience { first, longest }
    }
}

/// Looks after one cluster.
pub(super) async fn cluster(object: &DynamicObject, context: &Context) -> Result<Next, Trouble> {
    let key = Key::of(object);
    if !context.leader.leads() {
        return Ok(Next::await_change());
    }
    if !context.index.is_complete() {
        return Err(Trouble::NotYet("the watches are not complete yet"));
    }
    let (manager, decided) = manager(context, &key.namespace).await?;
    if manager != NodeManager::Raywarden {
        // No watch tells when an operator is gone.
        return Ok(if decided { Next::await_change() } else { Next::requeue(LOOK_AGAIN) });
    }
    let mut stored = resources::json(object);
    if let Some(newer) = context.index.newer_status(&key, apply::version(object))
        && let Some(stored) = stored.as_object_mut()
    {
        stored.insert("status".to_owned(), newer);
    }
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let round = Round { context, key: &key, stored: &stored, uid: &uid };
    let next = round.run().await?;
    context.index.succeeded(&key);
    Ok(next)
}

/// Who makes nodes in a namespace, and whether a setting says so.
async fn manager(context: &Context, namespace: &str) -> Result<(NodeManager, bool), Trouble> {
    let settings = &context.terms.settings;
    let decided = settings.node_manager.is_some()
        || settings.node_manager_for.iter().any(|(name, _)| name == namespace);
    if decided {
        return Ok((settings.node_manager(namespace), true));
    }
    let ours = context.evidence.crd_is_ours().await.map_err(|error| api(&error))?;
    let foreign = context.evidence.kuberay_in(namespace).await.map_err(|error| api(&error))?;
    let alone = ours && foreign.is_none();
    Ok((if alone { NodeManager::Raywarden } else { NodeManager::KubeRay }, false))
}

fn api(error: &kube::Error) -> Trouble {
    match error {
        kube::Error::Api(status) => Trouble::Api(status.message.clone()),
        other => Trouble::Api(crate::telemetry::chain(other)),
    }
}

struct Round<'a> {
    context: &'a Context,
    key: &'a Key,
    stored: &'a Value,
    uid: &'a str,
}

impl Round<'_> {
    async fn run(&self) -> Result<Next, Trouble> {
        let mut moment = self.context.index.moment(self.key, self.uid);
        if let Some(subject) = Subject::of(self.stored) {
            // A victim that is another cluster's stays, and somebody is told.
            let named: Vec<&str> = subject.view.groups.iter().flat_map(stale::named).collect();
            moment.pods.extend(self.context.index.elsewhere(self.key, &named));
        }
        let terms = &self.context.terms;
        let mut plan = {
            let observed = self.observed(&moment);
            if let Some(subject) = Subject::of(self.stored) {
                let matters = nodes::matters(&subject, &observed);
                let floor = nodes::floor(&subject);
                self.context.index.remember(self.key, &matters, floor, observed.now);
            }
            plan::cluster(&observed, terms, &secret())
        };
        self.heed_evidence(&mut plan).await?;
        if plan.actions.iter().any(Action::is_about_pods) {
            // By then no write counts as done any more that no watch has shown.
            let shown = EXPECTED_FOR + Duration::from_secs(1);
            plan.again = Some(plan.again.map_or(shown, |earlier| earlier.min(shown)));
        }
        let (written, outcome, trouble) = self.carry_out(&plan).await;
        let status = self.write_status(&plan, &outcome).await;
        self.tell(&plan, &written, &outcome).await;
        self.warn_of_account(&written).await;
        match (trouble, plan.again.into_iter().chain(status?).min()) {
            (Some(trouble), _) => Err(trouble),
            (None, Some(wait)) => Ok(Next::requeue(wait)),
            (None, None) => Ok(Next::await_change()),
        }
    }

    fn observed<'a>(&'a self, moment: &'a Moment) -> Observed<'a> {
        Observed {
            cluster: self.stored,
            pods: &moment.pods,
            existing: &moment.objects,
            memory: &moment.memory,
            now: clock::now(),
        }
    }

    /// Before any Pod is written it is looked again whether another manager is at work.
    async fn heed_evidence(&self, plan: &mut Plan) -> Result<(), Trouble> {
        if !plan.actions.iter().any(Action::is_about_pods) {
            return Ok(());
        }
        let foreign = self.context.evidence.kuberay_in(&self.key.namespace).await;
        if let Some(who) = foreign.map_err(|error| api(&error))? {
            self.context.metrics.met_another_manager();
            plan.actions.clear();
            plan.again = Some(LOOK_AGAIN);
            let message = format!("{who}; nothing is written here while it is alive");
            plan.conditions.push(Condition::holds(FOREIGN_NODE_MANAGER, "LiveOperator", message));
        }
        Ok(())
    }

    async fn carry_out<'p>(&self, plan: &'p Plan) -> (Vec<&'p Action>, Outcome, Option<Trouble>) {
        let Self { context, key, uid, .. } = *self;
        let hands = Hands { client: &context.client, index: &context.index, key, uid };
        let mut outcome = Outcome::default();
        let mut written: Vec<&Action> = Vec::new();
        let mut trouble = None;
        for action in &plan.actions {
            if !context.leader.leads() {
                trouble = Some(Trouble::NotYet("another replica leads now"));
                break;
            }
            match hands.act(action).await {
                Ok(Done::Written) => {
                    context.metrics.wrote(action);
                    written.push(action);
                }
                Ok(Done::Already) => {}
                Ok(Done::Conflict { kind, name }) => outcome.conflicts.push((kind, name)),
                Ok(Done::Outdated) => {
                    trouble = Some(Trouble::NotYet("the cluster changed meanwhile"));
                    break;
                }
                Err(error) => {
                    trouble = self.refused(action, &error, &mut outcome);
                    break;
                }
            }
        }
        if written.iter().any(|action| action.is_about_pods()) {
            context.index.succeeded(key);
        }
        (written, outcome, trouble)
    }

    async fn tell(&self, plan: &Plan, written: &[&Action], outcome: &Outcome) {
        let told = plan.actions.iter().filter(|action| matches!(action, Action::Tell { .. }));
        let all: Vec<&Action> = written.iter().copied().chain(told).collect();
        self.context.events.tell(self.stored, &all, outcome).await;
    }

    /// A head was made whose autoscaler gets no token because its account, a user's, gives none.
    async fn warn_of_account(&self, written: &[&Action]) {
        let accounts = written.iter().filter_map(|action| match action {
            Action::CreatePod(pod) => head::token_of(pod),
            _ => None,
        });
        for account in accounts.filter(|account| *account != own_account(&self.key.name)) {
            let api = resources::api(&self.context.client, "ServiceAccount", &self.key.namespace);
            let found = api.get_opt(account).await.ok().flatten();
            let says = found.as_ref().and_then(|it| it.data.get("automountServiceAccountToken"));
            if says == Some(&Value::Bool(false)) {
                let note = format!(
                    "account {account} gives Pods no token (automountServiceAccountToken: false), and \
                     the autoscaler needs one: set it true in the head's template, or mount a projected \
                     token into the sidecar by autoscalerOptions.volumeMounts"
                );
                self.context.events.warn(self.stored, "AutoscalerWithoutToken", &note).await;
            }
        }
    }

    /// What a refusal means, and whether it is worth another try.
    fn refused(
        &self,
        action: &Action,
        error: &kube::Error,
        outcome: &mut Outcome,
    ) -> Option<Trouble> {
        let kube::Error::Api(status) = error else {
            outcome.failure = Some(Failure::of(action, "the API server did not answer".to_owned()));
            return Some(api(error));
        };
        let causes = status.details.as_ref().map(|details| details.causes.as_slice());
        let ends = causes.into_iter().flatten().any(|cause| cause.reason == "NamespaceTerminating");
        if ends {
            // Said once; planned once more, because a finalizer of ours must not hold the namespace up.
            let news = self.context.index.namespace_ends(self.key);
            return news.then_some(Trouble::NotYet("its namespace is being deleted"));
        }
        let message = &status.message;
        outcome.failure = Some(Failure::of(action, explained(message)));
        if let Some(account) = missing_account(message) {
            self.context.accounts.wait_for(self.key, &account);
            outcome.missing_account = Some(account);
            return Some(Trouble::NoAccount(message.clone()));
        }
        Some(if status.code == 403 { Trouble::Refused(message.clone()) } else { api(error) })
    }

    /// Writes the status where it changed; for how long that waits, where it may and does.
    async fn write_status(
        &self,
        plan: &Plan,
        outcome: &Outcome,
    ) -> Result<Option<Duration>, Trouble> {
        let moment = self.context.index.moment(self.key, self.uid);
        let observed = self.observed(&moment);
        let Some(subject) = Subject::of(self.stored).filter(|subject| !subject.is_leaving()) else {
            return Ok(None);
        };
        if crate::dialect::kuberay::managed_elsewhere(&subject.view) || !self.context.leader.leads()
        {
            return Ok(None);
        }
        let Some(patch) = status::patch(&subject, &observed, plan, outcome) else {
            return Ok(None);
        };
        let pause = self.context.index.pause_left(self.key, PAUSE);
        if pause.is_some() && status::may_wait(plan, outcome) {
            return Ok(pause);
        }
        for condition in status::news(&subject, plan, outcome) {
            self.context.events.warn(self.stored, condition.kind, &condition.message).await;
        }
        match apply::status(&self.context.client, self.key, &patch).await {
            Ok((version, status)) => {
                self.context.metrics.wrote_status();
                self.context.index.wrote_status(self.key, version, status);
                Ok(None)
            }
            // It was deleted meanwhile.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            // Another manager wrote it meanwhile; its write comes as an event.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Err(Trouble::NotYet("the status changed meanwhile"))
            }
            Err(error) => Err(api(&error)),
        }
    }
}

/// The account that the admission plugin of accounts did not find.
fn missing_account(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("error looking up service account ")?;
    let (path, _) = rest.split_once(':')?;
    Some(path.rsplit('/').next().unwrap_or(path).to_owned())
}

/// A refusal with what it has to do with the sidecar, where it is one of room.
fn explained(message: &str) -> String {
    if message.contains("exceeded quota") || message.contains("LimitRange") {
        format!("{message} (with autoscaling on the head Pod asks for the sidecar's share too)")
    } else {
        message.to_owned()
    }
}

/// 32 bytes that nobody knows, for a token where one has to be made.
fn secret() -> String {
    use base64::Engine as _;
    let mut bytes = [0_u8; 32];
    let random = rustls::crypto::ring::default_provider().secure_random;
    if random.fill(&mut bytes).is_err() {
        return String::new();
    }
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_that_is_missing_is_read_from_the_refusal() {
        let message = "pods \"lab-head-x\" is forbidden: error looking up service account team-a/not-there-yet: serviceaccount \"not-there-yet\" not found";
        assert_eq!(missing_account(message).as_deref(), Some("not-there-yet"));
        assert_eq!(missing_account("exceeded quota: q"), None);
    }

    #[test]
    fn secrets_differ_and_are_long() {
        assert!(secret() != secret() && secret().len() >= 43);
    }
}
