//! One round for one cluster: fetch -> plan -> ask -> patch -> statuses.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch};
use serde_json::Value;

use super::{Place, Work, leave, read, resource};
use crate::clock;
use crate::control::apply::{patching, version};
use crate::control::resources;
use crate::dialect::{self, Dialect};
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
    let mut verdicts = BTreeMap::new();
    let mut patches = 0;
    let round = Round { work, place };
    for _ in 0..MOST_STEPS {
        if !work.around.leader.leads() {
            return Ok(Some(NEXT));
        }
        let stored = round.cluster().await.map_err(|error| words(&error))?;
        let leases = round.leases(stored.as_ref()).await.map_err(|error| words(&error))?;
        let plan = round.plan(stored.as_ref(), &leases, &verdicts);
        if let (Some(ask), Some(stored)) = (&plan.ask, &stored) {
            let lease = leases.iter().find(|lease| lease.uid == ask.lease);
            let lease = lease.ok_or("a question about no lease")?;
            let verdict = leave::ask(&work.around, place, lease, stored, ask).await;
            verdicts.insert(ask.lease.clone(), verdict.map_err(|error| words(&error))?);
            continue;
        }
        if plan.binds {
            let mut begins = plan.said;
            begins.retain(|said| said.reason == BEGINS);
            round.tell(stored.as_ref(), &leases, &begins).await?;
            continue;
        }
        let mut said = plan.said.clone();
        let mut refusal = None;
        if !plan.operations.is_empty() {
            match round.patch(&plan).await {
                Ok(()) => {}
                Err(kube::Error::Api(status)) if [404, 409, 422].contains(&status.code) => {
                    patches += 1;
                    if patches < MOST_PATCHES {
                        // What was allowed was another change.
                        verdicts.retain(|_, verdict| *verdict != Verdict::Allowed);
                        tokio::time::sleep(PAUSE * (1 << patches)).await;
                        continue;
                    }
                    refusal = Some(status.message);
                }
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    refusal = Some(status.message);
                }
                Err(error) => return Err(words(&error)),
            }
        }
        if let Some(refusal) = &refusal {
            for said in &mut said {
                is_refused(said, &leases, refusal);
            }
        }
        round.tell(stored.as_ref(), &leases, &said).await?;
        return refusal.map_or(Ok(plan.again), Err);
    }
    Err("its plan does not come to an end".to_owned())
}

/// What would be held is not, where the API server refuses the patch.
fn is_refused(said: &mut Said, leases: &[Lease], refusal: &str) {
    let lease = leases.iter().find(|lease| lease.uid == said.lease);
    let holds = |lease: &Lease| lease.said().is_some_and(|(phase, _)| phase == Phase::Active);
    if said.phase == Phase::Active && !lease.is_some_and(holds) {
        said.phase = Phase::Pending;
        WRITE_REFUSED.clone_into(&mut said.reason);
        said.message = format!("the API server refuses the change: {refusal}");
    }
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => crate::telemetry::chain(other),
    }
}

/// An object; `None` also where its kind is not served, which the API server says in other words.
async fn find(api: Api<DynamicObject>, name: &str) -> kube::Result<Option<DynamicObject>> {
    match api.get(name).await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

struct Round<'a> {
    work: &'a Work,
    place: &'a Place,
}

impl Round<'_> {
    fn clusters(&self) -> Api<DynamicObject> {
        let resource = match self.place.dialect {
            Dialect::Domino => {
                let version = dialect::versions(dialect::DOMINO).first().copied();
                let version = version.unwrap_or("v1alpha1");
                let kind = GroupVersionKind::gvk(dialect::DOMINO, version, "RayCluster");
                ApiResource::from_gvk_with_plural(&kind, "rayclusters")
            }
            Dialect::RayCluster | Dialect::Embedded(_) => resources::raycluster(),
        };
        let client = self.work.around.client.clone();
        Api::namespaced_with(client, &self.place.key.namespace, &resource)
    }

    fn objects(&self) -> Api<DynamicObject> {
        let client = self.work.around.client.clone();
        Api::namespaced_with(client, &self.place.key.namespace, &resource())
    }

    async fn cluster(&self) -> kube::Result<Option<Value>> {
        Ok(find(self.clusters(), &self.place.key.name).await?.map(resources::into_json))
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
            let found = find(self.objects(), &name).await?;
            if let Some((lease, version)) = found.as_ref().and_then(read) {
                books.show(lease, version);
                asked = true;
            }
        }
        Ok(if asked { books.of(self.place) } else { known })
    }

    fn plan(
        &self,
        cluster: Option<&Value>,
        leases: &[Lease],
        verdicts: &BTreeMap<String, Verdict>,
    ) -> Plan {
        let Place { dialect, key } = self.place;
        let uid = cluster.and_then(|it| it.pointer("/metadata/uid")).and_then(Value::as_str);
        let pods = match (dialect, uid) {
            (Dialect::RayCluster, Some(uid)) => self.work.around.index.moment(key, uid).pods,
            _ => Vec::new(),
        };
        lease::plan(&Observed {
            cluster,
            dialect: *dialect,
            pods: &pods,
            leases,
            verdicts,
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
