//! A stored `ScaleLease`, read.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::dialect::{self, Dialect};
use crate::model::template::{list, member, text};
use crate::plan::condition;

/// The longest message of a status.
const MOST_MESSAGE: usize = 1024;

/// Who asked for a lease, as admission recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// User name.
    pub username: String,
    /// Groups.
    pub groups: Vec<String>,
}

/// What a lease is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits: for its cluster, its group, or its turn.
    Pending,
    /// It holds its group.
    Active,
    /// Somebody else writes the same fields, so nothing more is written.
    Contested,
    /// It may not hold what it asks for.
    Refused,
    /// It is over.
    Ended,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Active, Self::Contested, Self::Refused, Self::Ended];

    /// As the status spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Active => "Active",
            Self::Contested => "Contested",
            Self::Refused => "Refused",
            Self::Ended => "Ended",
        }
    }
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Namespace, of its cluster too.
    pub namespace: String,
    /// When it was made, in whole seconds.
    pub created: String,
    /// The generation of its spec.
    pub generation: i64,
    /// It is being deleted.
    pub leaving: bool,
    /// The kind of its cluster; `None` where the API group is none of those.
    pub dialect: Option<Dialect>,
    /// The name of its cluster.
    pub cluster: String,
    /// The group that it names.
    pub group: Option<String>,
    /// The count.
    pub replicas: i64,
    /// When it ends; `None` where that cannot be read.
    pub until: Option<Timestamp>,
    /// Who asked for it.
    pub requester: Option<Requester>,
    /// `status`; null where there is none.
    pub status: Value,
}

impl Lease {
    /// Reads a stored object; `None` where it has no name, UID or cluster.
    pub fn read(object: &Value) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let spec = object.get("spec")?;
        let cluster = spec.get("cluster")?;
        let requester = member(spec, "requester").and_then(|it| {
            let groups = list(it, "groups").iter().filter_map(Value::as_str);
            let username = text(it, "username").filter(|name| !name.is_empty())?.to_owned();
            Some(Requester { username, groups: groups.map(str::to_owned).collect() })
        });
        Some(Self {
            name: text(metadata, "name")?.to_owned(),
            uid: text(metadata, "uid")?.to_owned(),
            namespace: text(metadata, "namespace")?.to_owned(),
            created: text(metadata, "creationTimestamp").unwrap_or("").to_owned(),
            generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or(0),
            leaving: member(metadata, "deletionTimestamp").is_some(),
            dialect: match text(cluster, "apiGroup").unwrap_or(dialect::RAY) {
                dialect::RAY => Some(Dialect::RayCluster),
                dialect::DOMINO => Some(Dialect::Domino),
                _ => None,
            },
            cluster: text(cluster, "name")?.to_owned(),
            group: text(spec, "group").map(str::to_owned),
            replicas: spec.get("replicas").and_then(Value::as_i64)?,
            until: text(spec, "until").and_then(|it| it.parse().ok()),
            requester,
            status: object.get("status").cloned().unwrap_or(Value::Null),
        })
    }

    /// The UID of the cluster that it was first seen for.
    pub fn bound_to(&self) -> Option<&str> {
        text(&self.status, "clusterUid").filter(|uid| !uid.is_empty())
    }

    /// The phase and the reason that its status says.
    pub fn said(&self) -> Option<(Phase, &str)> {
        let phase = text(&self.status, "phase")?;
        let phase = Phase::ALL.into_iter().find(|it| it.as_str() == phase)?;
        let reason = self.condition().and_then(|it| text(it, "reason"));
        Some((phase, reason.unwrap_or("")))
    }

    /// Whether its status speaks of the spec as it is.
    pub fn is_current(&self) -> bool {
        self.status.get("observedGeneration").and_then(Value::as_i64) == Some(self.generation)
    }

    fn condition(&self) -> Option<&Value> {
        condition::stored(&self.status, "Held")
    }

    /// The order in which leases of one group have their turn.
    pub fn rank(&self) -> (&str, &str) {
        (&self.created, &self.name)
    }

    /// The merge patch of its status that says this; `None` where it says so already.
    pub fn tell(&self, said: &super::Said, now: Timestamp) -> Option<Value> {
        let holds = if said.phase == Phase::Active { "True" } else { "False" };
        let since = condition::since(self.condition(), holds).map(str::to_owned);
        let message: String = said.message.chars().take(MOST_MESSAGE).collect();
        let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let condition = json!({
            "type": "Held", "status": holds, "reason": said.reason, "message": message,
            "observedGeneration": self.generation,
            "lastTransitionTime": since.unwrap_or_else(|| whole.to_string()),
        });
        let mut status = json!({
            "phase": said.phase.as_str(), "message": message,
            "observedGeneration": self.generation, "conditions": [condition],
        });
        let bound = self.bound_to().or(said.cluster.as_deref());
        if let (Some(uid), Some(status)) = (bound, status.as_object_mut()) {
            status.insert("clusterUid".to_owned(), json!(uid));
        }
        (self.status != status).then(|| json!({"metadata": {"uid": self.uid}, "status": status}))
    }
}
