//! How Ray is started: one test for each fault that somebody has had there.

use super::*;

#[test]
fn figures_come_from_limits_and_cpu_from_requests_too() {
    for (resources, wanted, unwanted) in [
        (json!({"limits": {"cpu": "1500m"}}), "--num-cpus=2", "--memory"),
        (json!({"requests": {"cpu": "3", "memory": "1Gi"}}), "--num-cpus=3", "--memory"),
        (json!({"limits": {"cpu": "0"}, "requests": {"cpu": "4"}}), "--num-cpus=4", "--memory"),
        (json!({"limits": {"memory": "1Gi"}}), "--memory=1073741824", "--num-cpus"),
        (json!({"limits": {"cpu": 2}}), "--num-cpus=2", "--num-gpus"),
    ] {
        let mut object = cluster();
        small_ray(&mut object)["resources"] = resources.clone();
        let pod = built_worker(&object);
        assert!(line(&pod).contains(wanted), "{}", line(&pod));
        assert!(!line(&pod).contains(unwanted), "{}", line(&pod));
        // What the template asks for is passed on as it was written.
        assert_eq!(ray(&pod)["resources"], resources);
    }
}

#[test]
fn gpus_are_found_by_name_slices_included() {
    for (key, found) in [
        ("nvidia.com/gpu", true),
        ("amd.com/gpu", true),
        ("nvidia.com/mig-2g.32gb", true),
        ("nvidia.com/gpu-mig-12g.128gb", false),
        ("nvidia.com/mig-g.gb", false),
        ("nvidia.com/mig-1g.10gb.me", false),
        ("nvidia.com/gpumem", false),
    ] {
        let mut object = cluster();
        small_ray(&mut object)["resources"]["limits"] = json!({"a.example/gpu": "0", key: "2"});
        let pod = built_worker(&object);
        assert_eq!(line(&pod).contains(" --num-gpus=2 "), found, "{key}: {}", line(&pod));
    }
}

#[test]
fn resources_of_the_group_stand_over_parameters_and_their_names_have_no_case() {
    let mut object = cluster();
    let amounts =
        json!({"CPU": "2", "Memory": "1Gi", "nvidia.com/GPU": "1", "slot": "500m", "x": "?"});
    small(&mut object)["resources"] = amounts;
    small(&mut object)["rayStartParams"] = json!({"num-cpus": "9", "resources": "'{\"old\":1}'"});
    let pod = built_worker(&object);
    for wanted in
        ["--num-cpus=2", "--memory=1073741824", "--num-gpus=1", "--resources='{\"slot\":0.5}'"]
    {
        assert!(line(&pod).contains(&format!(" {wanted} ")), "{wanted}: {}", line(&pod));
    }
}

