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
use super::leases::{Sight, Sights, see};
use super::metrics::Metrics;
use super::resources::{self, OWNED};
use crate::dialect::Dialect;
use crate::plan::pod::{CLUSTER, CREATED_BY, NODE_TYPE, OURSELVES, Pod};

/// Where clusters wait for their turn.
pub(super) type Queue = UnboundedSender<ObjectRef<DynamicObject>>;

/// Where watches lead.
#[derive(Clone)]
pub(super) struct Feed {
    pub(super) index: Arc<Index>,
    pub(super) queue: Queue,
    pub(super) metrics: Arc<Metrics>,
    pub(super) sights: Sights,
    pub(super) audits: UnboundedSender<Key>,
}

/// Starts every watch; the store holds the clusters.
pub(super) fn start(
    client: &Client,
    feed: &Feed,
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
    run(Box::pin(watch_clusters(clusters, feed.clone())));

    let nodes =
        watcher::Config::default().labels(&format!("{NODE_TYPE} in (head, worker, redis-cleanup)"));
    let pods =
        watcher(Api::<DynamicObject>::all_with(client.clone(), &resources::of("Pod")), nodes);
    run(Box::pin(follow(POD, pods.default_backoff(), feed.clone())));

    let ours = watcher::Config::default().labels(&format!("{CREATED_BY}={OURSELVES}"));
    for kind in OWNED {
        if kind == "Secret" {
            // Only that it is there and whose it is; never what is in it.
            let secrets =
                watcher(Api::<PartialObjectMeta<Secret>>::all(client.clone()), ours.clone());
            let secrets = secrets.default_backoff().map_ok(|event| {
                mapped(event, |secret| json!({"kind": "Secret", "metadata": secret.metadata}))
            });
            run(Box::pin(follow(owned(kind), secrets, feed.clone())));
        } else {
            let api = Api::<DynamicObject>::all_with(client.clone(), &resources::of(kind));
            let objects = watcher(api, ours.clone()).default_backoff();
            let objects = objects.map_ok(|event| mapped(event, resources::into_json));
            run(Box::pin(follow(owned(kind), objects, feed.clone())));
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
    feed: Feed,
) {
    let Feed { index, queue, sights, audits, .. } = &feed;
    let mut seen = std::collections::HashMap::new();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let key = Key::of(&object);
                // Our own status writes queue nothing.
                let now = face(&object);
                if seen.insert(key.clone(), now.clone()) != Some(now) {
                    enqueue(queue, &key);
                    see(sights, Dialect::RayCluster, &object, false);
                    let _ = audits.unbounded_send(key);
                }
            }
            Ok(Event::Delete(object)) => {
                let key = Key::of(&object);
                see(sights, Dialect::RayCluster, &object, true);
                seen.remove(&key);
                index.forget(&key);
                let _ = audits.unbounded_send(key);
            }
            Ok(Event::InitDone) => {
                index.complete("rayclusters");
                for key in seen.keys() {
                    enqueue(queue, key);
                }
                let _ = sights.unbounded_send(Sight::Relisted(Dialect::RayCluster));
            }
            Ok(Event::Init) => {}
            Err(error) => feed.metrics.watch_broke_of("rayclusters", &error),
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

/// What one kind of watched object is to the index.
struct Kind<T> {
    name: &'static str,
    /// Its cluster and its name; `None`: it is no concern of ours.
    place: fn(&T) -> Option<(Key, String)>,
    /// Shows it; whether that is news.
    show: fn(&Index, &'static str, &Key, T) -> bool,
    drop: fn(&Index, &'static str, &Key, &str),
    known: fn(&Index, &'static str) -> HashSet<(Key, String)>,
}

const POD: Kind<DynamicObject> = Kind {
    name: "pods",
    place: |pod| {
        let name = pod.labels().get(CLUSTER)?.clone();
        Some((Key { namespace: pod.namespace()?, name }, pod.name_any()))
    },
    show: |index, _, key, pod| index.show_pod(key, Pod::read(&resources::into_json(pod))),
    drop: |index, _, key, name| index.drop_pod(key, name),
    known: |index, _| index.pod_names(),
};

/// An object that we make.
const fn owned(kind: &'static str) -> Kind<Value> {
    Kind {
        name: kind,
        place: |object| Some((owner(object)?, name_of(object).to_owned())),
        show: |index, kind, key, object| {
            let name = name_of(&object).to_owned();
            index.show_object(key, kind, &name, slim(object, kind))
        },
        drop: |index, kind, key, name| index.drop_object(key, kind, name),
        known: |index, kind| index.object_names(kind),
    }
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("")
}

async fn follow<T>(
    kind: Kind<T>,
    events: impl Stream<Item = watcher::Result<Event<T>>>,
    feed: Feed,
) {
    let Feed { index, queue, .. } = &feed;
    let mut listed: Option<HashSet<(Key, String)>> = None;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let Some(place) = (kind.place)(&object) else { continue };
                let key = place.0.clone();
                if let Some(listed) = &mut listed {
                    listed.insert(place);
                }
                if (kind.show)(index, kind.name, &key, object) {
                    enqueue(queue, &key);
                }
            }
            Ok(Event::Delete(object)) => {
                let Some((key, name)) = (kind.place)(&object) else { continue };
                (kind.drop)(index, kind.name, &key, &name);
                enqueue(queue, &key);
            }
            Ok(Event::Init) => listed = Some(HashSet::new()),
            Ok(Event::InitDone) => {
                let listed = listed.take().unwrap_or_default();
                for (key, name) in (kind.known)(index, kind.name).difference(&listed) {
                    (kind.drop)(index, kind.name, key, name);
                    enqueue(queue, key);
                }
                index.complete(kind.name);
            }
            Err(error) => feed.metrics.watch_broke_of(kind.name, &error),
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
