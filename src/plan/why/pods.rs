//! Head and workers as Pods: what keeps them from running, how many, since when.
//!
//! Input: the [`View`]. Output: the links `head` and `pods`.

use std::collections::BTreeMap;

use super::facts::{Seen, count, line, text_at};
use super::{Link, View};
use crate::model::names::SIDECAR;
use crate::plan::pod::{ContainerState, Phase};

/// How long a container may take to be ready.
const PATIENCE: i64 = 10 * 60;

/// What keeps a Pod from running, the heaviest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ended,
    Gated,
    Unschedulable,
    Image,
    Config,
    Memory,
    Crashing,
    InitWaits,
    NotReady,
    Starting,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Gated => "held by scheduling gates",
            Self::Unschedulable => "unschedulable",
            Self::Image => "without their image",
            Self::Config => "not to be started as they are written",
            Self::Memory => "out of memory",
            Self::Crashing => "crash-looping",
            Self::InitWaits => "waiting in an init container",
            Self::NotReady => "running and not ready",
            Self::Starting => "starting",
        }
    }

    fn fix(self, pod: &str, namespace: &str) -> String {
        let describe = format!("kubectl describe pod {pod} -n {namespace}");
        let logs = format!("kubectl logs {pod} -n {namespace} --all-containers");
        match self {
            Self::Ended => format!("find out why with {describe}; the node manager replaces it"),
            Self::Gated => format!(
                "ask the controller that put the gates there; for Kueue: kubectl get workloads -n {namespace}"
            ),
            Self::Unschedulable => format!(
                "add nodes that fit, ask for less, or mend nodeSelector, affinity and tolerations of the \
                 group; leave the Pods, a cluster autoscaler goes by them ({describe})"
            ),
            Self::Image => {
                format!("mend the image's name or the pull secret of the group ({describe})")
            }
            Self::Config => {
                format!("a Secret, ConfigMap or command that it names is not there ({describe})")
            }
            Self::Memory => "raise resources.limits.memory of the container".to_owned(),
            Self::Crashing => format!("read its last words: {logs} --previous"),
            Self::InitWaits => format!(
                "it waits for the head: look at the head's Service and NetworkPolicies ({logs})"
            ),
            Self::NotReady => format!("its probe fails; read {logs}"),
            Self::Starting => String::new(),
        }
    }
}

/// What keeps one Pod from running, with what was said; `None` where it runs and is ready.
fn trouble(view: &View<'_>, seen: &Seen) -> Option<(Kind, String)> {
    let pod = &seen.pod;
    if matches!(pod.phase, Phase::Failed | Phase::Succeeded) {
        let last = pod.containers.iter().map(|it| it.reason.as_str()).find(|it| !it.is_empty());
        let said = if seen.ended.is_empty() { last.unwrap_or("") } else { &seen.ended };
        return Some((Kind::Ended, line(said)));
    }
    if !seen.gates.is_empty() {
        return Some((Kind::Gated, seen.gates.join(", ")));
    }
    if !pod.scheduled && !pod.unschedulable.is_empty() {
        return Some((Kind::Unschedulable, line(&pod.unschedulable)));
    }
    let all = seen.init.iter().chain(pod.containers.iter().filter(|it| it.name != SIDECAR));
    if let Some(found) = all.filter_map(of_container).min_by_key(|(kind, _)| *kind) {
        return Some(found);
    }
    if pod.is_ready() || runs_but_for_its_sidecar(seen) {
        return None;
    }
    let late = view.seconds(&pod.created) > PATIENCE;
    if let Some(init) = seen.init.iter().find(|init| init.running) {
        return Some((if late { Kind::InitWaits } else { Kind::Starting }, init.name.clone()));
    }
    let running = pod.containers.iter().any(|container| container.running);
    Some((if running && late { Kind::NotReady } else { Kind::Starting }, String::new()))
}

/// A head that is not ready because of its autoscaler is that link's matter.
fn runs_but_for_its_sidecar(seen: &Seen) -> bool {
    let containers = &seen.pod.containers;
    let sidecar_down = containers.iter().any(|it| it.name == SIDECAR && !it.running);
    let mut others = containers.iter().filter(|it| it.name != SIDECAR).peekable();
    sidecar_down && others.peek().is_some() && others.all(|it| it.running)
}

