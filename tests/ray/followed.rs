//! The scaling API on how many workers have joined, with real raylets.

use std::path::Path;

use serde_json::{Value, json};

use super::turn;
use super::world::{NAMESPACE, SOON, WORLD, look};
use crate::support::plain::call;
use crate::support::process::Process;
use crate::support::request::Answer;
use crate::support::wait::{free_port, wait_until};
use crate::support::webhook::raywarden;

struct Api {
    process: Process,
    port: u16,
    token: String,
}

impl Api {
    #[track_caller]
    fn start() -> Self {
        let plane = &WORLD.plane;
        let within = ["-n", NAMESPACE];
        let run = |arguments: &[&str]| plane.kubectl(&[arguments, &within[..]].concat()).ok();
        run(&["create", "serviceaccount", "ada"]);
        run(&["create", "role", "ada", "--verb=get,patch", "--resource=rayclusters.ray.io"]);
        let account = format!("--serviceaccount={NAMESPACE}:ada");
        run(&["create", "rolebinding", "ada", "--role=ada", &account]);
        let token = run(&["create", "token", "ada", "--audience", "raywarden"]).trim().to_owned();
        let (port, ops) = (free_port(), free_port());
        let mut command = raywarden();
        command.args(["api", "--api-plain-http", "--api-listen", &format!("127.0.0.1:{port}")]);
        command.args(["--ops-listen", &format!("127.0.0.1:{ops}"), "--shutdown-delay", "0s"]);
        command.arg("--kubeconfig").arg(plane.kubeconfig("admin"));
        command.env_remove("KUBERNETES_SERVICE_HOST");
        let api = Self { process: Process::start(command), port, token };
        wait_until(SOON, "the API is ready", || {
            api.try_send("GET", "/readyz", "").filter(|it| it.status == 200).map(|_| ())
        });
        api
    }

    fn try_send(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let headers = [
            ("Authorization".to_owned(), format!("Bearer {}", self.token)),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        runtime.expect("a runtime").block_on(call(self.port, method, path, &headers, body)).ok()
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.try_send(method, path, body);
        answer.unwrap_or_else(|| panic!("no answer: {}", self.process.report())).ok()
    }
}

/// Three workers that start at once, and two that wait for a file.
fn manifest(gate: &Path) -> Value {
    let group = |name: &str, max: i64, args: Value| {
        json!({"groupName": name, "replicas": 0, "minReplicas": 0, "maxReplicas": max,
            "rayStartParams": {},
            "template": {"spec": {"containers": [{"name": "ray-worker", "image": "local/ray:2.60.0",
                "args": args, "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]}}})
    };
    let late = json!([format!("until [ -e {} ]; do sleep 0.2; done", gate.display())]);
    json!({"apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "followed", "namespace": NAMESPACE},
        "spec": {"rayVersion": "2.60.0",
            "headGroupSpec": {"rayStartParams": {"num-cpus": "0"},
                "template": {"spec": {"containers": [{"name": "ray-head", "image": "local/ray:2.60.0",
                    "resources": {"limits": {"cpu": 1, "memory": "2Gi"}}}]}}},
            "workerGroupSpecs": [group("prompt", 3, json!([])), group("late", 2, late)]}})
}

#[test]
fn the_api_sees_none_then_three_of_five_then_all_five_join() {
    let _turn = turn();
    let gate = WORLD.plane.dir().join("late-workers-go");
    WORLD.plane.apply_yaml(&manifest(&gate).to_string());
    let api = Api::start();
    let path = format!("/api/v1/namespaces/{NAMESPACE}/rayclusters/followed");
    let workers = || api.send("GET", &path, "")["workers"].clone();
    let steady = look(|| Some(workers()).filter(|it| it["joined"] == 0));
    assert!(steady.is_some(), "the head never answered: {}", workers());

    let scale = format!("{path}/scale");
    for (group, replicas) in [("late", 2), ("prompt", 3)] {
        let body = json!({"group": group, "replicas": replicas}).to_string();
        assert_eq!(api.send("PATCH", &scale, &body)["to"], replicas);
    }
    let seen = workers();
    assert_eq!((&seen["desired"], &seen["joined"]), (&json!(5), &json!(0)), "{seen}");
    let three = look(|| Some(workers()).filter(|it| it["joined"] == 3));
    let three = three.unwrap_or_else(|| panic!("never three: {}", workers()));
    assert_eq!(three["allJoined"], false, "{three}");
    let missing = three["notJoined"].as_array().expect("names");
    assert_eq!(missing.len(), 2, "{three}");
    assert!(
        missing.iter().all(|it| it.as_str().is_some_and(|it| it.contains("-late-"))),
        "{three}"
    );

    std::fs::write(&gate, "").expect("the folder is ours");
    let waiting = format!("{scale}?wait=joined&timeoutSeconds=120");
    let all = api.send("GET", &waiting, "")["workers"].clone();
    assert_eq!((&all["joined"], &all["allJoined"]), (&json!(5), &json!(true)), "{all}");
    assert_eq!(all["notJoined"], json!([]));
    WORLD.plane.kubectl(&["delete", "raycluster", "followed", "-n", NAMESPACE]).ok();
    let gone = || {
        let pods =
            WORLD.plane.get_json(&["pods", "-n", NAMESPACE, "-l", "ray.io/cluster=followed"]);
        pods["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    };
    assert!(look(gone).is_some(), "its Pods outlive it");
}
