//! GCS fault tolerance said twice, or half. Source: KubeRay's validation of
//! `gcsFaultToleranceOptions`.

use super::Subject;
use crate::dialect::kuberay::{FT_ENABLED, FT_NAMESPACE};
use crate::model::template::{list, member, position, text};
use crate::model::{Cluster, Container, Finding, Pointer, RuleId};

const ADDRESS: &str = "RAY_REDIS_ADDRESS";
const PASSWORD: &str = "REDIS_PASSWORD";
const USERNAME: &str = "REDIS_USERNAME";

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let cluster = subject.cluster;
    let ray = cluster.ray_container();
    let (params, params_at) = cluster.head_params();
    let param = |key: &'static str| text(params, key).map(|_| params_at.at(key));
    let mut findings = Vec::new();
    let by_options = member(cluster.spec, "gcsFaultToleranceOptions").is_some();
    let by_annotation = cluster.annotation(FT_ENABLED).filter(|value| !value.is_empty());
    if by_options && let Some(value) = by_annotation {
        let found = format!("given beside the annotation {FT_ENABLED}: {value}");
        findings.push(refuse(
            cluster.at.at("gcsFaultToleranceOptions"),
            found,
            "keep one of the two",
        ));
    }
    if by_options {
        let annotation = cluster.annotation(FT_NAMESPACE);
        let at = Pointer::of(["metadata", "annotations", FT_NAMESPACE]);
        findings.extend(annotation.map(|_| moved(at, "externalStorageNamespace")));
        findings.extend(param("redis-password").map(|at| moved(at, "redisPassword")));
        findings.extend(variable(ray.as_ref(), PASSWORD).map(|at| moved(at, "redisPassword")));
        findings.extend(variable(ray.as_ref(), ADDRESS).map(|at| moved(at, "redisAddress")));
    } else if !is_on(cluster) {
        findings.extend(variable(ray.as_ref(), ADDRESS).map(|at| {
            let found = format!("{ADDRESS} while fault tolerance is off");
            refuse(at, found, "set gcsFaultToleranceOptions.redisAddress instead")
        }));
    }
    findings.extend(param("redis-username").map(|at| moved(at, "redisUsername")));
    findings.extend(variable(ray.as_ref(), USERNAME).map(|at| moved(at, "redisUsername")));
    findings
}

fn is_on(cluster: &Cluster<'_>) -> bool {
    cluster.annotation(FT_ENABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn variable(ray: Option<&Container<'_>>, name: &str) -> Option<Pointer> {
    let ray = ray?;
    let index = position(list(ray.raw, "env"), "name", name)?;
    Some(ray.at.at("env").at(index))
}

fn moved(at: Pointer, field: &str) -> Finding {
    let fix = format!("use gcsFaultToleranceOptions.{field}");
    refuse(at, "does not go with gcsFaultToleranceOptions".to_owned(), &fix)
}

fn refuse(at: Pointer, found: String, fix: &str) -> Finding {
    // Never the value: it may be a password.
    Finding::deny(RuleId::FAULT_TOLERANCE, at, found, "one place for each setting", fix)
}
