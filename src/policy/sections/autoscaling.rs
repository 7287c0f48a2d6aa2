//! Whether and how clusters scale. What new clusters get is in [`super::super::defaults`].

use super::super::compile::{Reader, at};
use super::super::defaults::Defaults;
use super::super::spec::{
    AutoscalerVersion, AutoscalingDefaults, AutoscalingMode, AutoscalingSpec, Enforcement,
    RangeSpec, UpscalingMode,
};
use super::{Breach, Check, Scene};
use crate::dialect::kuberay::{ELASTIC, V2_VARIABLE, queue_managed, switches_to_v2};
use crate::model::finding::quoted;
use crate::model::template::{list, member, position, text};
use crate::model::{Cluster, Pointer, Quantity, RuleId};

/// The compiled section.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    mode: Option<AutoscalingMode>,
    versions: Vec<AutoscalerVersion>,
    upscaling_modes: Vec<UpscalingMode>,
    idle: Option<RangeSpec>,
}

/// One rule for what may be asked for, and the defaults.
pub(in super::super) fn compile(
    spec: AutoscalingSpec,
    usual: Enforcement,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) -> Option<Defaults> {
    let place = at().at("autoscaling");
    reader.twice(&place.at("versions"), spec.versions.iter().enumerate());
    reader.twice(&place.at("upscalingModes"), spec.upscaling_modes.iter().enumerate());
    if let Some(range) = spec.idle_timeout_seconds {
        flaws_of_range(range, &place.at("idleTimeoutSeconds"), reader);
    }
    if let Some(defaults) = &spec.defaults {
        flaws_of_defaults(&spec, defaults, &place.at("defaults"), reader);
    }
    let asks = spec.mode.is_some()
        || !spec.versions.is_empty()
        || !spec.upscaling_modes.is_empty()
        || spec.idle_timeout_seconds.is_some();
    if !asks && spec.defaults.is_none() {
        let message = "asks for nothing; write mode, versions, upscalingModes, idleTimeoutSeconds \
                       or defaults";
        reader.flaw(place, message);
    }
    let AutoscalingSpec { enforcement, mode, versions, upscaling_modes, .. } = spec;
    if asks {
        let idle = spec.idle_timeout_seconds;
        rule(enforcement, Check::Autoscaling(Rule { mode, versions, upscaling_modes, idle }));
    }
    let enforced = enforcement.unwrap_or(usual) != Enforcement::Audit;
    spec.defaults.map(|spec| Defaults { spec, enforced })
}

fn flaws_of_range(range: RangeSpec, place: &Pointer, reader: &mut Reader<'_>) {
    let RangeSpec { min, max } = range;
    if min.is_none() && max.is_none() {
        reader.flaw(place.clone(), "bounds nothing; write min, max or both, in seconds");
    }
    for (key, bound) in [("min", min), ("max", max)] {
        if let Some(seconds) = bound.filter(|seconds| *seconds < 0) {
            reader.flaw(place.at(key), format!("{seconds} seconds; allowed: 0 or more"));
        }
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let message = format!("{min} is above max {max}; nothing fits between; swap them");
        reader.flaw(place.at("min"), message);
    }
}

/// Defaults that say nothing, or that the section itself would refuse.
fn flaws_of_defaults(
    spec: &AutoscalingSpec,
    defaults: &AutoscalingDefaults,
    place: &Pointer,
    reader: &mut Reader<'_>,
) {
    if *defaults == AutoscalingDefaults::default() {
        let message = "gives nothing; write enable, version, upscalingMode or idleTimeoutSeconds";
        reader.flaw(place.clone(), message);
    }
    if defaults.enable.is_some() && spec.mode == Some(AutoscalingMode::Forbidden) {
        let message = "turns on what mode Forbidden refuses; take one of the two out";
        reader.flaw(place.at("enable"), message);
    }
    let refused = "is not among those that this section allows; add it there, or take another";
    if let Some(version) = defaults.version
        && !(spec.versions.is_empty() || spec.versions.contains(&version))
    {
        reader.flaw(place.at("version"), format!("{} {refused}", version.as_str()));
    }
    if let Some(mode) = defaults.upscaling_mode
        && !(spec.upscaling_modes.is_empty() || spec.upscaling_modes.contains(&mode))
    {
        reader.flaw(place.at("upscalingMode"), format!("{} {refused}", mode.as_str()));
    }
    if let Some(seconds) = defaults.idle_timeout_seconds {
        let range = spec.idle_timeout_seconds.unwrap_or_default();
        if !(0..=i64::from(i32::MAX)).contains(&seconds) {
            let message = format!("{seconds} seconds; allowed: 0 or more, within 32 bits");
            reader.flaw(place.at("idleTimeoutSeconds"), message);
        } else if outside(range, seconds).is_some() {
            reader.flaw(place.at("idleTimeoutSeconds"), format!("{seconds} {refused}"));
        }
    }
}

