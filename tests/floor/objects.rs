//! Sound objects of every kind, and faults by name.

use serde_json::{Value, json};

/// Where they live; the policy is about it.
pub(crate) const NAMESPACE: &str = "team-a";

/// The kinds of `ray.io`.
pub(crate) const KINDS: [&str; 4] = ["RayCluster", "RayJob", "RayService", "RayCronJob"];

/// What can be wrong; `none` is sound.
pub(crate) const FAULTS: [&str; 68] = [
    "none",
    "min-above-max",
    "negative-min",
    "negative-replicas",
    "no-hosts",
    "two-alike",
    "reserved-group",
    "odd-group",
    "name-long",
    "name-odd",
    "above-max",
    "no-label",
    "other-label",
    "no-pod-label",
    "no-owner",
    "default-account",
    "foreign-account",
    "no-maximum",
    "high-minimum",
    "no-auth",
    "old-ray",
    "ingress",
    "load-balancer",
    "node-port",
    "external-address",
    "host-port",
    "host-network",
    "submitter-account",
    "submitter-port",
    "submitter-network",
    "no-queue",
    "foreign-queue",
    "other-queue",
    "foreign-image",
    "foreign-init-image",
    "bare-image",
    "short-image",
    "registry-image",
    "foreign-sidecar-image",
    "group-large",
    "many-hosts",
    "cluster-large",
    "unscaled-large",
    "no-request",
    "no-limit",
    "no-sidecar-request",
    "limit-requests",
    "head-gpu",
    "head-slice",
    "head-init-gpu",
    "head-no-gpu",
    "head-num-gpus",
    "head-zero-gpus",
    "head-ray-gpus",
    "head-chip",
    "sidecar-gpu",
    "sidecar-limit",
    "sidecar-request",
    "unscaled",
    "fixed",
    "autoscaler-v1",
    "v1-by-variable",
    "v2-by-variable",
    "aggressive",
    "idle-long",
    "idle-short-group",
    "submitter-image",
    "submitter-no-limit",
];

/// What looks like a fault and is none in a new RayCluster.
pub(crate) const SOUND: [&str; 13] = [
    "none",
    "other-queue",
    "short-image",
    "registry-image",
    "limit-requests",
    "head-no-gpu",
    "head-zero-gpus",
    "v2-by-variable",
    // No Pod submits a RayCluster.
    "submitter-account",
    "submitter-port",
    "submitter-network",
    "submitter-image",
    "submitter-no-limit",
];

fn group(name: &str) -> Value {
    json!({
        "groupName": name, "replicas": 1, "minReplicas": 0, "maxReplicas": 5, "numOfHosts": 1,
        "rayStartParams": {}, "template": template("ray-worker"),
    })
}

fn template(account: &str) -> Value {
    json!({
        "metadata": {"labels": {"cost-center": "cc-1", "owner": "ada"}},
        "spec": {
            "serviceAccountName": account,
            "initContainers": [container("wait")],
            "containers": [container("ray")],
        },
    })
}

fn container(name: &str) -> Value {
    json!({
        "name": name, "image": "registry.example/ray:2.52.0", "resources": resources(),
    })
}

