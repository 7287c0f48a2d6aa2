//! The reports as the API server holds them: read page by page, written where they change.

use std::collections::{HashMap, HashSet};

use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch};
use serde_json::Value;

use super::super::apply::{is_there, patching, posting};
use super::super::leader::Leader;
use super::super::pages::Pages;
use super::super::resources;
use super::Reports;
use super::books::Judged;
use crate::clock;
use crate::plan::audit::ObjectKey;
use crate::plan::audit::kept;
use crate::plan::audit::reports::{Form, Whose};
use crate::plan::pod::{CREATED_BY, OURSELVES, controller_uid};
use crate::telemetry::chain;

/// Writes at one time.
const AT_ONCE: usize = 8;

/// The reports that are served.
#[derive(Default)]
pub(super) struct Archive {
    client: Option<Client>,
    reports: Reports,
}

/// One write of a report.
struct Write {
    whose: Whose,
    /// A merge patch, or with the rest of the report the new one.
    change: Value,
    is_new: bool,
}

impl Archive {
    pub(super) fn new(client: Client, reports: Reports) -> Self {
        Self { client: Some(client), reports }
    }

    /// Brings the reports of all that was judged up to date: how many were written, how many could not
    /// be, and all that was judged, dated.
    pub(super) async fn put_in_order(
        &self,
        judged: Vec<Judged>,
        leader: &Leader,
    ) -> (usize, usize, Vec<Judged>) {
        let Some(client) = &self.client else { return (0, 0, judged) };
        let mut judged: HashMap<ObjectKey, Judged> =
            judged.into_iter().map(|it| (it.whose.key(), it)).collect();
        let (mut written, mut failed) = (0, 0);
        for (form, resource) in &self.reports {
            let writes = match compare(client, *form, resource, &mut judged).await {
                Ok(writes) => writes,
                Err(error) => {
                    failed += 1;
                    let plural = &resource.plural;
                    tracing::warn!("{plural} could not be read: {}", chain(&error));
                    continue;
                }
            };
            let each = writes.into_iter().filter(|_| leader.leads());
            let done = futures::stream::iter(each.map(|it| write(client, *form, resource, it)));
            let mut done = std::pin::pin!(done.buffer_unordered(AT_ONCE));
            let mut told = false;
            while let Some(result) = done.next().await {
                let Err(error) = result else {
                    written += 1;
                    continue;
                };
                failed += 1;
                // One stands for all: they fail for the same reason.
                if !std::mem::replace(&mut told, true) {
                    let plural = &resource.plural;
                    tracing::warn!("{plural} could not be written: {}", chain(&error));
                }
            }
        }
        (written, failed, judged.into_values().collect())
    }

    /// Brings the reports of one object up to date, and dates what was found.
    pub(super) async fn replace(&self, judged: &mut Judged) -> kube::Result<()> {
        let Some(client) = &self.client else { return Ok(()) };
        for (form, resource) in &self.reports {
            let api = api(client, resource, &judged.whose.namespace);
            let stored = api.get_opt(&form.name(&judged.whose)).await?.map(resources::into_json);
            let stored = stored.filter(|stored| belongs(stored, &judged.whose));
            if let Some(it) = planned(*form, stored.as_ref(), judged) {
                write(client, *form, resource, it).await?;
            }
        }
        Ok(())
    }
}

/// What to write, given the stored reports of a form, which are read page by page.
async fn compare(
    client: &Client,
    form: Form,
    resource: &ApiResource,
    judged: &mut HashMap<ObjectKey, Judged>,
) -> kube::Result<Vec<Write>> {
    let all: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    let ours = format!("{CREATED_BY}={OURSELVES}");
    let mut pages =
        Pages::of(client.clone(), all.resource_url(), if form == Form::Own { "" } else { &ours });
    let mut writes = Vec::new();
    let mut met = HashSet::new();
    let mut each = |stored: Value| {
        let Some(key) = kept::subject(&stored) else { return };
        let Some(judged) = judged.get_mut(&key) else { return };
        let bears_its_name = stored.pointer("/metadata/name").and_then(Value::as_str)
            == Some(form.name(&judged.whose).as_str());
        if bears_its_name && belongs(&stored, &judged.whose) {
            writes.extend(planned(form, Some(&stored), judged));
            met.insert(key);
        }
    };
    while pages.next(&mut each).await? {
        tokio::task::yield_now().await;
    }
    let new = judged.iter_mut().filter(|(key, _)| !met.contains(*key));
    writes.extend(new.filter_map(|(_, judged)| planned(form, None, judged)));
    Ok(writes)
}

/// Dates what was found, and says what to write of it.
fn planned(form: Form, stored: Option<&Value>, judged: &mut Judged) -> Option<Write> {
    let Judged { whose, found } = judged;
    found.date(&stored.map(|it| form.dates(it)).unwrap_or_default(), clock::this_second());
    let change = form.change(stored, whose, found)?;
    Some(Write { whose: whose.clone(), change, is_new: stored.is_none() })
}

async fn write(
    client: &Client,
    form: Form,
    resource: &ApiResource,
    Write { whose, change, is_new }: Write,
) -> kube::Result<()> {
    let api = api(client, resource, &whose.namespace);
    if is_new {
        let object = form.object(&whose, change.clone());
        let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
        match api.create(&posting(), &object).await {
            // Its other half was written meanwhile.
            Err(kube::Error::Api(status)) if is_there(&status) => {}
            made => return made.map(|_| ()),
        }
    }
    api.patch(&form.name(&whose), &patching(), &Patch::Merge(change)).await.map(|_| ())
}

fn api(client: &Client, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, resource)
}

/// Whether a report is about this very object, not about an older one of its name.
fn belongs(report: &Value, whose: &Whose) -> bool {
    controller_uid(report) == Some(whose.uid.as_str())
}
