//! Hardware tiers through the API; what becomes of each field is tested beside the code.

use serde_json::{Value, json};

use super::identity::ADA;
use super::old::{self, mended, refuses};
use super::operator;
use super::support::request::Answer;
use super::world::{WORLD, manifest};

const TIER: &str = "dominodatalab.com/hardware-tier-id";

#[test]
fn a_named_tier_is_written_with_its_limits_and_answered_by_id() {
    WORLD.cluster("ray-tiered", ADA);
    for who in ["ada", "plain-list"] {
        let body = json!({"replicas": 2, "worker_hw_tier_name": "Small"});
        let said = WORLD.api.patch(who, "ray-tiered", &body).ok();
        assert_eq!(said["worker_hw_tier_id"], "small-k8s");
        let worker = &said["object"]["spec"]["worker"];
        let size = json!({"cpu": "2", "memory": "4Gi"});
        assert_eq!(worker["resources"], json!({"requests": size, "limits": size}));
        assert_eq!(worker["labels"][TIER], "small-k8s");
        assert_eq!(worker["nodeSelector"]["dominodatalab.com/node-pool"], "default");
    }
}

#[test]
fn d24_d25_d26_no_limit_unit_or_gpu_of_an_earlier_tier_stays_behind() {
    let mut object = manifest("ray-gpu", ADA);
    object["spec"]["worker"]["resources"] = json!({"requests": {"cpu": "1", "memory": "1Gi"},
                                                    "limits": {"cpu": "1", "memory": "1Gi"}});
    WORLD.create("rayclusters", &object);
    let scale = |tier: &str| {
        WORLD.api.patch("ada", "ray-gpu", &json!({"replicas": 2, "worker_hw_tier_name": tier}))
    };
    let left = |resources: Value| {
        old::json(200, &json!({"object": {"spec": {"worker": {"resources": resources}}}}))
    };
    let resources = |it: &Answer| it.json()["object"]["spec"]["worker"]["resources"].clone();
    let gpus = json!({"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "2"});
    let loose = left(json!({"requests": gpus, "limits": {"cpu": "1", "memory": "1Gi"}}));
    mended(&scale("Gpu"), &loose, &|it| resources(it) == json!({"requests": gpus, "limits": gpus}));
    let both = json!({"cpu": "2", "memory": "4GB", "nvidia.com/gpu": "1"});
    let before = left(json!({"requests": both, "limits": both}));
    mended(&scale("Slice"), &before, &|it| {
        let wanted = json!({"cpu": "2", "memory": "3906250Ki", "nvidia.com/mig-1g.5gb": "1"});
        resources(it) == json!({"requests": wanted, "limits": wanted})
    });
}

#[test]
fn d27_a_tier_that_cannot_be_expressed_is_refused_rather_than_half_written() {
    WORLD.cluster("ray-poolless", ADA);
    let written = old::json(200, &json!({"worker_hw_tier_id": {"name": "Poolless"}}));
    for tier in ["Poolless", "Zoned"] {
        let body = json!({"replicas": 2, "worker_hw_tier_name": tier});
        let answer = WORLD.api.patch("ada", "ray-poolless", &body);
        mended(&answer, &written, &|it| refuses(it, 409, "unsupported_hw_tier"));
    }
    assert_eq!(WORLD.counts("ray-poolless"), (1, 1, 10));
}

#[test]
fn d23_the_tier_field_that_old_clients_always_fill_changes_nothing() {
    let before = WORLD.cluster("ray-untiered", ADA);
    let body = json!({"replicas": 2, "worker_hw_tier": "Small", "worker_hw_tier_id": "Small",
                      "worker_hw_tier_name": ""});
    let said = WORLD.api.patch("ada", "ray-untiered", &body).ok();
    assert!(said["worker_hw_tier_id"].is_null());
    let worker = &said["object"]["spec"]["worker"];
    assert_eq!(worker["resources"], before["spec"]["worker"]["resources"]);
    assert!(worker.get("labels").is_none());
    assert_eq!(WORLD.identity.asked("untiered"), []);
    // Where it is read, it is not dropped: the old service read it in one of three places.
    let body = json!({"replicas": 2, "worker_hw_tier": "Small", "worker_hw_tier_name": "Small"});
    let dropped = old::json(200, &json!({"effective_replicas": 2, "worker_hw_tier_id": null}));
    mended(&WORLD.api.patch("ada", "ray-untiered", &body), &dropped, &|it| {
        it.json()["worker_hw_tier_id"] == "small-k8s"
    });
}

#[test]
fn d11_a_tier_that_is_archived_or_unknown_is_refused_and_nothing_written() {
    WORLD.cluster("ray-archived", ADA);
    let accepted = old::json(200, &json!({"worker_hw_tier_id": {"name": "Old"}}));
    for name in ["Old", "small", "Nope"] {
        let body = json!({"replicas": 2, "worker_hw_tier_name": name});
        let answer = WORLD.api.patch("ada", "ray-archived", &body);
        mended(&answer, &accepted, &|it| refuses(it, 400, "invalid_hw_tier"));
    }
    let odd =
        WORLD.api.patch("ada", "ray-archived", &json!({"replicas": 2, "worker_hw_tier_name": 5}));
    assert!(refuses(&odd, 400, "bad_request"));
    assert_eq!(WORLD.counts("ray-archived"), (1, 1, 10));
}

#[test]
fn d33_a_list_of_tiers_that_cannot_be_had_is_an_outage_and_no_missing_tier() {
    WORLD.cluster("ray-listless", ADA);
    let body = json!({"replicas": 2, "worker_hw_tier_name": "Small"});
    let missing = old::json(400, &json!({"error": "invalid_hw_tier", "message": "not found"}));
    let answer = WORLD.api.patch("listless", "ray-listless", &body);
    mended(&answer, &missing, &|it| refuses(it, 503, "upstream_unavailable"));
    assert_eq!(WORLD.counts("ray-listless"), (1, 1, 10));
}

#[test]
fn tiers_are_not_asked_about_for_somebody_elses_cluster() {
    WORLD.cluster("ray-tier-foreign", ADA);
    let body = json!({"replicas": 2, "worker_hw_tier_name": "Small"});
    let answer = WORLD.api.patch("eve.tierless", "ray-tier-foreign", &body);
    assert!(refuses(&answer, 403, "unauthorized"));
    let asked = WORLD.identity.asked("eve.tierless");
    assert!(asked.iter().all(|it| it.path == "/v4/auth/principal"), "{asked:?}");
}

#[test]
fn a_head_on_another_tier_is_replaced_by_the_operator_and_not_twice() {
    WORLD.cluster("ray-head-tier", ADA);
    operator::reconcile("ray-head-tier");
    let path = "/ddl_cluster_scaler/restart_head/rayclusters/ray-head-tier";
    let answer = WORLD.api.send("ada", "PATCH", path, r#"{"head_hw_tier_name": "Medium"}"#);
    assert_eq!(answer.status, 202, "{answer:?}");
    let object = WORLD.find("rayclusters", "ray-head-tier").expect("a cluster");
    assert_eq!(object["spec"]["head"]["labels"][TIER], "medium-k8s");
    let pod = WORLD.find("pods", "ray-head-tier-ray-head-0").expect("a head");
    assert!(pod["metadata"]["deletionTimestamp"].is_null(), "a rollout replaces it");
    let status = "/ddl_cluster_scaler/restart_status/rayclusters/ray-head-tier/head";
    let said = WORLD.api.get("ada", status).ok();
    assert_eq!(said["status"], "waiting_for_operator");
    WORLD.delete("pods", "ray-head-tier-ray-head-0");
    operator::reconcile("ray-head-tier");
    assert_eq!(WORLD.api.get("ada", status).ok()["status"], "restarted_and_ready_counts_ok");
}
