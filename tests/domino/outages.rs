//! Domino or Kubernetes slow, broken, lying or gone: an outage is never a stranger and never an empty
//! list.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::api::Api;
use super::identity::{ADA, Identity, key_of};
use super::old::{self, mended, refuses};
use super::proxy::{Fate, RUNTIME};
use super::support::wait::wait_until;
use super::world::{SOON, WORLD, counts};

#[test]
fn d32_a_broken_or_lying_identity_service_is_an_outage() {
    WORLD.cluster("ray-outage", ADA);
    let empty = old::json(200, &json!({"kind": "rayclusters", "count": 0, "clusters": []}));
    let forbidden = old::json(403, &json!({"error": "unauthorized", "message": "x"}));
    for who in ["html", "cut", "reset", "redirect", "error", "huge", "unsaid", "without-id", "slow"]
    {
        let outage = |it: &super::support::request::Answer| {
            refuses(it, 503, "upstream_unavailable") && it.header("retry-after") == Some("1")
        };
        let list = WORLD.api.get(who, "/ddl_cluster_scaler/list/rayclusters");
        mended(&list, &empty, &outage);
        let one = WORLD.api.get(who, "/ddl_cluster_scaler/cluster/rayclusters/ray-outage");
        mended(&one, &forbidden, &outage);
        assert!(!one.body.contains("NullPointer") && !one.body.contains("html"), "{}", one.body);
    }
    let asked = WORLD.identity.asked("redirect");
    assert!(asked.iter().all(|it| it.path == "/v4/auth/principal"), "{asked:?}");
}

#[test]
fn d34_a_slow_identity_service_is_given_up_on_before_clients_give_up() {
    let (_proxy, api) = WORLD.proxied(&["--domino-timeout", "1h", "--request-deadline", "2s"]);
    let begun = Instant::now();
    let answer = api.get("slow", "/raycluster/list");
    // After the fourth try, when the client had left.
    let stranger = old::json(403, &json!({"error": "unauthorized", "message": "x"}));
    mended(&answer, &stranger, &|it| refuses(it, 503, "upstream_unavailable"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert!(refuses(&WORLD.api.get("slow.2", "/raycluster/list"), 503, "upstream_unavailable"));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_domino_that_another_authority_has_signed_learns_nothing() {
    let other = Identity::start(&{
        let folder = WORLD.plane.dir().join("impostor");
        std::fs::create_dir_all(&folder).expect("the folder is ours");
        folder
    });
    let url = other.url();
    let ca = WORLD.identity.ca().display().to_string();
    let flags = ["--domino-url", &url, "--domino-ca-file", &ca];
    let api = Api::start(&WORLD.kubeconfig, &other, &flags);
    let answer = api.get("ada", "/raycluster/list");
    assert!(refuses(&answer, 503, "upstream_unavailable"), "{answer:?}");
    assert_eq!(other.asked("ada"), []);
}

#[test]
fn a_domino_that_is_gone_is_an_outage() {
    let flags = ["--domino-url", "http://127.0.0.1:9"];
    let api = Api::start(&WORLD.kubeconfig, &WORLD.identity, &flags);
    let empty = old::json(200, &json!({"ray_clusters": []}));
    let answer = api.get("ada", "/raycluster/list");
    mended(&answer, &empty, &|it| refuses(it, 503, "upstream_unavailable"));
}

#[test]
fn d10_an_api_server_that_fails_is_told_in_our_words() {
    let (proxy, api) = WORLD.proxied(&[]);
    WORLD.cluster("ray-apiless", ADA);
    let raw = old::json(
        500,
        &json!({"error": "get_failed", "message": "x", "details": "(500) said by the proxy"}),
    );
    for fate in [Fate::Answer(500), Fate::Answer(403), Fate::Cut, Fate::Say("no JSON".to_owned())] {
        let decided = fate.clone();
        proxy.decide(move |_| decided.clone());
        for path in ["/ddl_cluster_scaler/cluster/rayclusters/ray-apiless", "/raycluster/list"] {
            let answer = api.get("ada", path);
            mended(&answer, &raw, &|it| {
                refuses(it, 503, "upstream_unavailable") && !it.body.contains("proxy")
            });
        }
    }
    assert!(api.log().contains("said by the proxy"), "the log says what the answer does not");
    proxy.decide(|_| Fate::Pass);
    assert_eq!(api.get("ada", "/raycluster/ray-apiless").status, 200);
}

#[test]
fn d35_readiness_follows_the_api_server_and_health_does_not() {
    let (proxy, api) = WORLD.proxied(&[]);
    proxy.decide(|_| Fate::Answer(500));
    let ready = old::json(200, &json!({"status": "ready"}));
    let answer = wait_until(Duration::from_secs(20), "not ready", || {
        let answer = api.call("GET", "/readyz", &[], "");
        (answer.status == 503).then_some(answer)
    });
    mended(&answer, &ready, &|it| it.status == 503 && it.json()["status"] == "not_ready");
    assert_eq!(api.call("GET", "/healthz", &[], "").status, 200);
}

#[test]
fn reads_that_hang_are_few_at_one_time_and_hold_up_no_change() {
    let (proxy, api) = WORLD.proxied(&["--rate", "0", "--request-deadline", "60s"]);
    WORLD.cluster("ray-crowd", ADA);
    let reads = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&reads);
    proxy.decide(move |call| {
        // The readiness probe waits for nobody's turn.
        let hangs = call.path.ends_with("/rayclusters") && !call.query.contains("limit=1");
        counted.fetch_add(usize::from(hangs), Ordering::Relaxed);
        if hangs { Fate::After(Duration::from_secs(12)) } else { Fate::Pass }
    });
    let crowd = api.read_together("ada", "/raycluster/list?limit=2", 64);
    wait_until(SOON, "a crowd", || (reads.load(Ordering::Relaxed) >= 32).then_some(()));
    assert_eq!(counts(&api.scale("ada", "ray-crowd", 5).ok()), (5, 5, 6));
    let at_once = reads.load(Ordering::Relaxed);
    assert_eq!(at_once, 32, "the others wait for their turn, and none has ended yet");
    let statuses = RUNTIME.block_on(crowd).expect("the calls end");
    // Whose turn came too late is told so.
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200), "{statuses:?}");
}

#[test]
fn a_write_whose_answer_was_lost_is_not_made_twice() {
    let (proxy, api) = WORLD.proxied(&[]);
    WORLD.cluster("ray-lost", ADA);
    proxy.decide(|call| if call.method == "PATCH" { Fate::CutAfter } else { Fate::Pass });
    let answer = api.scale("ada", "ray-lost", 5);
    assert!(refuses(&answer, 503, "upstream_unavailable"), "{answer:?}");
    assert_eq!(WORLD.counts("ray-lost"), (5, 5, 6));
    let line = wait_until(SOON, "the line", || api.lines("audit").pop());
    assert_eq!((&line["outcome"], &line["to"]), (&json!("unknown"), &json!("5 [5..6]")));
    proxy.decide(|_| Fate::Pass);
    assert_eq!(counts(&api.scale("ada", "ray-lost", 5).ok()), (5, 5, 6));
    let kept =
        api.call("POST", "/raycluster/restore", &[key_of("ada")], r#"{"cluster_name":"ray-lost"}"#);
    assert_eq!(counts(&kept.ok()), (5, 1, 10));
}
