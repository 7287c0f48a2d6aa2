//! Watches: RayClusters, Ray Pods, and the objects that we make.
//!
//! Each event goes into the [`Index`] and queues its cluster where it is news: not the echo of our own write. Only Pods that are Ray nodes and objects
//! that bear our label are listed; of Secrets only the metadata. A watch that breaks begins anew, with
//! growing pauses.

use std::collections::HashSet;
use std::sync::Arc;

use futures::channel::mpsc::UnboundedSender;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::index::{Index, Key};
use super::resources::{self, OWNED};
use crate::plan::pod::{CLUSTER, CREATED_BY, NODE_TYPE, OURSELVES, Pod};

/// Where clusters wait for their turn.
pub(super) type Queue = UnboundedSender<ObjectRef<DynamicObject>>;

/// Starts every watch; the store holds the clusters.
pub(super) fn start(
    client: &Client,
    index: &Arc<Index>,
    queue: &Queue,
    stop: &CancellationToken,
) -> Store<DynamicObject> {
    let run = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    };
    let rayclusters = resources::raycluster();
    let writer = reflector::store::Writer::new(rayclusters.clone());
    let store = writer.as_reader();
    let clusters = watcher(Api::all_with(client.clone(), &rayclusters), watcher::Config::default());
    let clusters = clusters.default_backoff().modify(trim).reflect(writer);
    run(Box::pin(watch_clusters(clusters, Arc::clone(index), queue.clone())));

    let nodes =
        watcher::Config::default().labels(&format!("{NODE_TYPE} in (head, worker, redis-cleanup)"));
    let pods =
        watcher(Api::<DynamicObject>::all_with(client.clone(), &resources::of("Pod")), nodes);
    run(Box::pin(watch_pods(pods.default_backoff(), Arc::clone(index), queue.clone())));

    let ours = watcher::Config::default().labels(&format!("{CREATED_BY}={OURSELVES}"));
    for kind in OWNED {
        let (index, queue) = (Arc::clone(index), queue.clone());
        if kind == "Secret" {
            // Only that it is there and whose it is; never what is in it.
            let secrets =
                watcher(Api::<PartialObjectMeta<Secret>>::all(client.clone()), ours.clone());
            let secrets = secrets.default_backoff().map_ok(|event| {
                mapped(event, |secret| json!({"kind": "Secret", "metadata": secret.metadata}))
            });
            run(Box::pin(watch_objects(kind, secrets, index, queue)));
        } else {
            let api = Api::<DynamicObject>::all_with(client.clone(), &resources::of(kind));
            let objects = watcher(api, ours.clone()).default_backoff();
            let objects = objects.map_ok(|event| mapped(event, resources::into_json));
            run(Box::pin(watch_objects(kind, objects, index, queue)));
        }
    }
    store
}

/// Bookkeeping of the API server that nobody here reads.
fn trim(object: &mut DynamicObject) {
    object.managed_fields_mut().clear();
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
}

fn mapped<K, T>(event: Event<K>, to: impl Fn(K) -> T) -> Event<T> {
    match event {
        Event::Apply(object) => Event::Apply(to(object)),
        Event::Delete(object) => Event::Delete(to(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(to(object)),
        Event::InitDone => Event::InitDone,
    }
}

/// Puts a cluster in line.
pub(super) fn enqueue(queue: &Queue, key: &Key) {
    let reference = ObjectRef::new_with(&key.name, resources::raycluster()).within(&key.namespace);
    let _ = queue.unbounded_send(reference);
}

async fn watch_clusters(
    events: impl Stream<Item = watcher::Result<Event<DynamicObject>>>,
    index: Arc<Index>,
    queue: Queue,
) {
    let mut seen = std::collections::HashMap::new();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let key = Key::of(&object);
                // Our own status writes queue nothing.
                let now = face(&object);
                if seen.insert(key.clone(), now.clone()) != Some(now) {
                    enqueue(&queue, &key);
                }
            }
            Ok(Event::Delete(object)) => {
                let key = Key::of(&object);
                seen.remove(&key);
                index.forget(&key);
            }
            Ok(Event::InitDone) => {
                index.complete("rayclusters");
                for key in seen.keys() {
                    enqueue(&queue, key);
                }
            }
            Ok(Event::Init) => {}
            Err(error) => report("rayclusters", &error),
        }
    }
}

