//! Hardware tiers: chosen by name, written as resources of head or workers.
//!
//! Input: Domino's list of tiers as the caller sees it. Output: a [`Tier`], and the edits that put it
//! on. Invariants: only a tier that is visible, not archived and meant for Ray is chosen; what a tier
//! asks for and the cluster's kind cannot express refuses it, rather than being left out; limits are
//! always written, so that none of an earlier tier stays behind.

use serde_json::Value;

use super::{Code, Fault};
use crate::model::template::{NULL, member, text};
use crate::model::{Edit, Pointer, Quantity};

/// The label that says which tier a Pod has.
pub const LABEL: &str = "dominodatalab.com/hardware-tier-id";

/// The node label that a tier chooses.
pub const POOL: &str = "dominodatalab.com/node-pool";

/// The resource of a tier that names none.
const GPU: &str = "nvidia.com/gpu";

/// A size of Pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    id: String,
    pool: String,
    requests: [String; 2],
    limits: [String; 2],
    gpus: Option<(String, u64)>,
}

/// The resources that every tier has.
const SIZES: [&str; 2] = ["cpu", "memory"];

impl Tier {
    /// The tier `name` out of the identity service's answer. `data_plane`, where the installation has
    /// said its own, keeps out the tiers of others.
    pub fn find(
        status: u16,
        body: &[u8],
        name: &str,
        data_plane: Option<&str>,
    ) -> Result<Self, Fault> {
        let broken = || {
            Fault::unavailable(
                "Domino's list of hardware tiers could not be read; try again in a moment, or leave \
                 the tier out to keep the present one",
            )
        };
        if status != 200 {
            return Err(broken());
        }
        let said: Value = serde_json::from_slice(body).map_err(|_| broken())?;
        let list = said.get("hardwareTiers").unwrap_or(&said).as_array().ok_or_else(broken)?;
        let tiers = list.iter().map(|entry| member(entry, "hardwareTier").unwrap_or(entry));
        let named: Vec<&Value> = tiers.filter(|tier| text(tier, "name") == Some(name)).collect();
        let invalid =
            |why: &str| Fault::new(Code::InvalidTier, format!("hardware tier {name:?} {why}"));
        let usable: Vec<&&Value> =
            named.iter().filter(|tier| obstacle(tier, data_plane).is_none()).collect();
        match (usable.as_slice(), named.first()) {
            ([tier], _) => Self::read(tier).map_err(|why| {
                Fault::new(Code::UnsupportedTier, format!("hardware tier {name:?} {why}"))
            }),
            ([], None) => {
                Err(invalid("does not exist, or you may not use it; names are case-sensitive"))
            }
            ([], Some(tier)) => {
                Err(invalid(obstacle(tier, data_plane).unwrap_or("cannot be used")))
            }
            _ => Err(invalid("is the name of several tiers, so it names none")),
        }
    }

    fn read(tier: &Value) -> Result<Self, String> {
        for (part, what) in UNSUPPORTED {
            if says_something(tier.get(part).unwrap_or(NULL)) {
                return Err(format!("{what} ({part}), which a Ray cluster here cannot express"));
            }
        }
        let size = tier.get("hwtResources").unwrap_or(NULL);
        if size.get("allowSharedMemoryToExceedDefault").and_then(Value::as_bool) == Some(true) {
            return Err("asks for more shared memory than the default, which a Ray cluster here \
                        cannot express"
                .to_owned());
        }
        let pool = text(tier, "nodePool").filter(|pool| !pool.is_empty());
        let pool = pool.ok_or("names no node pool, so its Pods could land anywhere")?;
        let cores = cores(size, "cores").ok_or("says no usable number of cores")?;
        let memory = memory(size, "memory").ok_or("says no usable amount of memory")?;
        let most = [
            limit(size, "coresLimit", cores, self::cores)?,
            limit(size, "memoryLimit", memory, self::memory)?,
        ];
        let spelled = |[cores, memory]: [Quantity; 2]| [cores.spelled(), memory.spelled_binary()];
        Ok(Self {
            id: text(tier, "id").filter(|id| !id.is_empty()).ok_or("has no id")?.to_owned(),
            pool: pool.to_owned(),
            requests: spelled([cores, memory]),
            limits: spelled(most),
            gpus: gpus(tier)?,
        })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The edits that put it on the node section `raw` at `at`.
    pub fn edits(&self, at: &Pointer, raw: &Value) -> Vec<Edit> {
        let mut edits = vec![
            Edit::set(at.join(&["labels", LABEL]), self.id.as_str()),
            Edit::set(at.join(&["nodeSelector", POOL]), self.pool.as_str()),
        ];
        for (part, sizes) in [("requests", &self.requests), ("limits", &self.limits)] {
            let place = at.join(&["resources", part]);
            let present =
                raw.get("resources").and_then(|it| it.get(part)).and_then(Value::as_object);
            // Resources with a domain came with the tier before.
            for key in present.into_iter().flatten().map(|(key, _)| key) {
                if key.contains('/') && self.gpus.as_ref().is_none_or(|(gpu, _)| gpu != key) {
                    edits.push(Edit { at: place.at(key.clone()), value: None });
                }
            }
            for (key, size) in SIZES.into_iter().zip(sizes) {
                edits.push(Edit::set(place.at(key), size.as_str()));
            }
            if let Some((key, count)) = &self.gpus {
                edits.push(Edit::set(place.at(key.clone()), count.to_string()));
            }
        }
        edits
    }
}

/// Parts of a tier that no field of the cluster's kind takes.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("podCustomization", "customises Pods"),
    ("capacityTypeRestrictions", "restricts the capacity type"),
    ("availabilityZones", "restricts the zones"),
];

