//! The parameters of `ray start`: what the user gave, completed from the container's resources.
//!
//! Input: the group and the Ray container of its template. Output: every parameter, by name.
//! `resources` of a group stands over its parameters; of accelerators the first by name counts.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::{Plot, fault};
use crate::model::Quantity;
use crate::model::accelerator::is_named_gpu;
use crate::model::template::{NULL, member, text};

/// Accelerators that Ray knows by another name than Kubernetes.
const ACCELERATORS: [(&str, &str); 2] =
    [("aws.amazon.com/neuroncore", "neuron_cores"), ("google.com/tpu", "TPU")];

type Params = BTreeMap<String, String>;

/// All parameters of a node.
pub(super) fn of(plot: &Plot<'_>, is_head: bool, group: &Value, ray: &Value) -> Params {
    let given = member(group, "rayStartParams").and_then(Value::as_object);
    let mut params: Params = given
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    from_group(group, &mut params);
    let mut fill = |key: &str, value: &str| {
        params.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    };
    if is_head {
        // Ray listens on localhost alone otherwise.
        fill("dashboard-host", "0.0.0.0");
    } else {
        fill("address", &plot.gcs_address());
    }
    fill("metrics-export-port", "8080");
    // Probes and KubeRay's own checks count on it.
    fill("dashboard-agent-listen-port", "52365");
    // Without it the container ends as soon as Ray has started.
    params.insert("block".to_owned(), "true".to_owned());
    if is_head {
        params.extend(fault::params(plot));
    }
    from_container(ray, &mut params);
    params
}

/// The CPUs that Ray counts on a node of this group; `None` where nothing says.
pub(in crate::plan) fn cpus(group: &Value) -> Option<f64> {
    let given = member(group, "rayStartParams").and_then(|params| text(params, "num-cpus"));
    let mut params: Params =
        given.map(|cpus| ("num-cpus".to_owned(), cpus.to_owned())).into_iter().collect();
    from_group(group, &mut params);
    let containers = group.pointer("/template/spec/containers").and_then(Value::as_array);
    if let Some(ray) = containers.and_then(|all| all.first()) {
        from_container(ray, &mut params);
    }
    params.get("num-cpus").and_then(|cpus| cpus.parse().ok())
}

/// What the group says of itself: Ray's logical resources, and labels.
fn from_group(group: &Value, params: &mut Params) {
    let mut custom = BTreeMap::new();
    // From behind: the first GPU by name is the one that stays.
    for (name, amount) in sorted(group.get("resources").unwrap_or(NULL)).into_iter().rev() {
        let key = match name.to_lowercase().as_str() {
            "cpu" => "num-cpus",
            "memory" => "memory",
            lower if is_named_gpu(lower) => "num-gpus",
            _ => {
                custom.insert(name.to_owned(), number(amount));
                continue;
            }
        };
        params.insert(key.to_owned(), amount.ceil().to_string());
    }
    if !custom.is_empty() {
        params.insert("resources".to_owned(), quoted(&custom));
    }
    let labels: BTreeMap<&String, &str> = member(group, "labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .collect();
    if !labels.is_empty() {
        let pairs: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        params.insert("labels".to_owned(), pairs.join(","));
    }
}

/// What Kubernetes gives the container, where the user said nothing else.
fn from_container(ray: &Value, params: &mut Params) {
    let half = |half: &str| ray.get("resources").and_then(|it| it.get(half)).unwrap_or(NULL);
    let (limits, requests) = (half("limits"), half("requests"));
    let cpu = amount(limits, "cpu").or_else(|| amount(requests, "cpu"));
    let gpu = || sorted(limits).into_iter().find(|(name, it)| is_named_gpu(name) && !it.is_zero());
    let figures = [
        ("num-cpus", cpu),
        ("memory", amount(limits, "memory")),
        ("num-gpus", gpu().map(|(_, amount)| amount)),
    ];
    for (key, amount) in figures {
        if let Some(amount) = amount.filter(|_| !params.contains_key(key)) {
            params.insert(key.to_owned(), amount.ceil().to_string());
        }
    }
    add_accelerator(limits, params);
}

/// Adds the first accelerator, unless one is there. A JSON that nobody can read is left to Ray.
fn add_accelerator(limits: &Value, params: &mut Params) {
    let found =
        ACCELERATORS.iter().find_map(|(name, of_ray)| Some((*of_ray, amount(limits, name)?)));
    let Some((name, amount)) = found else { return };
    let given = params.get("resources").map_or(Some(Map::new()), |text| custom(text));
    let Some(given) = given else { return };
    if ACCELERATORS.iter().any(|(_, of_ray)| given.contains_key(*of_ray)) {
        return;
    }
    let mut all: BTreeMap<String, Value> = given.into_iter().collect();
    all.insert(name.to_owned(), number(amount));
    params.insert("resources".to_owned(), quoted(&all));
}

/// Reads the parameter `resources`, JSON within quotes of a shell, escaped or not.
fn custom(text: &str) -> Option<Map<String, Value>> {
    let inner = text.trim_matches(['\'', '"', '`', ' ']).replace('\\', "");
    serde_json::from_str(&inner).ok()
}

fn quoted(resources: &BTreeMap<String, Value>) -> String {
    let json: Map<String, Value> =
        resources.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    format!("'{}'", Value::Object(json))
}

fn number(amount: Quantity) -> Value {
    let number = amount.decimal().parse::<Number>();
    number.map_or(Value::Null, Value::Number)
}

/// The readable amounts of a map, by name.
fn sorted(amounts: &Value) -> BTreeMap<&str, Quantity> {
    let entries = amounts.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str(), Quantity::from_json(value)?))).collect()
}

/// An amount that is more than nothing.
fn amount(amounts: &Value, key: &str) -> Option<Quantity> {
    member(amounts, key).and_then(Quantity::from_json).filter(|amount| !amount.is_zero())
}

/// The parameter `key` of a group as the user gave it.
pub(super) fn given<'a>(group: &'a Value, key: &str) -> Option<&'a str> {
    text(group.get("rayStartParams").unwrap_or(NULL), key)
}
