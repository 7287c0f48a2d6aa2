//! Every way to break a sound spec, one place at a time.

use serde_json::{Value, json};

/// Templates, by pointer and by field path.
pub(super) const TEMPLATES: [(&str, &str); 3] = [
    ("/headGroupSpec", "headGroupSpec"),
    ("/workerGroupSpecs/0", "workerGroupSpecs[0]"),
    ("/workerGroupSpecs/1", "workerGroupSpecs[1]"),
];

/// Lists of containers.
pub(super) const LISTS: [&str; 2] = ["initContainers", "containers"];

/// One thing that breaks a sound spec, and the place that is to be found.
pub(super) struct Break {
    pub(super) rule: &'static str,
    pub(super) policy: Value,
    pub(super) changes: Vec<(String, Value)>,
    pub(super) place: String,
}

/// All of them.
pub(super) fn breaks() -> Vec<Break> {
    let mut all = Vec::new();
    let mut add = |rule, policy: Value, changes: &[(String, Value)], place: String| {
        all.push(Break { rule, policy, changes: changes.to_vec(), place });
    };
    for (at, path) in TEMPLATES {
        for list in LISTS {
            let one = format!("{at}/template/spec/{list}/0");
            let place = format!("{path}.template.spec.{list}[0]");
            let images = json!({"images": {"allowed": ["registry.example/*"]}});
            let image = [(format!("{one}/image"), json!("elsewhere.example/ray:1"))];
            add("policy/images", images.clone(), &image, format!("{place}.image"));
            add(
                "policy/images",
                images,
                &[(format!("{one}/image"), Value::Null)],
                format!("{place}.image"),
            );
            add(
                "policy/requests",
                json!({"resources": {"requests": ["cpu", "memory"]}}),
                &[
                    (format!("{one}/resources/requests/memory"), Value::Null),
                    (format!("{one}/resources/limits/memory"), Value::Null),
                ],
                format!("{place}.resources.requests[memory]"),
            );
            add(
                "policy/limits",
                json!({"resources": {"limits": ["cpu"]}}),
                &[(format!("{one}/resources/limits/cpu"), Value::Null)],
                format!("{place}.resources.limits[cpu]"),
            );
            if at == "/headGroupSpec" {
                add(
                    "policy/head-gpu",
                    json!({"gpus": {"forbidOnHead": true}}),
                    &[(format!("{one}/resources/limits/nvidia.com~1gpu"), json!(1))],
                    format!("{place}.resources.limits[nvidia.com/gpu]"),
                );
            }
        }
        let agree = json!({"gpus": {"agree": true}});
        let (told, place) =
            (format!("{at}/rayStartParams/num-gpus"), format!("{path}.rayStartParams[num-gpus]"));
        add("policy/gpu-agreement", agree.clone(), &[(told.clone(), json!("1"))], place.clone());
        let limit = format!("{at}/template/spec/containers/0/resources/limits/amd.com~1gpu");
        add(
            "policy/gpu-agreement",
            agree.clone(),
            &[(told, json!("1")), (limit, json!("2"))],
            place,
        );
        add(
            "policy/gpu-agreement",
            agree,
            &[(format!("{at}/resources"), json!({"CPU": "1", "GPU": "1"}))],
            format!("{path}.resources[GPU]"),
        );
    }
    for (at, path) in &TEMPLATES[1..] {
        let max = format!("{at}/maxReplicas");
        let place = format!("{path}.maxReplicas");
        let ceiling = |key: &str, most: Value| json!({"ceilings": {"perGroup": {key: most}}});
        for (key, most) in [
            ("replicas", json!(4)),
            ("pods", json!(4)),
            ("cpu", json!("4")),
            ("memory", json!("4Gi")),
        ] {
            let rule = "policy/group-ceiling";
            add(rule, ceiling(key, most.clone()), &[(max.clone(), json!(5))], place.clone());
            add(rule, ceiling(key, most), &[(max.clone(), Value::Null)], place.clone());
        }
        let pods = ceiling("pods", json!(4));
        add("policy/group-ceiling", pods, &[(format!("{at}/numOfHosts"), json!(2))], place.clone());
        for list in LISTS {
            let cpu = format!("{at}/template/spec/{list}/0/resources/requests/cpu");
            let policy = ceiling("cpu", json!(4));
            add("policy/group-ceiling", policy, &[(cpu, json!("1001m"))], place.clone());
            let gpu = format!("{at}/template/spec/{list}/0/resources/limits/nvidia.com~1gpu");
            let policy = ceiling("gpus", json!(3));
            add("policy/group-ceiling", policy, &[(gpu.clone(), json!(1))], place.clone());
            let policy = json!({"ceilings": {"perGroup": {"resources": {"nvidia.com/gpu": 3}}}});
            add("policy/group-ceiling", policy, &[(gpu, json!(1))], place.clone());
        }
        let cluster = json!({"ceilings": {"perCluster": {"replicas": 8, "pods": 100}}});
        let groups = "workerGroupSpecs".to_owned();
        add("policy/cluster-ceiling", cluster.clone(), &[(max.clone(), json!(5))], groups.clone());
        let namespace = json!({"ceilings": {"perNamespace": {"replicas": 8, "pods": 100}}});
        add("policy/namespace-ceiling", namespace, &[(max.clone(), json!(5))], groups);
        let maximum = json!({"bounds": {"requireMaximum": true}});
        add("policy/maximum-required", maximum, &[(max, json!(2_147_483_647))], place);
        let min = format!("{at}/minReplicas");
        let minimum = json!({"bounds": {"minimumAtMost": 1}});
        add("policy/minimum-ceiling", minimum, &[(min, json!(2))], format!("{path}.minReplicas"));
    }
    // Nine Pods of one CPU, and the autoscaler's half.
    for list in LISTS {
        let cpu = format!("/headGroupSpec/template/spec/{list}/0/resources/requests/cpu");
        let most = if list == "containers" { "1001m" } else { "1501m" };
        let policy = json!({"ceilings": {"perCluster": {"cpu": "9500m"}}});
        add("policy/cluster-ceiling", policy, &[(cpu, json!(most))], "workerGroupSpecs".to_owned());
    }
    let options =
        |resources: Value| [("/autoscalerOptions".to_owned(), json!({"resources": resources}))];
    add(
        "policy/cluster-ceiling",
        json!({"ceilings": {"perCluster": {"cpu": "9500m"}}}),
        &options(json!({"limits": {"cpu": "501m"}})),
        "workerGroupSpecs".to_owned(),
    );
    add(
        "policy/head-gpu",
        json!({"gpus": {"forbidOnHead": true}}),
        &options(json!({"limits": {"amd.com/gpu": 1}})),
        "autoscalerOptions.resources.limits[amd.com/gpu]".to_owned(),
    );
    add(
        "policy/head-gpu",
        json!({"gpus": {"forbidOnHead": true}}),
        &[("/headGroupSpec/rayStartParams/num-gpus".to_owned(), json!("1"))],
        "headGroupSpec.rayStartParams[num-gpus]".to_owned(),
    );
    add(
        "policy/images",
        json!({"images": {"allowed": ["registry.example/*"]}}),
        &[("/autoscalerOptions".to_owned(), json!({"image": "elsewhere.example/ray:1"}))],
        "autoscalerOptions.image".to_owned(),
    );
    all
}