#[test]
fn the_first_accelerator_joins_the_resources_that_are_there() {
    let cases = [
        (json!({}), "--resources='{\"TPU\":4}'"),
        (json!({"resources": "'{\"slot\": 1}'"}), "--resources='{\"TPU\":4,\"slot\":1}'"),
        (json!({"resources": r#"'"{\"slot\": 1}"'"#}), "--resources='{\"TPU\":4,\"slot\":1}'"),
        (json!({"resources": "'{\"TPU\":1}'"}), "--resources='{\"TPU\":1}'"),
        (json!({"resources": "'{\"neuron_cores\":1}'"}), "--resources='{\"neuron_cores\":1}'"),
    ];
    for (params, wanted) in cases {
        let mut object = cluster();
        let limits = json!({"google.com/tpu": "4", "nvidia.com/gpu": "1"});
        small_ray(&mut object)["resources"]["limits"] = limits;
        small(&mut object)["rayStartParams"] = params;
        let pod = built_worker(&object);
        assert!(line(&pod).contains(&format!(" {wanted} ")), "{}", line(&pod));
    }
}

#[test]
fn resources_that_nobody_can_read_hide_no_gpu() {
    let mut object = cluster();
    small_ray(&mut object)["resources"]["limits"] =
        json!({"nvidia.com/gpu": "1", "google.com/tpu": "4"});
    small(&mut object)["rayStartParams"] = json!({"resources": "{slot: 1"});
    let pod = built_worker(&object);
    assert!(line(&pod).contains(" --num-gpus=1 "), "{}", line(&pod));
    assert!(line(&pod).contains(" --resources={slot: 1 "), "{}", line(&pod));
}

#[test]
fn switches_are_bare_and_flags_with_values_keep_false() {
    let mut object = cluster();
    head_group(&mut object)["rayStartParams"] = json!({
        "include-dashboard": "False", "log-color": "true", "include-log-monitor": "false",
        "disable-usage-stats": "TRUE", "verbose": "false", "block": "false",
    });
    let pod = built_head(&object);
    for part in ["--include-dashboard=False", "--log-color=true", "--include-log-monitor=false"] {
        assert!(line(&pod).contains(&format!(" {part} ")), "{}", line(&pod));
    }
    assert!(line(&pod).contains(" --disable-usage-stats ") && line(&pod).contains(" --block "));
    assert!(!line(&pod).contains("verbose"), "{}", line(&pod));
}

#[test]
fn parameters_of_the_user_stand() {
    let mut object = cluster();
    let given = json!({"address": "elsewhere:1", "metrics-export-port": "9", "num-cpus": "7"});
    small(&mut object)["rayStartParams"] = given;
    let pod = built_worker(&object);
    for part in ["--address=elsewhere:1", "--metrics-export-port=9", "--num-cpus=7"] {
        assert!(line(&pod).contains(&format!(" {part} ")), "{}", line(&pod));
    }
}

#[test]
fn ray_takes_the_shells_place_behind_the_users_own_command() {
    let limit = "ulimit -n ${RAY_START_ULIMIT_OPEN_FILES:-65536}; exec ray start";
    let mut object = cluster();
    small_ray(&mut object)["command"] = json!(["echo"]);
    small_ray(&mut object)["args"] = json!(["hello"]);
    for (object, begins) in
        [(cluster(), limit.to_owned()), (object, format!("echo hello && {limit}"))]
    {
        let pod = built_worker(&object);
        let args = ray(&pod)["args"][0].as_str().unwrap();
        assert!(args.starts_with(&begins), "{args}");
        assert!(args.ends_with(line(&pod)), "{args}");
        assert_eq!(ray(&pod)["command"], json!(["/bin/bash", "-c", "--"]));
    }
}

#[test]
fn a_user_who_starts_ray_or_keeps_the_command_is_left_alone() {
    let own = |args: Value| {
        let mut object = cluster();
        small_ray(&mut object)["args"] = args;
        object
    };
    let mut kept = own(json!(["sleep 1"]));
    kept["metadata"]["annotations"] = json!({"ray.io/overwrite-container-cmd": "True"});
    let mut by_template = own(json!(["sleep 1"]));
    small(&mut by_template)["template"]["metadata"]["annotations"] =
        json!({"ray.io/overwrite-container-cmd": "true"});
    for object in
        [own(json!(["ray start --block"])), own(json!(["ray", "start"])), kept, by_template]
    {
        let pod = built_worker(&object);
        assert_eq!(
            ray(&pod)["args"],
            object["spec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["args"]
        );
        assert_eq!(ray(&pod).get("command"), None);
        assert!(line(&pod).starts_with("ray start "));
    }
}

#[test]
fn the_annotation_that_keeps_the_command_is_passed_on() {
    let mut object = cluster();
    object["metadata"]["annotations"] = json!({"ray.io/overwrite-container-cmd": "true"});
    let annotations = &built_head(&object)["metadata"]["annotations"];
    assert_eq!(annotations["ray.io/overwrite-container-cmd"], "true");
}

#[test]
fn variables_that_the_node_stands_on_replace_the_users_and_others_do_not() {
    let mut object = cluster();
    small_ray(&mut object)["env"] = json!([
        {"name": "RAY_CLUSTER_NAMESPACE", "value": "mine"}, {"name": "RAY_PORT", "value": "1"},
        {"name": "RAY_ADDRESS", "value": "mine:1"}, {"name": "FQ_RAY_IP", "value": "mine"},
    ]);
    let pod = built_worker(&object);
    let env = ray(&pod)["env"].as_array().unwrap();
    assert_eq!(env[0]["valueFrom"]["fieldRef"]["fieldPath"], "metadata.namespace");
    assert_eq!(variable(ray(&pod), "RAY_PORT"), "1");
    assert_eq!(variable(ray(&pod), "RAY_ADDRESS"), "mine:1");
    assert_eq!(variable(ray(&pod), "FQ_RAY_IP"), "lab-head-svc.team-a.svc.cluster.local");
}

#[test]
fn workers_follow_the_heads_port_and_the_users_service() {
    let mut object = cluster();
    head_group(&mut object)["rayStartParams"]["port"] = json!("6380");
    head_group(&mut object)["headService"] = json!({"metadata": {"name": "front"}});
    let pod = built_worker(&object);
    let address = "front.team-a.svc.cluster.local:6380";
    assert!(line(&pod).contains(&format!(" --address={address} ")), "{}", line(&pod));
    assert_eq!(variable(ray(&pod), "RAY_ADDRESS"), address);
    assert_eq!(variable(ray(&pod), "RAY_IP"), "front");
    assert_eq!(variable(ray(&pod), "RAY_PORT"), "6380");
    assert!(pod["spec"]["initContainers"][0]["args"][0].as_str().unwrap().contains(address));
    assert_eq!(variable(ray(&built_head(&object)), "RAY_ADDRESS"), "127.0.0.1:6380");
}

#[test]
fn a_generated_autoscaler_ends_when_told_and_one_of_the_users_own_is_left_alone() {
    let sidecar = |object: &Value| built_head(object)["spec"]["containers"][1].clone();
    let line = sidecar(&cluster())["args"][0].as_str().unwrap().to_owned();
    assert!(line.starts_with("trap 'kill $!; exit 0' TERM; ray kuberay-autoscaler "), "{line}");
    assert!(line.ends_with(" & wait $!"), "{line}");
    let mut object = cluster();
    let own = json!(["sleep 9; $KUBERAY_GEN_AUTOSCALER_START_CMD"]);
    object["spec"]["autoscalerOptions"] = json!({"args": own});
    assert_eq!(sidecar(&object)["args"], own);
}