/// Why the tier may not be chosen.
fn obstacle(tier: &Value, data_plane: Option<&str>) -> Option<&'static str> {
    let flag = |key: &str| {
        let flags = member(tier, "hwtFlags").unwrap_or(tier);
        flags.get(key).and_then(Value::as_bool)
    };
    let restrictions = tier.get("computeClusterRestrictions").unwrap_or(NULL);
    let only_for = |kind: &str| {
        restrictions.get(format!("restrictTo{kind}")).and_then(Value::as_bool) == Some(true)
    };
    let restricted = ["Spark", "Dask", "Mpi"].into_iter().any(only_for);
    let elsewhere = data_plane.zip(text(tier, "dataPlaneId")).is_some_and(|(own, its)| own != its);
    if flag("isArchived") == Some(true) {
        Some("is archived")
    } else if flag("isVisible") == Some(false) {
        Some("does not exist, or you may not use it; names are case-sensitive")
    } else if restricted && !only_for("Ray") {
        Some("is not meant for Ray clusters")
    } else if elsewhere {
        Some("belongs to another data plane")
    } else {
        None
    }
}

/// Whether anything in it is neither empty nor off.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(members) => members.values().any(says_something),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

fn above_zero(quantity: Quantity) -> Option<Quantity> {
    (quantity > Quantity::default()).then_some(quantity)
}

fn cores(size: &Value, key: &str) -> Option<Quantity> {
    above_zero(Quantity::from_json(size.get(key).filter(|it| it.is_number())?)?)
}

fn memory(size: &Value, key: &str) -> Option<Quantity> {
    let amount = size.get(key)?;
    let suffix = match text(amount, "unit")? {
        "B" => "",
        "KB" => "k",
        "MB" => "M",
        "GB" => "G",
        "TB" => "T",
        "KiB" => "Ki",
        "MiB" => "Mi",
        "GiB" => "Gi",
        "TiB" => "Ti",
        _ => return None,
    };
    let value = amount.get("value").filter(|value| value.is_number())?;
    above_zero(Quantity::parse(&format!("{value}{suffix}"))?)
}

/// The limit that a tier says, never below the request; the request where it says none.
fn limit(
    size: &Value,
    key: &'static str,
    request: Quantity,
    read: fn(&Value, &str) -> Option<Quantity>,
) -> Result<Quantity, String> {
    if member(size, key).is_none() {
        return Ok(request);
    }
    let limit = read(size, key).ok_or_else(|| format!("says a {key} that cannot be read"))?;
    Ok(limit.max(request))
}

