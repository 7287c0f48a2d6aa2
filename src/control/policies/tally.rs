//! What the stored clusters of every namespace may reach, followed by watches.
//!
//! Every kind that has Pods of its own is watched once it is served. Nothing of an object is kept but its
//! part of the sums.

use std::collections::HashMap;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};

use super::super::resources;
use super::super::served::until_served;
use super::tell;
use crate::dialect::{self, Dialect};
use crate::http::objects::resource;
use crate::model::Settings;
use crate::policy::Usage;

/// How often it is looked whether a kind is served.
const BETWEEN: Duration = Duration::from_secs(30);

/// Events of clusters, with their kind.
pub(super) type Clusters = BoxStream<'static, (Dialect, watcher::Result<Event<DynamicObject>>)>;

/// The sums, and what is known on the way to them.
pub(super) struct Tally {
    settings: Settings,
    usage: Usage,
    /// What a list that is under way has come to so far.
    listed: HashMap<Dialect, Usage>,
    trouble: HashMap<Dialect, String>,
}

impl Tally {
    /// Nothing yet; clusters are counted by `settings`.
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, usage: Usage::default(), listed: HashMap::new(), trouble: HashMap::new() }
    }

    /// The sums.
    pub(super) fn usage(&self) -> Usage {
        self.usage.clone()
    }

    /// Takes an event in; whether the sums may have changed. Most writes of clusters change none: what
    /// a cluster may reach moves with its bounds alone.
    pub(super) fn take(
        &mut self,
        dialect: Dialect,
        event: watcher::Result<Event<DynamicObject>>,
    ) -> bool {
        let Self { settings, usage, listed, trouble } = self;
        let trouble = trouble.entry(dialect).or_default();
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tell(trouble, &dialect.called(), &error);
                return false;
            }
        };
        trouble.clear();
        match event {
            // A list that is under way tells nothing yet.
            Event::Init => {
                listed.remove(&dialect);
                false
            }
            Event::InitApply(object) => {
                let listed = listed.entry(dialect).or_default();
                insert(listed, settings, dialect, &object);
                false
            }
            Event::InitDone => {
                usage.replace(dialect, listed.remove(&dialect).unwrap_or_default());
                true
            }
            Event::Apply(object) => insert(usage, settings, dialect, &object),
            Event::Delete(object) => {
                let namespace = object.namespace().unwrap_or_default();
                usage.remove(dialect, &namespace, &resources::json(&object))
            }
        }
    }
}

fn insert(
    usage: &mut Usage,
    settings: &Settings,
    dialect: Dialect,
    object: &DynamicObject,
) -> bool {
    let namespace = object.namespace().unwrap_or_default();
    usage.insert(settings, dialect, &namespace, &resources::json(object))
}

/// The clusters of every kind that has Pods, from when it is served.
pub(super) fn clusters(client: &Client) -> Clusters {
    let kinds = dialect::kinds().map(|(.., dialect)| dialect).filter(|it| it.holds_pods());
    stream::select_all(kinds.map(|dialect| followed(client.clone(), dialect))).boxed()
}

fn followed(client: Client, dialect: Dialect) -> Clusters {
    let resource = resource(dialect);
    let served = async move {
        until_served(&client, &resource.api_version, BETWEEN).await;
        let api: Api<DynamicObject> = Api::all_with(client, &resource);
        watcher(api, watcher::Config::default()).default_backoff()
    };
    served.into_stream().flatten().map(move |event| (dialect, event)).boxed()
}
