//! One round for one cluster: fetch -> plan -> ask -> patch -> statuses.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch};
use serde_json::Value;

use super::{Place, Work, leave, read, resource};
use crate::clock;
use crate::control::apply::{patching, version};
use crate::control::resources;
use crate::dialect::Dialect;
use crate::http::objects;
use crate::plan::Action;
use crate::plan::lease::{
    self, BEGINS, Lease, Observed, Phase, Plan, Said, Verdict, WRITE_REFUSED,
};
use crate::plan::status::Outcome;

/// Questions, bindings and patches that met another cluster than they were planned for.
const MOST_STEPS: usize = 64;

/// Patches that did not meet what they were planned from.
const MOST_PATCHES: u32 = 4;

/// The pause after one of them; it doubles.
const PAUSE: Duration = Duration::from_millis(50);

/// The next round after one that had to be left.
const NEXT: Duration = Duration::from_secs(1);

/// Looks after the leases of one cluster; when to look again.
pub(super) async fn run(work: &Work, place: &Place) -> Result<Option<Duration>, String> {
    let mut round = Round { work, place, verdicts: BTreeMap::new(), patches: 0 };
    for _ in 0..MOST_STEPS {
        if !work.around.leader.leads() {
            return Ok(Some(NEXT));
        }
        if let Some(done) = round.step().await? {
            return Ok(done);
        }
    }
    Err("its plan does not come to an end".to_owned())
}

/// What would be held is not, and what would be given back is not yet, where the API server refuses
/// the patch. `holders`: the leases that the stored cluster names.
fn is_refused(said: &mut Said, holders: &[(String, String)], refusal: &str) {
    let holds = holders.iter().any(|(_, uid)| *uid == said.lease);
    match said.phase {
        Phase::Active if !holds => {
            said.phase = Phase::Pending;
            WRITE_REFUSED.clone_into(&mut said.reason);
            said.message = format!("the API server refuses the change: {refusal}");
        }
        Phase::Ended if holds => {
            said.message =
                format!("{}; the API server refuses that so far: {refusal}", said.message);
        }
        _ => {}
    }
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => crate::telemetry::chain(other),
    }
}

/// What became of a patch.
enum Patched {
    /// It was made, or there is none to make.
    Done,
    /// The cluster has changed since the plan.
    Outdated,
    /// The API server takes it in no way.
    Refused(String),
}

struct Round<'a> {
    work: &'a Work,
    place: &'a Place,
    /// By UID of a lease: what was found of its requester.
    verdicts: BTreeMap<String, Verdict>,
    /// Patches that were refused.
    patches: u32,
}