/// Where a time lies outside of a range: above it, or below it.
fn outside(range: RangeSpec, seconds: i64) -> Option<Side> {
    if range.max.is_some_and(|max| seconds > max) {
        Some(Side::Above)
    } else if range.min.is_some_and(|min| seconds < min) {
        Some(Side::Below)
    } else {
        None
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

fn breach(at: Pointer, found: String, allowed: String, fix: impl Into<String>) -> Breach {
    Breach::new(RuleId::POLICY_AUTOSCALING, at, found, allowed, fix)
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let cluster = scene.cluster();
        if !cluster.traits.ray {
            return Vec::new();
        }
        let mut out: Vec<Breach> = self.mode(cluster).into_iter().collect();
        if cluster.autoscaling {
            out.extend(self.version(cluster));
            out.extend(self.upscaling_mode(cluster));
            self.idle_times(cluster, &mut out);
        }
        out
    }

    fn mode(&self, cluster: &Cluster<'_>) -> Option<Breach> {
        let at = || cluster.at.at("enableInTreeAutoscaling");
        match self.mode? {
            AutoscalingMode::Required if !cluster.autoscaling && !cluster.groups.is_empty() => {
                let found = "not true: idle workers stay till somebody takes them away".to_owned();
                let fix = if queue_managed(cluster) && cluster.annotation(ELASTIC) != Some("true") {
                    format!(
                        "set enableInTreeAutoscaling: true, and annotate {ELASTIC}: \"true\" for \
                         Kueue"
                    )
                } else {
                    "set enableInTreeAutoscaling: true, with minReplicas and maxReplicas of each \
                     group"
                        .to_owned()
                };
                Some(breach(at(), found, "true".to_owned(), fix))
            }
            AutoscalingMode::Forbidden if cluster.autoscaling => {
                let fix = "set enableInTreeAutoscaling: false, or take it out, and write the \
                           wanted count in replicas of each group";
                let allowed = "false, or nothing".to_owned();
                Some(breach(at(), "true".to_owned(), allowed, fix))
            }
            AutoscalingMode::Required | AutoscalingMode::Forbidden => None,
        }
    }

    /// The version that is asked for, by the option or by the variable that stands for it.
    fn version(&self, cluster: &Cluster<'_>) -> Option<Breach> {
        if self.versions.is_empty() {
            return None;
        }
        let (asked, at) = if let Some(version) = text(cluster.options(), "version") {
            (version, cluster.options_at().at("version"))
        } else {
            let ray = cluster.ray_container()?;
            let index = position(list(ray.raw, "env"), "name", V2_VARIABLE)?;
            ray.env_value(V2_VARIABLE)?;
            let asked = if switches_to_v2(&ray) { "v2" } else { "v1" };
            (asked, ray.at.at("env").at(index))
        };
        let allowed: Vec<&str> = self.versions.iter().map(|it| it.as_str()).collect();
        (!allowed.contains(&asked)).then(|| {
            let found = format!("autoscaler {asked}");
            let fix = "set autoscalerOptions.version to one of these";
            breach(at, found, allowed.join(", "), fix)
        })
    }

    fn upscaling_mode(&self, cluster: &Cluster<'_>) -> Option<Breach> {
        let asked = text(cluster.options(), "upscalingMode")?;
        let allowed: Vec<&str> = self.upscaling_modes.iter().map(|it| it.as_str()).collect();
        (!allowed.is_empty() && !allowed.contains(&asked)).then(|| {
            let at = cluster.options_at().at("upscalingMode");
            breach(at, format!("{asked:?}"), allowed.join(", "), "set one of these")
        })
    }

    fn idle_times(&self, cluster: &Cluster<'_>, out: &mut Vec<Breach>) {
        const KEY: &str = "idleTimeoutSeconds";
        let Some(range) = self.idle else { return };
        let whole = (cluster.options(), cluster.options_at());
        let groups = cluster.groups.iter().map(|group| (group.raw, group.at.clone()));
        for (holder, at) in std::iter::once(whole).chain(groups) {
            let Some(written) = holder.get(KEY) else { continue };
            let Some(side) = written.as_i64().and_then(|seconds| outside(range, seconds)) else {
                continue;
            };
            let (allowed, measure) = match side {
                Side::Above => (range.max, Quantity::from_json(written)),
                Side::Below => (range.min, None),
            };
            let word = if side == Side::Above { "at most" } else { "at least" };
            let seconds = allowed.unwrap_or_default();
            let found = format!("idle workers stay for {} seconds", quoted(written));
            let told =
                breach(at.at(KEY), found, format!("{word} {seconds}"), format!("set {seconds}"));
            out.push(Breach { measure, ..told });
        }
    }
}

impl AutoscalerVersion {
    /// As `autoscalerOptions.version` writes it.
    pub(in super::super) const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl UpscalingMode {
    /// As `autoscalerOptions.upscalingMode` writes it.
    pub(in super::super) const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "Default",
            Self::Aggressive => "Aggressive",
            Self::Conservative => "Conservative",
        }
    }
}

/// Whether the option or the variable that stands for it says a version, whatever it is.
pub(in super::super) fn says_version(cluster: &Cluster<'_>) -> bool {
    member(cluster.options(), "version").is_some()
        || cluster.ray_container().is_some_and(|ray| ray.env(V2_VARIABLE).is_some())
}
