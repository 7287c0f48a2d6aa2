//! Which kinds are ours, and how to read each of them.
//!
//! Input: API group and kind, then the raw object. Output: a [`Cluster`], the same for all of them.
//! This is the only place that matches on groups and kinds.

pub mod domino;
pub mod kuberay;

use serde_json::Value;

use crate::model::{Cluster, Pointer, Template};

/// A kind that holds a Ray cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `ray.io` RayCluster, v1 or v1alpha1.
    RayCluster,
    /// A kind of `ray.io` whose spec embeds a RayCluster's.
    Embedded(Parent),
    /// Domino's RayCluster.
    Domino,
}

/// A kind that makes RayClusters from a spec inside its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    /// `spec.rayClusterSpec`.
    RayJob,
    /// `spec.rayClusterConfig`.
    RayService,
    /// `spec.jobTemplate.rayClusterSpec`.
    RayCronJob,
}

/// API group of KubeRay's kinds.
pub const RAY: &str = "ray.io";

/// API group of Domino's kinds.
pub const DOMINO: &str = "distributed-compute.dominodatalab.com";

/// API group of our own kinds.
pub const OURS: &str = "raywarden.io";

/// Our kind that holds a group at a count for a time.
pub const LEASE: &str = "ScaleLease";

/// Whether a kind is our [`LEASE`].
pub fn is_lease(group: &str, kind: &str) -> bool {
    group == OURS && kind == LEASE
}

const KINDS: [(&str, &str, &str, Dialect); 5] = [
    (RAY, "RayCluster", "rayclusters", Dialect::RayCluster),
    (RAY, "RayJob", "rayjobs", Dialect::Embedded(Parent::RayJob)),
    (RAY, "RayService", "rayservices", Dialect::Embedded(Parent::RayService)),
    (RAY, "RayCronJob", "raycronjobs", Dialect::Embedded(Parent::RayCronJob)),
    (DOMINO, "RayCluster", "rayclusters", Dialect::Domino),
];

/// The dialect of a kind; `None` where it is not ours.
pub fn of(group: &str, kind: &str) -> Option<Dialect> {
    KINDS.iter().find(|(g, k, ..)| *g == group && *k == kind).map(|(.., dialect)| *dialect)
}

/// Whether the `scale` subresource of this resource writes the count of a Ray cluster.
pub fn is_scalable(group: &str, resource: &str) -> bool {
    group == DOMINO && resource == "rayclusters"
}

/// The versions in which the kinds of a group are served, the one to write first.
pub fn versions(group: &str) -> &'static [&'static str] {
    if group == DOMINO { &["v1alpha1"] } else { &["v1", "v1alpha1"] }
}

/// Every kind that is read: API group, kind, plural, dialect.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str, &'static str, Dialect)> {
    KINDS.into_iter()
}

impl Parent {
    /// The kind.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::RayJob => "RayJob",
            Self::RayService => "RayService",
            Self::RayCronJob => "RayCronJob",
        }
    }

    /// Where the template of the Pod that submits the job stands; `None` where no Pod does.
    pub fn submitter_template(self) -> Option<Pointer> {
        match self {
            Self::RayJob => Some(Pointer::of(["spec", "submitterPodTemplate"])),
            Self::RayCronJob => Some(Pointer::of(["spec", "jobTemplate", "submitterPodTemplate"])),
            Self::RayService => None,
        }
    }

    /// That template, where it says one.
    fn submitter(self, object: &Value) -> Option<Template<'_>> {
        let at = self.submitter_template()?;
        let raw = at.get(object).filter(|raw| raw.get("spec").is_some())?;
        Some(Template::read(raw, at))
    }

    /// Where the cluster's spec stands in it.
    pub fn spec(self) -> Pointer {
        match self {
            Self::RayJob => Pointer::of(["spec", "rayClusterSpec"]),
            Self::RayService => Pointer::of(["spec", "rayClusterConfig"]),
            Self::RayCronJob => Pointer::of(["spec", "jobTemplate", "rayClusterSpec"]),
        }
    }
}

impl Dialect {
    /// Its API group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Domino => DOMINO,
            Self::RayCluster | Self::Embedded(_) => RAY,
        }
    }

    /// Its resource.
    pub fn plural(self) -> &'static str {
        KINDS.iter().find(|(.., it)| *it == self).map_or("", |(_, _, plural, _)| plural)
    }

    /// Whether its objects have Pods of their own; the others make objects that have.
    pub const fn holds_pods(self) -> bool {
        !matches!(self, Self::Embedded(_))
    }

    /// Many of them, in words.
    pub fn called(self) -> String {
        match self {
            Self::RayCluster => "RayClusters".to_owned(),
            Self::Embedded(parent) => format!("{}s", parent.kind()),
            Self::Domino => "Domino's clusters".to_owned(),
        }
    }

    /// The cluster that `object` holds; `None` where an embedding kind embeds none.
    pub fn view(self, object: &Value) -> Option<Cluster<'_>> {
        match self {
            Self::RayCluster => Some(kuberay::view(object, Pointer::of(["spec"]), true)),
            Self::Embedded(parent) => {
                parent.spec().get(object).filter(|spec| !spec.is_null())?;
                let cluster = kuberay::view(object, parent.spec(), false);
                Some(Cluster { submitter: parent.submitter(object), ..cluster })
            }
            Self::Domino => Some(domino::view(object)),
        }
    }
}
