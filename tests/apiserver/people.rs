//! What people do with kubectl.

use serde_json::json;

use super::{STANDALONE, WORLD, containers, manifest, versions};

const BOUNDS: [&str; 2] = ["minReplicas: 2", "maxReplicas: 5"];

#[test]
fn an_apply_gets_sidecar_account_and_minimum_and_a_second_one_changes_nothing() {
    let plane = &WORLD.plane;
    let file = manifest("applied", STANDALONE, true, &BOUNDS);
    let said = plane.kubectl_with("alice", &["apply", "-f", "-"], &file);
    assert!(!said.stderr.contains("Warning"), "{}", said.report());
    let first = WORLD.cluster(STANDALONE, "applied");
    assert_eq!(containers(&first), ["ray-head", "autoscaler"]);
    let head = &first["spec"]["headGroupSpec"];
    assert_eq!(head["template"]["spec"]["serviceAccountName"], "raywarden-applied");
    assert_eq!(head["rayStartParams"]["no-monitor"], "true");
    assert_eq!(first["spec"]["workerGroupSpecs"][0]["replicas"], 2);

    plane.kubectl_with("alice", &["apply", "-f", "-"], &file).ok();
    assert_eq!(versions(&first), versions(&WORLD.cluster(STANDALONE, "applied")));
    let difference = plane.kubectl_with("alice", &["diff", "-f", "-"], &file);
    assert!(difference.status.success(), "{}", difference.report());
}

#[test]
fn beside_kuberay_only_the_options_are_completed() {
    let plane = &WORLD.plane;
    let file = manifest("beside", "beside", true, &BOUNDS);
    plane.kubectl_with("alice", &["apply", "-f", "-"], &file).ok();
    let first = WORLD.cluster("beside", "beside");
    assert_eq!(containers(&first), ["ray-head"]);
    let size = json!({"cpu": "500m", "memory": "512Mi"});
    assert_eq!(
        first["spec"]["autoscalerOptions"],
        json!({"resources": {"limits": size, "requests": size}})
    );
    assert!(first["spec"]["headGroupSpec"]["template"]["spec"]["serviceAccountName"].is_null());
    plane.kubectl_with("alice", &["apply", "-f", "-"], &file).ok();
    assert_eq!(versions(&first), versions(&WORLD.cluster("beside", "beside")));
}

#[test]
fn a_server_side_apply_gets_the_same_and_a_second_one_changes_nothing() {
    let plane = &WORLD.plane;
    for namespace in [STANDALONE, "beside"] {
        let file = manifest("server-side", namespace, true, &BOUNDS);
        let apply = ["apply", "--server-side", "--field-manager=git", "-f", "-"];
        plane.kubectl_with("alice", &apply, &file).ok();
        let first = WORLD.cluster(namespace, "server-side");
        assert_eq!(containers(&first).len(), if namespace == STANDALONE { 2 } else { 1 });
        assert_eq!(first["spec"]["workerGroupSpecs"][0]["replicas"], 2);
        plane.kubectl_with("alice", &apply, &file).ok();
        assert_eq!(versions(&first), versions(&WORLD.cluster(namespace, "server-side")));
    }
}

#[test]
fn a_second_writer_with_another_field_manager_keeps_the_sidecar() {
    let plane = &WORLD.plane;
    let file = manifest("two-writers", STANDALONE, true, &BOUNDS);
    plane.kubectl_with("alice", &["apply", "--server-side", "-f", "-"], &file).ok();
    let other = file.replace("registry.example/ray:2.52.0", "registry.example/ray:2.53.0");
    let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-"];
    plane.kubectl_with("argo", &apply, &other).ok();
    let stored = WORLD.cluster(STANDALONE, "two-writers");
    let spec = &stored["spec"]["headGroupSpec"]["template"]["spec"];
    assert_eq!(containers(&stored), ["ray-head", "autoscaler"]);
    // The sidecar runs the head's image, also the new one.
    assert_eq!(spec["containers"][1]["image"], "registry.example/ray:2.53.0");
}

