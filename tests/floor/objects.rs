//! Sound objects of every kind, and faults by name.

use serde_json::{Value, json};

/// Where they live; the policy is about it.
pub(crate) const NAMESPACE: &str = "team-a";

/// The kinds of `ray.io`.
pub(crate) const KINDS: [&str; 4] = ["RayCluster", "RayJob", "RayService", "RayCronJob"];

/// What can be wrong; `none` is sound.
pub(crate) const FAULTS: [&str; 33] = [
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
            "containers": [{
                "name": "ray", "image": "registry.example/ray:2.52.0",
                "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
            }],
        },
    })
}

/// An object of that kind with these faults.
pub(crate) fn object(kind: &str, faults: &[&str], name: &str) -> Value {
    let mut spec = json!({
        "rayVersion": "2.52.0", "authOptions": {"mode": "token"},
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
    let job = |spec: Value| {
        json!({
            "entrypoint": "python x.py", "rayClusterSpec": spec,
            "submitterPodTemplate": submitter(faults),
        })
    };
    let outer = match kind {
        "RayCluster" => spec,
        "RayJob" => job(spec),
        "RayService" => json!({"rayClusterConfig": spec}),
        "RayCronJob" => json!({"schedule": "0 0 * * *", "jobTemplate": job(spec)}),
        other => panic!("no kind {other}"),
    };
    json!({"apiVersion": "ray.io/v1", "kind": kind, "metadata": metadata, "spec": outer})
}

/// The template of the Pod that submits a job, with those of the faults that it can have.
fn submitter(faults: &[&str]) -> Value {
    let mut template = template("ray-submitter");
    template["spec"]["restartPolicy"] = json!("Never");
    for fault in faults {
        let pod = &mut template["spec"];
        match *fault {
            "submitter-account" => pod["serviceAccountName"] = json!("admin"),
            "submitter-network" => pod["hostNetwork"] = json!(true),
            "submitter-port" => {
                pod["containers"][0]["ports"] = json!([{"containerPort": 1, "hostPort": 1}]);
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
        "none" | "submitter-account" | "submitter-port" | "submitter-network" => {}
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
        other => panic!("no fault {other}"),
    }
}