fn of_container(container: &ContainerState) -> Option<(Kind, String)> {
    let ContainerState { name, reason, message, last_reason, terminated, .. } = container;
    let kind = match reason.as_str() {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull"
        | "ImageInspectError" => Kind::Image,
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Kind::Config,
        "OOMKilled" => Kind::Memory,
        "CrashLoopBackOff" if last_reason == "OOMKilled" => Kind::Memory,
        "CrashLoopBackOff" => Kind::Crashing,
        "Completed" => return None,
        _ if *terminated => Kind::Crashing,
        _ => return None,
    };
    let last = match kind {
        Kind::Crashing | Kind::Memory if container.restarts > 0 => {
            format!("{name}: {}, last {last_reason}", count_restarts(container.restarts))
        }
        _ if message.is_empty() => format!("{name}: {reason}"),
        _ => format!("{name}: {message}"),
    };
    Some((kind, line(&last)))
}

fn count_restarts(restarts: i64) -> String {
    count(usize::try_from(restarts).unwrap_or_default(), "restart")
}

/// The head Pod.
pub(super) fn head(view: &View<'_>) -> Link {
    if let Err(gap) = &view.facts.pods {
        return Link::unknown(gap);
    }
    let Some(head) = view.head() else { return no_head(view) };
    let name = &head.pod.name;
    if head.pod.terminating {
        return Link::waiting(format!("{name} is on its way out; no new head yet"), "");
    }
    let Some((kind, said)) = trouble(view, head) else {
        return Link::ok(format!("{name} runs, made {} ago", view.ago(&head.pod.created)));
    };
    let said = if said.is_empty() { said } else { format!(" ({said})") };
    let what =
        format!("{name} is {}{said}, made {} ago", kind.as_str(), view.ago(&head.pod.created));
    if kind == Kind::Starting {
        return Link::waiting(what, "");
    }
    Link::blocked(what, kind.fix(name, view.namespace))
}

fn no_head(view: &View<'_>) -> Link {
    /// For a node manager to see the cluster.
    const MOMENT: i64 = 60;
    if let Some(why) = view.refusal() {
        return Link::blocked(format!("there is no head Pod: {why}"), view.refusal_fix());
    }
    if view.seconds(text_at(view.cluster.metadata, "creationTimestamp")) < MOMENT {
        return Link::waiting("there is no head Pod yet", "");
    }
    if view.facts.cluster.get("status").is_none() {
        return Link::blocked(
            "there is no head Pod and no status: nobody has looked at this cluster",
            "run a node manager that watches this namespace: the KubeRay operator, or raywarden with \
             --node-manager raywarden",
        );
    }
    Link::blocked(
        "there is no head Pod",
        format!("read the log of the node manager, and kubectl get events -n {}", view.namespace),
    )
}

/// The worker Pods.
pub(super) fn workers(view: &View<'_>) -> Link {
    if let Err(gap) = &view.facts.pods {
        return Link::unknown(gap);
    }
    let mut all = 0;
    let mut by_kind: BTreeMap<Kind, Vec<(&Seen, String)>> = BTreeMap::new();
    for seen in view.workers() {
        all += 1;
        if let Some((kind, said)) = trouble(view, seen) {
            by_kind.entry(kind).or_default().push((seen, said));
        }
    }
    if all == 0 {
        return Link::ok("there are no workers");
    }
    let stuck: usize = by_kind.values().map(Vec::len).sum();
    let mut parts = vec![format!("{} of {} ready", all - stuck, count(all, "worker"))];
    parts.extend(by_kind.iter_mut().map(|(kind, pods)| {
        pods.sort_by(|(a, _), (b, _)| {
            (&a.pod.created, &a.pod.name).cmp(&(&b.pod.created, &b.pod.name))
        });
        said(view, *kind, pods)
    }));
    let what = parts.join("; ");
    // In the order of weight: what is merely starting comes last.
    let Some((kind, oldest)) =
        by_kind.iter().find_map(|(kind, pods)| Some((*kind, pods.first()?.0)))
    else {
        return Link::ok(what);
    };
    if kind == Kind::Starting {
        return Link::waiting(what, "");
    }
    Link::blocked(what, kind.fix(&oldest.pod.name, view.namespace))
}

/// How many, for how long, and what was said of the oldest.
fn said(view: &View<'_>, kind: Kind, pods: &[(&Seen, String)]) -> String {
    let Some((oldest, said)) = pods.first() else { return String::new() };
    let age = view.ago(&oldest.pod.created);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    format!("{} {}, the oldest for {age} ({}{said})", pods.len(), kind.as_str(), oldest.pod.name)
}