#[test]
fn a_dry_run_answers_like_the_real_run_and_stores_nothing() {
    let plane = &WORLD.plane;
    let file = manifest("dry", STANDALONE, true, &BOUNDS);
    let dry = ["apply", "--dry-run=server", "-o", "json", "-f", "-"];
    let told = plane.kubectl_with("alice", &dry, &file).ok();
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON was asked for");
    assert_eq!(containers(&told), ["ray-head", "autoscaler"]);
    plane.kubectl(&["get", "raycluster", "dry", "-n", STANDALONE]).refused();
    plane.kubectl_with("alice", &["apply", "-f", "-"], &file).ok();
    assert_eq!(told["spec"], WORLD.cluster(STANDALONE, "dry")["spec"]);
}

#[test]
fn a_bad_manifest_is_refused_with_every_faults_path() {
    let file =
        manifest("bad", STANDALONE, true, &["minReplicas: 4", "maxReplicas: 3", "numOfHosts: 0"])
            .replace("groupName: small", "groupName: headgroup");
    let refusal = WORLD.plane.kubectl_with("alice", &["apply", "-f", "-"], &file).refused();
    for line in [
        "The RayCluster \"bad\" is invalid:",
        "* spec.workerGroupSpecs[0].maxReplicas: maxReplicas is 3, below minReplicas 4",
        "[raywarden bounds/min-max]",
        "* spec.workerGroupSpecs[0].numOfHosts: numOfHosts is 0",
        "* spec.workerGroupSpecs[0].groupName: \"headgroup\" is the group of the head Pod",
    ] {
        assert!(refusal.contains(line), "no {line:?} in:\n{refusal}");
    }
    WORLD.plane.kubectl(&["get", "raycluster", "bad", "-n", STANDALONE]).refused();
}

#[test]
fn a_patch_an_edit_and_a_replace_keep_what_was_injected() {
    let plane = &WORLD.plane;
    let file = manifest("edited", STANDALONE, true, &BOUNDS);
    plane.kubectl_with("alice", &["apply", "-f", "-"], &file).ok();
    let patch = r#"{"spec":{"headGroupSpec":{"template":{"spec":{"containers":[
        {"name":"ray-head","image":"registry.example/ray:2.54.0"}]}}}}}"#;
    let command = ["patch", "raycluster", "edited", "-n", STANDALONE, "--type=merge", "-p", patch];
    plane.kubectl_as("alice", &command).ok();
    let patched = WORLD.cluster(STANDALONE, "edited");
    assert_eq!(containers(&patched), ["ray-head", "autoscaler"]);

    // kubectl edit sends what it read, changed.
    let edited = patched.to_string().replace("\"maxReplicas\":5", "\"maxReplicas\":7");
    plane
        .kubectl_with("alice", &["replace", "--field-manager=kubectl-edit", "-f", "-"], &edited)
        .ok();
    let stored = WORLD.cluster(STANDALONE, "edited");
    assert_eq!(stored["spec"]["headGroupSpec"], patched["spec"]["headGroupSpec"]);
    assert_eq!(stored["spec"]["workerGroupSpecs"][0]["maxReplicas"], 7);

    // A replace with the file alone leaves everything of ours out; it comes back.
    plane.kubectl_with("alice", &["replace", "-f", "-"], &file).ok();
    let replaced = WORLD.cluster(STANDALONE, "edited");
    let spec = &replaced["spec"]["headGroupSpec"]["template"]["spec"];
    assert_eq!(containers(&replaced), ["ray-head", "autoscaler"]);
    assert_eq!(spec["serviceAccountName"], "raywarden-edited");
    assert_eq!(spec["volumes"], json!([{"name": "ray-logs", "emptyDir": {}}]));
}

#[test]
fn the_flag_off_takes_the_sidecar_out_and_on_puts_it_in() {
    let plane = &WORLD.plane;
    let on = manifest("switched", STANDALONE, true, &BOUNDS);
    let off = manifest("switched", STANDALONE, false, &BOUNDS);
    plane.kubectl_with("alice", &["apply", "-f", "-"], &on).ok();
    let said = plane.kubectl_with("alice", &["apply", "-f", "-"], &off);
    assert!(said.stderr.contains("a live head keeps its sidecar"), "{}", said.report());
    let stored = WORLD.cluster(STANDALONE, "switched");
    assert_eq!(containers(&stored), ["ray-head"]);
    assert!(stored["spec"]["headGroupSpec"]["rayStartParams"].get("no-monitor").is_none());
    let said = plane.kubectl_with("alice", &["apply", "-f", "-"], &on);
    assert!(said.stderr.contains("a live head gets its sidecar"), "{}", said.report());
    assert_eq!(containers(&WORLD.cluster(STANDALONE, "switched")), ["ray-head", "autoscaler"]);
}