/// What a plan depends on, apart from the status.
fn face(object: &DynamicObject) -> (Option<i64>, Option<String>, u64) {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hash = DefaultHasher::new();
    object.labels().hash(&mut hash);
    object.annotations().hash(&mut hash);
    object.finalizers().hash(&mut hash);
    object.metadata.deletion_timestamp.is_some().hash(&mut hash);
    (object.metadata.generation, object.uid(), hash.finish())
}

async fn watch_pods(
    events: impl Stream<Item = watcher::Result<Event<DynamicObject>>>,
    index: Arc<Index>,
    queue: Queue,
) {
    let key_of = |object: &DynamicObject| {
        let name = object.labels().get(CLUSTER)?.clone();
        Some(Key { namespace: object.namespace()?, name })
    };
    let mut listed: Option<HashSet<(Key, String)>> = None;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let Some(key) = key_of(&object) else { continue };
                if let Some(listed) = &mut listed {
                    listed.insert((key.clone(), object.name_any()));
                }
                if index.show_pod(&key, Pod::read(&resources::into_json(object))) {
                    enqueue(&queue, &key);
                }
            }
            Ok(Event::Delete(object)) => {
                let Some(key) = key_of(&object) else { continue };
                index.drop_pod(&key, &object.name_any());
                enqueue(&queue, &key);
            }
            Ok(Event::Init) => listed = Some(HashSet::new()),
            Ok(Event::InitDone) => {
                for (key, name) in index.pod_names().difference(&listed.take().unwrap_or_default())
                {
                    index.drop_pod(key, name);
                    enqueue(&queue, key);
                }
                index.complete("pods");
            }
            Err(error) => report("pods", &error),
        }
    }
}

/// The cluster that an object says it belongs to.
fn owner(object: &Value) -> Option<Key> {
    let metadata = object.get("metadata")?;
    let owners = metadata.get("ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|it| it.get("controller") == Some(&Value::Bool(true)))?;
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    Some(Key { namespace: text(metadata, "namespace")?, name: text(owner, "name")? })
}

async fn watch_objects(
    kind: &'static str,
    events: impl Stream<Item = watcher::Result<Event<Value>>>,
    index: Arc<Index>,
    queue: Queue,
) {
    let name_of = |object: &Value| {
        object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("").to_owned()
    };
    let mut listed: Option<HashSet<(Key, String)>> = None;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let Some(key) = owner(&object) else { continue };
                let name = name_of(&object);
                if let Some(listed) = &mut listed {
                    listed.insert((key.clone(), name.clone()));
                }
                if index.show_object(&key, kind, &name, slim(object, kind)) {
                    enqueue(&queue, &key);
                }
            }
            Ok(Event::Delete(object)) => {
                let Some(key) = owner(&object) else { continue };
                index.drop_object(&key, kind, &name_of(&object));
                enqueue(&queue, &key);
            }
            Ok(Event::Init) => listed = Some(HashSet::new()),
            Ok(Event::InitDone) => {
                let listed = listed.take().unwrap_or_default();
                for (key, name) in index.object_names(kind).difference(&listed) {
                    index.drop_object(key, kind, name);
                    enqueue(&queue, key);
                }
                index.complete(kind);
            }
            Err(error) => report(kind, &error),
        }
    }
}

/// What plans ask of an object.
pub(super) fn slim(mut object: Value, kind: &str) -> Value {
    let metadata = |key: &str| object.pointer(&format!("/metadata/{key}")).cloned();
    let kept: serde_json::Map<String, Value> =
        ["name", "namespace", "uid", "labels", "ownerReferences"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), metadata(key)?)))
            .collect();
    let mut slim = json!({"kind": kind, "metadata": kept});
    if let (Some(slim), Some(object)) = (slim.as_object_mut(), object.as_object_mut()) {
        for key in ["rules", "subjects", "roleRef"] {
            slim.extend(object.remove(key).map(|value| (key.to_owned(), value)));
        }
        if kind == "Job" {
            slim.extend(object.remove("status").map(|status| ("status".to_owned(), status)));
        } else if let Some(spec) = object.remove("spec") {
            let part = |key: &str| spec.get(key).cloned().unwrap_or(Value::Null);
            slim.insert(
                "spec".to_owned(),
                json!({"clusterIP": part("clusterIP"), "ports": part("ports")}),
            );
        }
    }
    slim
}

fn report(watch: &'static str, error: &watcher::Error) {
    let forbidden = error.to_string().contains("forbidden");
    tracing::warn!(
        watch,
        forbidden,
        "a watch broke and begins anew: {}",
        crate::telemetry::chain(error)
    );
}
