//! `raywarden scale` and `raywarden wait`, as a user with a kubeconfig and as an init container.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::head::Head;
use super::support::run::{Ran, run};
use super::support::webhook::raywarden;
use super::world::{SOON, Space, WORLD};

/// The kubeconfig of an account in `people`.
fn kubeconfig(name: &str) -> PathBuf {
    let token = WORLD.plane.kubectl(&["create", "token", name, "-n", "people"]).ok();
    WORLD.plane.write_kubeconfig(&format!("{name}-commands"), token.trim())
}

/// A command of ada's; heads on loopback are asked at their own address, as from inside.
fn ada(arguments: &[&str]) -> Ran {
    let mut command = raywarden();
    command.args(arguments).arg("--kubeconfig").arg(kubeconfig("ada"));
    command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    run(command, "", 2 * SOON)
}

fn code(ran: &Ran) -> i32 {
    ran.status.code().unwrap_or(-1)
}

/// A namespace where ada may see Pods too, a cluster in it, and its head.
fn lab(name: &str, net: u8, workers: u8) -> (Space, Head, Vec<String>) {
    let space = Space::new(name);
    let within = ["-n", name];
    let verb = ["create", "role", "pods", "--verb=list", "--resource=pods"];
    WORLD.plane.kubectl(&[&verb[..], &within].concat()).ok();
    let binding = ["create", "rolebinding", "pods", "--role=pods", "--serviceaccount=people:ada"];
    WORLD.plane.kubectl(&[&binding[..], &within].concat()).ok();
    let head = Head::start();
    let mut object = space.manifest("demo");
    let params = &mut object["spec"]["headGroupSpec"]["rayStartParams"];
    params["dashboard-port"] = head.port.to_string().into();
    let cluster = space.create("rayclusters", &object);
    space.pod(&cluster, "demo-head", "headgroup", "127.0.0.1");
    let ips: Vec<String> = (1..=workers).map(|n| format!("127.9.{net}.{n}")).collect();
    for (index, ip) in ips.iter().enumerate() {
        space.pod(&cluster, &format!("demo-small-worker-{index}"), "small", ip);
    }
    (space, head, ips)
}

#[test]
fn a_scale_that_waits_ends_when_all_have_joined_and_tells_of_the_progress() {
    let (space, head, ips) = lab("scale-waits", 31, 3);
    let ran = thread::scope(|scope| {
        scope.spawn(|| {
            for ip in &ips {
                thread::sleep(Duration::from_millis(1500));
                head.joins(ip);
            }
        });
        ada(&["scale", "demo", "-n", &space.name, "-g", "small", "-r", "3", "--wait"])
    });
    assert_eq!(code(&ran), 0, "{ran:?}");
    assert_eq!(space.replicas("demo", 0), 3);
    for line in ["group small goes: 1 -> 3", "demo: 3 of 3 joined"] {
        assert!(ran.stderr.contains(line), "{}", ran.stderr);
    }
    assert!(!ran.stderr.contains('\r'), "no bar where there is no terminal");
    let said = "scale-waits/demo group small: replicas 3 within 0..10; 3 of 3 joined, 3 ready, 3 running\n";
    assert!(ran.stdout.starts_with(said), "{}", ran.stdout);
}

#[test]
fn a_wait_that_is_over_too_early_is_told_by_its_exit_status() {
    let (space, head, ips) = lab("wait-over", 32, 1);
    let wait = |more: &[&str]| ada(&[&["wait", "demo", "-n", &space.name][..], more].concat());
    let early = wait(&["--timeout", "1s", "-o", "json"]);
    assert_eq!(code(&early), 1, "{early:?}");
    let state: Value = serde_json::from_str(&early.stdout).expect("JSON");
    assert_eq!(state["workers"]["notJoined"], json!(["demo-small-worker-0"]));
    head.joins(&ips[0]);
    let whole = wait(&["--timeout", "20s"]);
    assert_eq!(code(&whole), 0, "{whole:?}");
    assert_eq!(code(&wait(&["--workers", "1", "--group", "small", "--timeout", "0"])), 0);
    let strange = wait(&["--group", "big", "--timeout", "1s"]);
    assert_eq!(code(&strange), 2);
    assert!(strange.stderr.contains("no group \"big\""), "{strange:?}");
}

