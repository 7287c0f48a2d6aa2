//! Leases as people ask for them: `raywarden scale --for`.

use serde_json::{Value, json};

use super::api::WORLD;
use super::space::{SOON, Space, autoscaled, cluster};
use super::support::run::{Ran, run};
use super::support::webhook::raywarden;
use super::world::{counts, counts_are, reaches, space};

fn scale(space: &Space, more: &[&str]) -> Ran {
    let mut command = raywarden();
    command.args(["scale", "lab", "-n", &space.name]).args(more);
    command.arg("--kubeconfig").arg(WORLD.plane.kubeconfig("admin"));
    command.env_remove("KUBERNETES_SERVICE_HOST");
    run(command, "", 2 * SOON)
}

#[test]
fn a_scale_for_a_time_is_a_lease_and_says_how_it_stands() {
    let space = space("asked");
    space.create("rayclusters", &autoscaled("lab", 1));
    let ran = scale(&space, &["-r", "3", "--for", "1h", "-o", "json"]);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(said["lease"]["phase"], "Active", "{said}");
    assert_eq!(said["cluster"]["workers"]["desired"], 3, "{said}");
    let name = said["lease"]["name"].as_str().expect("a name").to_owned();
    assert!(name.starts_with("lab-"), "{name}");
    reaches(&space, &name, "Active", "Held");
    let (replicas, min, _) = counts(&space, "lab");
    assert_eq!((replicas, min), (3, 3));

    let second = scale(&space, &["-r", "4", "--for", "1h"]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(second.stderr.contains("is Pending") && second.stderr.contains(&name), "{second:?}");
}

#[test]
fn a_scale_for_a_time_is_refused_as_its_asker_would_be() {
    let space = space("asked-too-much");
    let mut object = cluster("lab", 1);
    object["spec"]["workerGroupSpecs"][0]["maxReplicas"] = json!(3);
    space.create("rayclusters", &object);
    let dry = scale(&space, &["-r", "3", "--for", "1h", "--dry-run=server"]);
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    assert!(space.list("scaleleases").is_empty());
    // Above what the installation lets a person write as a maximum.
    let above = scale(&space, &["-r", "21", "--for", "1h"]);
    assert_eq!(above.status.code(), Some(1), "{above:?}");
    assert!(above.stderr.contains("is Refused"), "{above:?}");
    counts_are(&space, "lab", (1, 0, 3));
}