#[test]
fn under_generate_name_the_account_is_left_to_the_pod() {
    let file = manifest("x", STANDALONE, true, &BOUNDS).replace("name: x", "generateName: lab-");
    let told = WORLD.plane.kubectl_with("alice", &["create", "-o", "json", "-f", "-"], &file).ok();
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON was asked for");
    assert_eq!(containers(&told), ["ray-head", "autoscaler"]);
    assert!(told["spec"]["headGroupSpec"]["template"]["spec"]["serviceAccountName"].is_null());
}

#[test]
fn a_write_through_v1alpha1_is_injected_and_settles() {
    let plane = &WORLD.plane;
    let file =
        manifest("legacy", STANDALONE, true, &BOUNDS).replace("ray.io/v1", "ray.io/v1alpha1");
    plane.kubectl_with("alice", &["apply", "-f", "-"], &file).ok();
    let first = WORLD.cluster(STANDALONE, "legacy");
    assert_eq!(containers(&first), ["ray-head", "autoscaler"]);
    assert_eq!(first["spec"]["workerGroupSpecs"][0]["replicas"], 2);
    plane.kubectl_with("alice", &["apply", "-f", "-"], &file).ok();
    assert_eq!(versions(&first), versions(&WORLD.cluster(STANDALONE, "legacy")));
}

#[test]
fn an_object_of_a_megabyte_goes_through() {
    let value = "x".repeat(1000);
    let variables: String =
        (0..950).map(|index| format!("          - {{name: V{index}, value: {value}}}\n")).collect();
    let file = manifest("large", STANDALONE, true, &BOUNDS).replacen(
        "          resources:",
        &format!("          env:\n{variables}          resources:"),
        1,
    );
    assert!(file.len() > 950_000);
    WORLD.plane.kubectl_with("alice", &["create", "-f", "-"], &file).ok();
    let stored = WORLD.cluster(STANDALONE, "large");
    assert_eq!(containers(&stored), ["ray-head", "autoscaler"]);
    assert_eq!(stored["spec"]["workerGroupSpecs"][0]["replicas"], 2);
}

#[test]
fn a_rayjob_is_judged_by_the_cluster_it_embeds() {
    let cluster = manifest("nightly", "beside", false, &["minReplicas: 4", "maxReplicas: 3"]);
    let spec = cluster.split_once("spec:\n").expect("a manifest has a spec").1;
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let file = format!(
        "apiVersion: ray.io/v1\nkind: RayJob\nmetadata: {{name: nightly, namespace: beside}}\n\
         spec:\n  entrypoint: python main.py\n  rayClusterSpec:\n{spec}"
    );
    let refusal = WORLD.plane.kubectl_with("alice", &["apply", "-f", "-"], &file).refused();
    let line = "spec.rayClusterSpec.workerGroupSpecs[0].maxReplicas:";
    assert!(refusal.contains("The RayJob \"nightly\" is invalid:"), "{refusal}");
    assert!(refusal.contains(line), "{refusal}");
    let mended = file.replace("maxReplicas: 3", "maxReplicas: 4");
    WORLD.plane.kubectl_with("alice", &["apply", "-f", "-"], &mended).ok();
}

#[test]
fn every_review_leaves_a_decision_line_without_bodies() {
    let file = manifest("logged", STANDALONE, true, &BOUNDS).replace("ray-head", "secret-head");
    WORLD.plane.kubectl_with("alice", &["apply", "-f", "-"], &file).ok();
    let log = WORLD.webhook.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("\"logged\"")).collect();
    for phase in ["mutate", "validate"] {
        let word = format!("\"phase\":\"{phase}\"");
        let line = lines.iter().find(|line| line.contains(&word));
        let line = line.unwrap_or_else(|| panic!("no {phase} line in {lines:?}"));
        assert!(
            line.contains("\"user\":\"alice@corp.example\"") && line.contains("\"allowed\":true")
        );
    }
    assert!(!log.contains("secret-head"));
}