fn resources() -> Value {
    json!({"limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}})
}

/// An object of that kind with these faults.
pub(crate) fn object(kind: &str, faults: &[&str], name: &str) -> Value {
    let mut spec = json!({
        "rayVersion": "2.52.0", "authOptions": {"mode": "token"}, "enableInTreeAutoscaling": true,
        "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": 60, "resources": resources()},
        "headGroupSpec": {"rayStartParams": {}, "template": template("ray-head")},
        "workerGroupSpecs": [group("small"), group("large")],
    });
    let mut metadata = json!({
        "name": name, "namespace": NAMESPACE, "labels": {
            "cost-center": "cc-1", "owner": "ada", "kueue.x-k8s.io/queue-name": "team-queue",
        },
    });
    for fault in faults {
        break_it(fault, &mut spec, &mut metadata);
    }
    let job = || {
        json!({
            "entrypoint": "python x.py", "rayClusterSpec": &spec,
            "submitterPodTemplate": submitter(faults),
        })
    };
    let outer = match kind {
        "RayCluster" => spec,
        "RayJob" => job(),
        "RayService" => json!({"rayClusterConfig": spec}),
        "RayCronJob" => json!({"schedule": "0 0 * * *", "jobTemplate": job()}),
        other => panic!("no kind {other}"),
    };
    json!({"apiVersion": "ray.io/v1", "kind": kind, "metadata": metadata, "spec": outer})
}

/// The template of the Pod that submits a job.
fn submitter(faults: &[&str]) -> Value {
    let mut template = template("ray-submitter");
    let pod = &mut template["spec"];
    pod["restartPolicy"] = json!("Never");
    for fault in faults {
        let container = &mut pod["containers"][0];
        match *fault {
            "submitter-account" => pod["serviceAccountName"] = json!("admin"),
            "submitter-network" => pod["hostNetwork"] = json!(true),
            "submitter-port" => {
                container["ports"] = json!([{"containerPort": 1, "hostPort": 1}]);
            }
            "submitter-image" => container["image"] = json!("ghcr.example/ray:2.52.0"),
            "submitter-no-limit" => {
                container["resources"] = json!({"requests": resources()["limits"]});
            }
            _ => {}
        }
    }
    template
}

fn break_it(fault: &str, spec: &mut Value, metadata: &mut Value) {
    let large = &mut spec["workerGroupSpecs"][1];
    let labels = |holder: &mut Value| holder["labels"].as_object_mut().expect("labels").clone();
    match fault {
        "none" => {}
        // It is in the Pod that submits the job.
        other if other.starts_with("submitter-") => {}
        "min-above-max" => large["minReplicas"] = json!(6),
        "negative-min" => large["minReplicas"] = json!(-1),
        "negative-replicas" => large["replicas"] = json!(-2),
        "no-hosts" => large["numOfHosts"] = json!(0),
        "two-alike" => large["groupName"] = json!("small"),
        "reserved-group" => large["groupName"] = json!("headgroup"),
        "odd-group" => large["groupName"] = json!("gpu_pool"),
        "name-long" => metadata["name"] = json!("x".repeat(54)),
        "name-odd" => metadata["name"] = json!("0-lab"),
        "above-max" => large["replicas"] = json!(9),
        "no-label" => {
            let mut left = labels(metadata);
            left.remove("cost-center");
            metadata["labels"] = Value::Object(left);
        }
        "other-label" => metadata["labels"]["cost-center"] = json!("free"),
        "no-pod-label" => large["template"]["metadata"] = json!({}),
        "no-owner" => metadata["labels"]["owner"] = json!(""),
        "default-account" => {
            large["template"]["spec"].as_object_mut().expect("a spec").remove("serviceAccountName");
        }
        "foreign-account" => {
            spec["headGroupSpec"]["template"]["spec"]["serviceAccountName"] = json!("admin");
        }
        "no-maximum" => {
            large.as_object_mut().expect("a group").remove("maxReplicas");
        }
        "high-minimum" => {
            large["minReplicas"] = json!(8);
            large["maxReplicas"] = json!(9);
        }
        other => break_more(other, spec, metadata),
    }
}

fn break_more(fault: &str, spec: &mut Value, metadata: &mut Value) {
    const QUEUE: &str = "kueue.x-k8s.io/queue-name";
    let head = &mut spec["headGroupSpec"];
    match fault {
        "no-auth" => {
            spec.as_object_mut().expect("a spec").remove("authOptions");
        }
        "old-ray" => spec["rayVersion"] = json!("2.9.3"),
        "ingress" => head["enableIngress"] = json!(true),
        "load-balancer" => head["serviceType"] = json!("LoadBalancer"),
        "node-port" => head["headService"] = json!({"spec": {"type": "NodePort"}}),
        "external-address" => {
            head["headService"] = json!({"spec": {"externalIPs": ["192.0.2.1"]}});
        }
        "host-port" => {
            let container = &mut head["template"]["spec"]["containers"][0];
            container["ports"] = json!([{"containerPort": 8265, "hostPort": 8265}]);
        }
        "host-network" => head["template"]["spec"]["hostNetwork"] = json!(true),
        "no-queue" => {
            metadata["labels"].as_object_mut().expect("labels").remove(QUEUE);
        }
        "foreign-queue" => metadata["labels"][QUEUE] = json!("default"),
        "other-queue" => metadata["labels"][QUEUE] = json!("team-other"),
        other => break_containers(other, spec, metadata),
    }
}

/// What is wrong with images and with what containers ask for.
fn break_containers(fault: &str, spec: &mut Value, metadata: &mut Value) {
    let first = |section: &str, list: &str| format!("{section}/template/spec/{list}/0");
    let ray = first("/headGroupSpec", "containers");
    let wait = first("/headGroupSpec", "initContainers");
    let last = first("/workerGroupSpecs/1", "initContainers");
    let gpu = |amount: &str| json!({"nvidia.com/gpu": amount});
    let with = |mut resources: Value, half: &str, more: &Value| {
        let more = more.as_object().expect("a map").clone();
        let half = resources.as_object_mut().expect("a map").entry(half).or_insert(json!({}));
        half.as_object_mut().expect("a map").extend(more);
        resources
    };
    let options = "/autoscalerOptions/resources";
    let (path, value) = match fault {
        "foreign-image" => (format!("{ray}/image"), json!("ghcr.example/ray:2.52.0")),
        "foreign-init-image" => (format!("{last}/image"), json!("other/registry.example/ray")),
        "bare-image" => (format!("{ray}/image"), json!("ray:2.52.0")),
        "short-image" => (format!("{ray}/image"), json!("rayproject/ray:2.52.0")),
        "registry-image" => (format!("{ray}/image"), json!("registry.example/team/x@sha256:0")),
        "no-request" => {
            (format!("{wait}/resources"), json!({"limits": {"cpu": "1", "memory": "1Gi"}}))
        }
        "no-limit" => (format!("{last}/resources"), json!({"requests": resources()["limits"]})),
        "limit-requests" => {
            let requests = json!({"cpu": "500m", "ephemeral-storage": 1});
            (format!("{last}/resources"), with(resources(), "requests", &requests))
        }
        "no-sidecar-request" => (options.to_owned(), json!({"limits": {"cpu": "1"}})),
        "head-gpu" => (format!("{ray}/resources"), with(resources(), "limits", &gpu("1"))),
        "head-slice" => {
            let slice = json!({"nvidia.com/mig-1g.5gb": "1"});
            (format!("{ray}/resources"), with(resources(), "requests", &slice))
        }
        "head-init-gpu" => (format!("{wait}/resources"), with(resources(), "limits", &gpu("2"))),
        "head-no-gpu" => (format!("{ray}/resources"), with(resources(), "limits", &gpu("0"))),
        "sidecar-gpu" => (options.to_owned(), with(resources(), "limits", &gpu("1"))),
        "sidecar-limit" => {
            (options.to_owned(), with(resources(), "limits", &json!({"cpu": "1500m"})))
        }
        "sidecar-request" => {
            (options.to_owned(), with(resources(), "requests", &json!({"memory": "2Gi"})))
        }
        other => return break_scaling(other, spec, metadata),
    };
    *spec.pointer_mut(&path).expect("a place") = value;
}

/// What is wrong with how many there are, with what Ray is told, and with how a cluster scales.
fn break_scaling(fault: &str, spec: &mut Value, metadata: &mut Value) {
    let fixed = |metadata: &mut Value| metadata["labels"]["tier"] = json!("fixed");
    let variable = |spec: &mut Value, value: &str| {
        spec["autoscalerOptions"].as_object_mut().expect("options").remove("version");
        spec["headGroupSpec"]["template"]["spec"]["containers"][0]["env"] = json!([
            {"name": "RAY_enable_autoscaler_v2", "value": value},
        ]);
    };
    let unscaled = |spec: &mut Value| {
        spec.as_object_mut().expect("a spec").remove("enableInTreeAutoscaling");
    };
    match fault {
        "group-large" => spec["workerGroupSpecs"][1]["maxReplicas"] = json!(10),
        "many-hosts" => spec["workerGroupSpecs"][1]["numOfHosts"] = json!(5),
        "cluster-large" => {
            spec["workerGroupSpecs"][0]["maxReplicas"] = json!(8);
            spec["workerGroupSpecs"][1]["maxReplicas"] = json!(8);
        }
        "unscaled-large" => {
            unscaled(spec);
            spec["workerGroupSpecs"][1]["maxReplicas"] = json!(50);
            spec["workerGroupSpecs"][1]["replicas"] = json!(30);
        }
        "head-num-gpus" => spec["headGroupSpec"]["rayStartParams"] = json!({"num-gpus": "1"}),
        "head-zero-gpus" => spec["headGroupSpec"]["rayStartParams"] = json!({"num-gpus": " 0"}),
        "head-ray-gpus" => spec["headGroupSpec"]["resources"] = json!({"GPU": "2"}),
        "head-chip" => {
            fixed(metadata);
            unscaled(spec);
            let container = &mut spec["headGroupSpec"]["template"]["spec"]["containers"][0];
            container["resources"]["limits"]["example.com/chip"] = json!("1");
        }
        "unscaled" => unscaled(spec),
        "fixed" => fixed(metadata),
        "autoscaler-v1" => spec["autoscalerOptions"]["version"] = json!("v1"),
        "v1-by-variable" => variable(spec, "0"),
        "v2-by-variable" => variable(spec, "true"),
        "foreign-sidecar-image" => spec["autoscalerOptions"]["image"] = json!("ray:2.52.0"),
        "aggressive" => spec["autoscalerOptions"]["upscalingMode"] = json!("Aggressive"),
        "idle-long" => spec["autoscalerOptions"]["idleTimeoutSeconds"] = json!(601),
        "idle-short-group" => spec["workerGroupSpecs"][0]["idleTimeoutSeconds"] = json!(29),
        other => panic!("no fault {other}"),
    }
}
