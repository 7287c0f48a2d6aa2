//! Which of the kinds that raywarden reads, and which reports, an API server serves, and in which
//! version.
//!
//! Found by discovery, which every authenticated user may read. Asking for the kinds themselves would
//! not do: to somebody without the right, a kind that is not there is forbidden like one that is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResourceList};
use kube::Client;
use kube::core::{ApiResource, GroupVersionKind};

use crate::dialect;
use crate::plan::audit::reports::Form;
use crate::policy::KIND;
use crate::policy::definition::{PLURAL, VERSION};

/// What there is to list.
#[derive(Debug, Default)]
pub struct Served {
    /// Each served kind once, in the version that the server prefers.
    pub kinds: Vec<ApiResource>,
    /// Groups, and resources of served groups, that are not there.
    pub absent: Vec<String>,
    /// The reports that an audit writes, in the versions that it knows.
    pub reports: Vec<(Form, ApiResource)>,
    /// The administrators' policies.
    pub policies: Option<ApiResource>,
}

impl Served {
    /// Our own reports.
    pub fn own_reports(&self) -> Option<&ApiResource> {
        self.reports.iter().find(|(form, _)| *form == Form::Own).map(|(_, resource)| resource)
    }
}

/// Waits until a group is served in that version; how often it is looked, `between` says.
pub(super) async fn until_served(client: &Client, group_version: &str, between: Duration) {
    while client.list_api_group_resources(group_version).await.is_err() {
        tokio::time::sleep(between).await;
    }
}

/// Asks the server.
pub async fn served(client: &Client) -> kube::Result<Served> {
    let groups = client.list_api_groups().await?;
    let mut lists = BTreeMap::new();
    let reports = Form::ALL.map(|form| form.resource().0);
    for group in dialect::kinds().map(|(group, ..)| group).chain(reports) {
        for version in versions(&groups, group) {
            if let Entry::Vacant(entry) = lists.entry(version) {
                let list = client.list_api_group_resources(entry.key()).await?;
                entry.insert(list);
            }
        }
    }
    Ok(choose(&groups, &lists))
}

/// Group and version of a group, as the server ranks them.
fn versions(groups: &APIGroupList, group: &str) -> Vec<String> {
    let found = groups.groups.iter().find(|it| it.name == group);
    let versions = found.into_iter().flat_map(|it| &it.versions);
    versions.map(|version| version.group_version.clone()).collect()
}

fn choose(groups: &APIGroupList, lists: &BTreeMap<String, APIResourceList>) -> Served {
    let mut served = Served::default();
    for (group, kind, plural, _) in dialect::kinds() {
        let versions = versions(groups, group);
        if let Some(found) = first(&versions, lists, (group, kind, plural)) {
            served.kinds.push(found);
            continue;
        }
        let absent =
            if versions.is_empty() { group.to_owned() } else { format!("{plural}.{group}") };
        if !served.absent.contains(&absent) {
            served.absent.push(absent);
        }
    }
    served.reports = Form::ALL
        .into_iter()
        .filter_map(|form| {
            let (group, version, kind, plural) = form.resource();
            let version = format!("{group}/{version}");
            Some((form, first(&[version], lists, (group, kind, plural))?))
        })
        .collect();
    // They are of the group of our own reports.
    let version = format!("{}/{VERSION}", dialect::OURS);
    served.policies = first(&[version], lists, (dialect::OURS, KIND, PLURAL));
    served
}

/// The resource of a kind, in the first of the versions that has it.
fn first(
    versions: &[String],
    lists: &BTreeMap<String, APIResourceList>,
    (group, kind, plural): (&str, &str, &str),
) -> Option<ApiResource> {
    let has_it = |version: &&String| {
        let resources = lists.get(*version).map(|list| list.resources.as_slice());
        resources.unwrap_or_default().iter().any(|it| it.name == plural && it.kind == kind)
    };
    let version = versions.iter().find(has_it)?.rsplit('/').next().unwrap_or_default();
    let gvk = GroupVersionKind::gvk(group, version, kind);
    Some(ApiResource::from_gvk_with_plural(&gvk, plural))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn group(name: &str, versions: &[&str]) -> serde_json::Value {
        let each =
            |version| json!({"groupVersion": format!("{name}/{version}"), "version": version});
        json!({"name": name, "versions": versions.iter().map(each).collect::<Vec<_>>()})
    }

    fn list(version: &str, kinds: &[(&str, &str)]) -> (String, APIResourceList) {
        let each = |(name, kind): &(&str, &str)| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["list"]});
        let resources: Vec<_> = kinds.iter().map(each).collect();
        let list = json!({"groupVersion": version, "resources": resources});
        (version.to_owned(), from_value(list).unwrap())
    }

    #[test]
    fn a_kind_is_listed_once_in_the_first_version_that_has_it() {
        let groups = json!({"groups": [group("ray.io", &["v1", "v1alpha1"])]});
        let lists = BTreeMap::from([
            list(
                "ray.io/v1",
                &[("rayclusters", "RayCluster"), ("rayclusters/status", "RayCluster")],
            ),
            list("ray.io/v1alpha1", &[("rayclusters", "RayCluster"), ("rayjobs", "RayJob")]),
        ]);
        let served = choose(&from_value(groups).unwrap(), &lists);
        let kinds: Vec<String> =
            served.kinds.iter().map(|it| format!("{}/{}", it.api_version, it.plural)).collect();
        assert_eq!(kinds, ["ray.io/v1/rayclusters", "ray.io/v1alpha1/rayjobs"]);
        let absent =
            ["rayservices.ray.io", "raycronjobs.ray.io", "distributed-compute.dominodatalab.com"];
        assert_eq!(served.absent, absent);
    }

    #[test]
    fn reports_are_written_in_the_versions_that_are_known() {
        let groups = json!({"groups": [group("wgpolicyk8s.io", &["v1beta1"]), group("raywarden.io", &["v1alpha1"])]});
        let own = ("rayclusterreports", "RayClusterReport");
        let others = ("policyreports", "PolicyReport");
        let lists = BTreeMap::from([
            list("raywarden.io/v1alpha1", &[own]),
            list("wgpolicyk8s.io/v1beta1", &[others]),
        ]);
        let served = choose(&from_value(groups).unwrap(), &lists);
        assert_eq!(served.own_reports().map(|it| it.plural.as_str()), Some("rayclusterreports"));
        assert_eq!(served.reports.len(), 1);
    }

    #[test]
    fn absent_groups_are_named_once() {
        let served = choose(&APIGroupList::default(), &BTreeMap::new());
        assert!(served.kinds.is_empty());
        assert_eq!(served.absent, ["ray.io", "distributed-compute.dominodatalab.com"]);
    }
}