#[test]
fn a_refusal_says_what_to_do_and_writes_nothing() {
    let (space, _head, _) = lab("scale-refused", 33, 0);
    let scale = |more: &[&str]| ada(&[&["scale", "demo", "-n", &space.name][..], more].concat());
    for (arguments, status, words) in [
        (&["-g", "small", "-r", "11"][..], 1, "maxReplicas is 10"),
        (&["-r", "2"], 1, "this cluster has small, gpu"),
        (&["-g", "big", "-r", "2"], 1, "it has small, gpu"),
        (&["-g", "small", "-r", "0", "--delete", "nobody"], 1, "no worker of group"),
        (&["-g", "small", "-r", "-1"], 2, "--replicas"),
        (
            &["-g", "small", "-r", "2", "--for", "2h", "--dry-run", "server"],
            1,
            "cannot create resource",
        ),
    ] {
        let ran = scale(arguments);
        assert_eq!(code(&ran), status, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
    let ran = ada(&["scale", "nobody", "-n", &space.name, "-r", "1"]);
    assert_eq!(code(&ran), 2);
    assert!(
        ran.stderr.contains("there is no RayCluster nobody in namespace scale-refused"),
        "{ran:?}"
    );
    assert_eq!(space.replicas("demo", 0), 1);
}

#[test]
fn a_dry_run_is_judged_by_the_server_and_stores_nothing() {
    let (space, _head, _) = lab("scale-dry", 34, 0);
    let ran = ada(&[
        "scale",
        "demo",
        "-n",
        &space.name,
        "-g",
        "small",
        "-r",
        "4",
        "--dry-run=server",
        "-o",
        "json",
    ]);
    assert_eq!(code(&ran), 0, "{ran:?}");
    let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        (&said["dryRun"], &said["to"], &said["changed"]),
        (&json!(true), &json!(4), &json!(false))
    );
    assert_eq!(space.replicas("demo", 0), 1);
}

#[test]
fn without_the_right_it_says_which_is_missing() {
    let space = Space::new("scale-rights");
    space.cluster("demo");
    let mut command = raywarden();
    command.args(["scale", "demo", "-n", &space.name, "-g", "small", "-r", "2"]);
    command.arg("--kubeconfig").arg(kubeconfig("reader"));
    let ran = run(command, "", SOON);
    assert_eq!(code(&ran), 2, "{ran:?}");
    assert!(ran.stderr.contains("may not patch rayclusters in namespace scale-rights"), "{ran:?}");
}

/// As the kubelet starts an init container: the account's token, its authority and its namespace in files,
/// the API server in two variables.
#[test]
fn an_init_container_waits_with_the_account_of_its_pod() {
    let (space, head, ips) = lab("init", 35, 1);
    let plane = &WORLD.plane;
    let token = plane.kubectl(&["create", "token", "ada", "-n", "people"]).ok();
    let files = plane.dir().join("init-account");
    std::fs::create_dir_all(&files).expect("the folder is ours");
    std::fs::copy(plane.ca(), files.join("ca.crt")).expect("a file");
    std::fs::write(files.join("token"), token.trim()).expect("a file");
    std::fs::write(files.join("namespace"), &space.name).expect("a file");
    let port = plane.server().rsplit(':').next().expect("a port");
    let script = "mkdir -p /var/run/secrets && mount -t tmpfs none /var/run/secrets && \
                  mkdir -p /var/run/secrets/kubernetes.io && \
                  cp -r \"$1\" /var/run/secrets/kubernetes.io/serviceaccount && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&files);
    command.arg(env!("CARGO_BIN_EXE_raywarden")).args(["wait", "demo", "--timeout", "30s"]);
    command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", port);
    command.env_remove("KUBECONFIG");
    let ran = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(2));
            head.joins(&ips[0]);
        });
        run(command, "", 2 * SOON)
    });
    assert_eq!(code(&ran), 0, "{ran:?}");
    assert!(
        ran.stdout.contains("init/demo group small: replicas 1 within 0..10; 1 of 1 joined"),
        "{ran:?}"
    );
}