impl Round<'_> {
    /// One step of the round; `None`: there is another one, `Some`: when the next round is.
    async fn step(&mut self) -> Result<Option<Option<Duration>>, String> {
        let stored = self.cluster().await.map_err(|error| words(&error))?;
        let leases = self.leases(stored.as_ref()).await.map_err(|error| words(&error))?;
        let plan = self.plan(stored.as_ref(), &leases);
        if let (Some(ask), Some(stored)) = (&plan.ask, &stored) {
            let lease = leases.iter().find(|lease| lease.uid == ask.lease);
            let lease = lease.ok_or("a question about no lease")?;
            let verdict = leave::ask(&self.work.around, self.place, lease, stored, ask).await;
            let verdict = verdict.map_err(|error| words(&error))?;
            if let Verdict::Refused { reason, message } = &verdict {
                // At once, so that however many are refused, each is asked about once.
                let said = Said::refused(lease, reason, message);
                self.tell(Some(stored), &leases, &[said]).await?;
            }
            self.verdicts.insert(ask.lease.clone(), verdict);
            return Ok(None);
        }
        if plan.binds {
            let mut begins = plan.said;
            begins.retain(|said| said.reason == BEGINS);
            self.tell(stored.as_ref(), &leases, &begins).await?;
            return Ok(None);
        }
        let mut said = plan.said.clone();
        let refusal = match self.patched(&plan).await? {
            Patched::Done => None,
            Patched::Outdated => return Ok(None),
            Patched::Refused(refusal) => Some(refusal),
        };
        if let (Some(refusal), Some(stored)) = (&refusal, &stored) {
            let holders = lease::holders(stored, self.place.dialect);
            for said in &mut said {
                is_refused(said, &holders, refusal);
            }
        }
        self.tell(stored.as_ref(), &leases, &said).await?;
        refusal.map_or(Ok(Some(plan.again)), Err)
    }

    /// Makes the patch of a plan, where it has one.
    async fn patched(&mut self, plan: &Plan) -> Result<Patched, String> {
        if plan.operations.is_empty() {
            return Ok(Patched::Done);
        }
        match self.patch(plan).await {
            Ok(()) => Ok(Patched::Done),
            Err(kube::Error::Api(status)) if [404, 409, 422].contains(&status.code) => {
                self.patches += 1;
                if self.patches >= MOST_PATCHES {
                    return Ok(Patched::Refused(status.message));
                }
                // What was allowed was another change.
                self.verdicts.retain(|_, verdict| *verdict != Verdict::Allowed);
                tokio::time::sleep(PAUSE * (1 << self.patches)).await;
                Ok(Patched::Outdated)
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                Ok(Patched::Refused(status.message))
            }
            Err(error) => Err(words(&error)),
        }
    }

    fn clusters(&self) -> Api<DynamicObject> {
        let resource = objects::resource(self.place.dialect);
        let client = self.work.around.client.clone();
        Api::namespaced_with(client, &self.place.key.namespace, &resource)
    }

    fn objects(&self) -> Api<DynamicObject> {
        let client = self.work.around.client.clone();
        Api::namespaced_with(client, &self.place.key.namespace, &resource())
    }

    async fn cluster(&self) -> kube::Result<Option<Value>> {
        Ok(objects::find(&self.clusters(), &self.place.key.name).await?.map(resources::into_json))
    }

    /// The leases that name the cluster. One that holds a group and that no watch shows is asked for.
    async fn leases(&self, stored: Option<&Value>) -> kube::Result<Vec<Lease>> {
        let books = &self.work.books;
        let known = books.of(self.place);
        let holders = stored.map(|object| lease::holders(object, self.place.dialect));
        let mut asked = false;
        for (name, uid) in holders.unwrap_or_default() {
            if known.iter().any(|lease| lease.uid == uid) {
                continue;
            }
            let found = objects::find(&self.objects(), &name).await?;
            if let Some((lease, version)) = found.as_ref().and_then(read) {
                books.show(lease, version);
                asked = true;
            }
        }
        Ok(if asked { books.of(self.place) } else { known })
    }

    fn plan(&self, cluster: Option<&Value>, leases: &[Lease]) -> Plan {
        let Place { dialect, key } = self.place;
        let pods = match dialect {
            Dialect::RayCluster => self.work.around.index.pods(key),
            Dialect::Domino | Dialect::Embedded(_) => Vec::new(),
        };
        lease::plan(&Observed {
            cluster,
            dialect: *dialect,
            pods: &pods,
            leases,
            verdicts: &self.verdicts,
            now: clock::now(),
        })
    }

    async fn patch(&self, plan: &Plan) -> kube::Result<()> {
        let patch = serde_json::from_value(Value::Array(plan.operations.clone()));
        let patch = Patch::Json::<()>(patch.map_err(kube::Error::SerdeError)?);
        let name = &self.place.key.name;
        let after = self.clusters().patch(name, &patching(), &patch).await?;
        let what = plan.what.join("; ");
        let told = Action::Patch { what, operations: Vec::new() };
        let after = resources::into_json(after);
        self.work.around.events.tell(&after, &[&told], &Outcome::default()).await;
        Ok(())
    }

    /// Writes the statuses that say something else.
    async fn tell(
        &self,
        cluster: Option<&Value>,
        leases: &[Lease],
        said: &[Said],
    ) -> Result<(), String> {
        for said in said {
            let Some(lease) = leases.iter().find(|lease| lease.uid == said.lease) else { continue };
            let Some(patch) = lease.tell(said, clock::now()) else { continue };
            if !self.work.around.leader.leads() {
                return Err("another replica leads now".to_owned());
            }
            let written =
                self.objects().patch_status(&lease.name, &patching(), &Patch::Merge(patch)).await;
            match written {
                Ok(object) => {
                    let version = version(&object);
                    if let Some(lease) = Lease::read(&resources::json(&object)) {
                        self.work.books.show(lease, version);
                    }
                }
                // It is gone, or another one has its name.
                Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {
                    self.work.books.drop(&lease.namespace, &lease.name);
                }
                Err(error) => return Err(words(&error)),
            }
            self.warn(cluster, lease, said).await;
        }
        Ok(())
    }

    /// What somebody should look at is an Event of the cluster too.
    async fn warn(&self, cluster: Option<&Value>, lease: &Lease, said: &Said) {
        let before = lease.said().map_or(Phase::Pending, |(phase, _)| phase);
        let reason = match said.phase {
            Phase::Contested => "LeaseContested",
            Phase::Refused => "LeaseRefused",
            Phase::Pending | Phase::Active | Phase::Ended => return,
        };
        if let (Some(cluster), true) = (cluster, before != said.phase) {
            let note = format!("lease {}: {}", lease.name, said.message);
            self.work.around.events.warn(cluster, reason, &note).await;
        }
    }
}
