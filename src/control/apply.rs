//! Carries out one step of a plan.
//!
//! POST first: what is there already is looked at, and taken for done only where it belongs to this
//! cluster's UID. Deletions name the UID that was seen. Changes of a RayCluster are JSON patches that
//! test what they were planned from.

use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
};
use kube::core::response::Status;
use serde_json::Value;

use super::index::{Index, Key};
use super::resources;
use super::watch::slim;
use crate::plan::pod::{Pod, controller_uid};
use crate::plan::{Action, step};

/// The field manager of everything that we write.
pub(super) const MANAGER: &str = "raywarden";

/// What came of a step.
#[derive(Debug)]
pub(super) enum Done {
    /// It was carried out.
    Written,
    /// It stood so already.
    Already,
    /// An object of that name is somebody else's.
    Conflict {
        /// Kind.
        kind: String,
        /// Name.
        name: String,
    },
    /// The cluster has changed since the plan.
    Outdated,
}

/// What a step is carried out with.
pub(super) struct Hands<'a> {
    pub(super) client: &'a Client,
    pub(super) index: &'a Index,
    pub(super) key: &'a Key,
    pub(super) uid: &'a str,
}

impl Hands<'_> {
    /// Carries out one step.
    pub(super) async fn act(&self, action: &Action) -> kube::Result<Done> {
        match action {
            Action::Create(object) => self.create(object).await,
            Action::Mend(object) => self.mend(object).await,
            Action::Remove { kind, name, uid, .. } => self.remove(kind, name, uid).await,
            Action::Conflict { kind, name } => {
                Ok(Done::Conflict { kind: kind.clone(), name: name.clone() })
            }
            Action::CreatePod(pod) => self.create_pod(pod).await,
            Action::DeletePod { name, uid, .. } => {
                let done = self.remove("Pod", name, uid).await?;
                self.index.deleted_pod(self.key, uid);
                Ok(done)
            }
            Action::Patch { operations, .. } => self.patch(operations).await,
            Action::Tell { .. } => Ok(Done::Already),
        }
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        resources::api(self.client, kind, &self.key.namespace)
    }

    async fn post(&self, kind: &str, object: &Value) -> kube::Result<Option<Value>> {
        let object: DynamicObject =
            serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
        match self.api(kind).create(&posting(), &object).await {
            Ok(made) => Ok(Some(resources::into_json(made))),
            Err(kube::Error::Api(status)) if is_there(&status) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create(&self, object: &Value) -> kube::Result<Done> {
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        if let Some(made) = self.post(kind, object).await? {
            self.index.made_object(self.key, kind, name, slim(made, kind));
            return Ok(Done::Written);
        }
        let Some(found) = self.api(kind).get_opt(name).await? else { return Ok(Done::Outdated) };
        let found = resources::into_json(found);
        match step::step(object.clone(), std::slice::from_ref(&found), self.uid) {
            None => {
                self.index.made_object(self.key, kind, name, slim(found, kind));
                Ok(Done::Already)
            }
            Some(Action::Mend(object)) => self.mend(&object).await,
            Some(Action::Remove { kind, name, uid, .. }) => self.remove(&kind, &name, &uid).await,
            Some(Action::Conflict { kind, name }) => Ok(Done::Conflict { kind, name }),
            Some(_) => Ok(Done::Outdated),
        }
    }

    async fn mend(&self, object: &Value) -> kube::Result<Done> {
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        let parameters = PatchParams::apply(MANAGER).force();
        let mended = self.api(kind).patch(name, &parameters, &Patch::Apply(object)).await?;
        self.index.show_object(self.key, kind, name, slim(resources::into_json(mended), kind));
        Ok(Done::Written)
    }

    async fn remove(&self, kind: &str, name: &str, uid: &str) -> kube::Result<Done> {
        let seen = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
        match self.api(kind).delete(name, &parameters).await {
            Ok(_) => Ok(Done::Written),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Done::Already),
            // Where another one has that name by now, the one that was meant is no more.
            Err(error) if is_conflict(&error) => {
                let found = self.api(kind).get_metadata_opt(name).await?;
                let same = found.is_some_and(|it| it.metadata.uid.as_deref() == Some(uid));
                if same { Err(error) } else { Ok(Done::Already) }
            }
            Err(error) => Err(error),
        }
    }

    async fn create_pod(&self, pod: &Value) -> kube::Result<Done> {
        let name = text(pod, "/metadata/name");
        if let Some(made) = self.post("Pod", pod).await? {
            self.index.made_pod(self.key, Pod::read(&made));
            return Ok(Done::Written);
        }
        let Some(found) = self.api("Pod").get_opt(name).await? else { return Ok(Done::Outdated) };
        let found = resources::into_json(found);
        if controller_uid(&found) == Some(self.uid) {
            self.index.made_pod(self.key, Pod::read(&found));
            return Ok(Done::Already);
        }
        Ok(Done::Conflict { kind: "Pod".to_owned(), name: name.to_owned() })
    }

    async fn patch(&self, operations: &[Value]) -> kube::Result<Done> {
        let api = rayclusters(self.client, &self.key.namespace);
        let patch = serde_json::from_value(Value::Array(operations.to_vec()));
        let patch = Patch::Json::<()>(patch.map_err(kube::Error::SerdeError)?);
        match api.patch(&self.key.name, &patching(), &patch).await {
            Ok(_) => Ok(Done::Written),
            Err(kube::Error::Api(status)) if [404, 409, 422].contains(&status.code) => {
                Ok(Done::Outdated)
            }
            Err(error) => Err(error),
        }
    }
}

/// Writes a merge patch of a cluster's status; its new resource version and status.
pub(super) async fn status(
    client: &Client,
    key: &Key,
    patch: &Value,
) -> kube::Result<(u64, Value)> {
    let api = rayclusters(client, &key.namespace);
    let written = api.patch_status(&key.name, &patching(), &Patch::Merge(patch)).await?;
    let version = version(&written);
    Ok((version, written.data.get("status").cloned().unwrap_or(Value::Null)))
}

/// The resource version as the number that it is on every API server we meet; 0 otherwise.
pub(super) fn version(object: &DynamicObject) -> u64 {
    object.metadata.resource_version.as_deref().and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// A POST of ours.
pub(super) fn posting() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

/// A PATCH of ours.
pub(super) fn patching() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

fn rayclusters(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let resource: ApiResource = resources::raycluster();
    Api::namespaced_with(client.clone(), namespace, &resource)
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether an object of that name was there already.
pub(super) fn is_there(status: &Status) -> bool {
    status.code == 409 && status.reason == "AlreadyExists"
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}