fn gpus(tier: &Value) -> Result<Option<(String, u64)>, String> {
    let Some(gpus) = member(tier, "gpuConfiguration") else { return Ok(None) };
    let key = text(gpus, "gpuKey").filter(|key| !key.is_empty()).unwrap_or(GPU);
    match member(gpus, "numberOfGpus").map(Value::as_u64) {
        None | Some(Some(0)) => Ok(None),
        Some(Some(count)) if crate::model::names::is_label_key(key) && key.contains('/') => {
            Ok(Some((key.to_owned(), count)))
        }
        Some(_) => Err("says GPUs that cannot be read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Draft;

    fn tier(name: &str) -> Value {
        json!({
            "id": format!("{name}-k8s"), "name": name, "nodePool": "default",
            "hwtResources": {"cores": 1.8, "coresLimit": null, "memory": {"value": 4, "unit": "GiB"},
                             "allowSharedMemoryToExceedDefault": false},
            "hwtFlags": {"isArchived": false, "isVisible": true},
            "podCustomization": {"additionalLabels": {}, "capabilities": []},
            "capacityTypeRestrictions": null, "availabilityZones": [],
        })
    }

    fn with(name: &str, part: &str, value: Value) -> Value {
        let mut tier = tier(name);
        tier[part] = value;
        tier
    }

    fn find(tiers: &Value, name: &str) -> Result<Tier, Fault> {
        Tier::find(200, tiers.to_string().as_bytes(), name, Some("plane-a"))
    }

    fn code(tiers: &Value) -> Code {
        find(tiers, "Small").unwrap_err().code
    }

    fn put_on(tier: &Tier, worker: &Value) -> Value {
        let object = json!({"spec": {"worker": worker}});
        let mut draft = Draft::new(&object);
        draft.apply(tier.edits(&Pointer::of(["spec", "worker"]), worker));
        draft.into_value()["spec"]["worker"].clone()
    }

    #[test]
    fn both_shapes_of_the_list_are_understood() {
        let small = find(&json!({"hardwareTiers": [tier("Small")]}), "Small").unwrap();
        assert_eq!(find(&json!([tier("Small")]), "Small").unwrap(), small);
        assert_eq!(
            find(&json!([{"hardwareTier": tier("Small"), "capacity": {}}]), "Small").unwrap(),
            small
        );
        assert_eq!(small.id(), "Small-k8s");
    }

    #[test]
    fn tiers_that_are_not_for_this_caller_or_kind_are_refused() {
        for bad in [
            with("Small", "hwtFlags", json!({"isArchived": true, "isVisible": true})),
            with("Small", "hwtFlags", json!({"isVisible": false})),
            with("Small", "isArchived", json!(true))
                .as_object_mut()
                .map(|it| {
                    it.remove("hwtFlags");
                    json!(it)
                })
                .unwrap(),
            with(
                "Small",
                "computeClusterRestrictions",
                json!({"restrictToSpark": true, "restrictToRay": false}),
            ),
            with("Small", "dataPlaneId", json!("plane-b")),
            tier("small"),
        ] {
            assert_eq!(code(&json!([bad])), Code::InvalidTier, "{bad}");
        }
        assert_eq!(code(&json!([tier("Small"), tier("Small")])), Code::InvalidTier);
        let archived = with("Small", "hwtFlags", json!({"isArchived": true}));
        assert!(find(&json!([archived, tier("Small")]), "Small").is_ok());
    }

    #[test]
    fn an_outage_is_no_missing_tier() {
        for (status, body) in
            [(500, "[]"), (401, "{}"), (403, "<html>"), (200, "<html>"), (200, "{}")]
        {
            let fault = Tier::find(status, body.as_bytes(), "Small", None).unwrap_err();
            assert_eq!(fault.code, Code::Unavailable, "{status} {body}");
        }
    }

    #[test]
    fn what_cannot_be_expressed_refuses_the_tier() {
        for (part, value) in [
            ("podCustomization", json!({"additionalAnnotations": {"a": "b"}})),
            ("capacityTypeRestrictions", json!({"spotOnly": true})),
            ("availabilityZones", json!(["z1"])),
            ("nodePool", json!(null)),
            ("hwtResources", json!({"cores": 1, "memory": {"value": 1, "unit": "shovel"}})),
            ("hwtResources", json!({"cores": "1", "memory": {"value": 1, "unit": "GiB"}})),
            ("gpuConfiguration", json!({"numberOfGpus": -1})),
            ("id", json!("")),
        ] {
            assert_eq!(code(&json!([with("Small", part, value)])), Code::UnsupportedTier, "{part}");
        }
    }

    #[test]
    fn limits_are_written_even_where_the_tier_says_none() {
        let small = find(&json!([tier("Small")]), "Small").unwrap();
        let worker = json!({"resources": {"requests": {"cpu": "4"}, "limits": {"cpu": "1", "memory": "1Gi"}}});
        let after = put_on(&small, &worker);
        let size = json!({"cpu": "1800m", "memory": "4Gi"});
        assert_eq!(after["resources"], json!({"requests": size, "limits": size}));
        assert_eq!(after["labels"][LABEL], "Small-k8s");
        assert_eq!(after["nodeSelector"][POOL], "default");
    }

    #[test]
    fn units_become_quantities_that_kubernetes_knows() {
        for (value, unit, quantity) in [
            (json!(4), "GB", "4000000000"),
            (json!(512), "MB", "500000Ki"),
            (json!(2048), "B", "2Ki"),
            (json!(1.5), "GiB", "1536Mi"),
            (json!(2), "TiB", "2Ti"),
        ] {
            let size = json!({"cores": 1, "memory": {"value": value, "unit": unit}});
            let tier = find(&json!([with("Small", "hwtResources", size)]), "Small").unwrap();
            let spelled = Quantity::parse(&tier.requests[1]).unwrap();
            assert_eq!(spelled, Quantity::parse(quantity).unwrap(), "{}", tier.requests[1]);
        }
    }

    #[test]
    fn gpus_go_under_their_own_key_and_those_of_the_former_tier_go() {
        let gpu = json!({"numberOfGpus": 2, "gpuKey": "nvidia.com/mig-1g.5gb"});
        let gpu = find(&json!([with("Small", "gpuConfiguration", gpu)]), "Small").unwrap();
        let former = json!({"cpu": "1", "nvidia.com/gpu": "1"});
        let worker = json!({"resources": {"requests": former, "limits": former}});
        let after = put_on(&gpu, &worker);
        for part in ["requests", "limits"] {
            assert_eq!(after["resources"][part]["nvidia.com/mig-1g.5gb"], "2");
            assert!(after["resources"][part].get("nvidia.com/gpu").is_none());
        }
        let none = find(&json!([tier("Small")]), "Small").unwrap();
        assert!(
            put_on(&none, &after)["resources"]["limits"].get("nvidia.com/mig-1g.5gb").is_none()
        );
    }
}
