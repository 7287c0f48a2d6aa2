//! Lists and single clusters.

use serde_json::{Value, json};

use super::identity::{ADA, EVE};
use super::old::{self, mended};
use super::operator::nodes;
use super::support::head::Head;
use super::support::wait::wait_until;
use super::world::{SOON, WORLD, manifest};

fn names(list: &Value, key: &str) -> Vec<String> {
    let clusters = list[key].as_array().expect("a list");
    clusters.iter().map(|it| it["metadata"]["name"].as_str().unwrap_or("").to_owned()).collect()
}

#[test]
fn d17_a_list_holds_the_callers_own_clusters_and_an_admins_holds_all() {
    WORLD.cluster("ray-mine", ADA);
    WORLD.cluster("ray-yours", EVE);
    let mut unlabelled = manifest("ray-unlabelled", ADA);
    unlabelled["metadata"].as_object_mut().expect("metadata").remove("labels");
    WORLD.create("rayclusters", &unlabelled);
    for (path, key) in
        [("/raycluster/list", "ray_clusters"), ("/ddl_cluster_scaler/list/rayclusters", "clusters")]
    {
        // One cluster without labels broke the list for everybody.
        let list = WORLD.api.get("ada", path);
        mended(&list, &old::text(500, "Failed to list: 'labels'"), &|it| it.status == 200);
        let mine = names(&list.json(), key);
        assert!(mine.contains(&"ray-mine".to_owned()), "{mine:?}");
        assert!(!mine.iter().any(|it| it == "ray-yours" || it == "ray-unlabelled"), "{mine:?}");
        let all = names(&WORLD.api.get("root", path).ok(), key);
        for name in ["ray-mine", "ray-yours", "ray-unlabelled"] {
            assert!(all.iter().any(|it| it == name), "{all:?}");
        }
    }
    let counted = WORLD.api.get("root", "/ddl_cluster_scaler/list/rayclusters").ok();
    assert_eq!(counted["kind"], "rayclusters");
    assert_eq!(counted["count"].as_u64(), counted["clusters"].as_array().map(|it| it.len() as u64));
    assert_eq!(counted["clusters"][0]["kind"], "RayCluster");
}

#[test]
fn d35_a_long_list_comes_in_pages() {
    for number in 0..5 {
        WORLD.cluster(&format!("page-{number}"), EVE);
    }
    let all = names(&WORLD.api.get("eve", "/raycluster/list").ok(), "ray_clusters");
    let first = WORLD.api.get("eve", "/raycluster/list?limit=2");
    let whole = old::json(200, &json!({"ray_clusters": all}));
    mended(&first, &whole, &|it| {
        let page = it.json();
        page["ray_clusters"].as_array().is_some_and(|it| it.len() <= 2)
            && page["continue"].is_string()
    });
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let from = if next.is_empty() { String::new() } else { format!("&continue={next}") };
        let path = format!("/raycluster/list?limit=2{from}");
        let page = WORLD.api.get("eve", &path).ok();
        paged.extend(names(&page, "ray_clusters"));
        page["continue"].as_str().expect("a token").clone_into(&mut next);
        if next.is_empty() {
            break;
        }
    }
    // Other tests make clusters meanwhile.
    for name in all.iter().filter(|name| name.starts_with("page-")) {
        assert!(paged.contains(name), "{paged:?}");
    }
    let forged = WORLD.api.get("eve", "/raycluster/list?limit=2&continue=forged");
    assert_eq!(forged.status, 400, "{forged:?}");
}

/// Nothing of today's service tells whether workers have joined Ray.
#[test]
fn d38_reads_and_scales_say_how_many_workers_have_joined_and_which_have_not() {
    let object = WORLD.cluster("ray-joined", ADA);
    let whole = WORLD.api.get("ada", "/raycluster/ray-joined");
    assert_eq!(whole.ok()["workers"]["unknown"], "no head Pod runs");
    // The dashboards of Domino's heads are at Ray's usual port.
    let head = Head::at("127.9.8.1:8265");
    nodes(&object, "head", 1);
    nodes(&object, "worker", 5);
    place("ray-joined-ray-head-0", "127.9.8.1");
    for ordinal in 0..5 {
        place(&format!("ray-joined-ray-worker-{ordinal}"), &format!("127.9.8.1{ordinal}"));
    }
    let scaled = || WORLD.api.scale("ada", "ray-joined", 5).ok()["workers"].clone();
    let none =
        wait_until(SOON, "the head is asked", || Some(scaled()).filter(|it| it["joined"] == 0));
    assert_eq!((&none["desired"], &none["ready"]), (&json!(5), &json!(5)), "{none}");
    for ordinal in 0..3 {
        head.joins(&format!("127.9.8.1{ordinal}"));
    }
    let three = wait_until(SOON, "three have joined", || {
        let shown = WORLD.api.get("ada", "/ddl_cluster_scaler/cluster/rayclusters/ray-joined").ok();
        Some(shown["workers"].clone()).filter(|it| it["joined"] == 3)
    });
    let missing = ["ray-joined-ray-worker-3", "ray-joined-ray-worker-4"];
    assert_eq!(three["notJoined"], json!(missing), "{three}");
    for ordinal in 3..5 {
        head.joins(&format!("127.9.8.1{ordinal}"));
    }
    wait_until(SOON, "all have joined", || Some(scaled()).filter(|it| it["allJoined"] == true));
    let later = WORLD.api.patch("ada", "ray-joined", &json!({"replicas": 5})).ok();
    assert_eq!(later["object"]["workers"]["joined"], 5, "{later}");
}

fn place(pod: &str, ip: &str) {
    let status = json!({"status": {"podIP": ip, "podIPs": [{"ip": ip}]}});
    WORLD.merge("pods", pod, "/status", &status);
}

#[test]
fn d10_a_cluster_is_shown_as_stored_but_for_its_keytab() {
    let mut object = manifest("ray-keytab", ADA);
    object["spec"]["kerberosKeytab"] = json!({"contents": "aHVudGVyMg==", "mountPath": "/k"});
    object["spec"]["envVars"] = json!([{"name": "TOKEN", "value": "visible"}]);
    let applied = object.to_string();
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
    let stored = WORLD.create("rayclusters", &object);
    let exposed = old::json(200, &stored);
    for path in ["/raycluster/ray-keytab", "/ddl_cluster_scaler/cluster/rayclusters/ray-keytab"] {
        let shown = WORLD.api.get("ada", path);
        mended(&shown, &exposed, &|it| it.status == 200 && !it.body.contains("aHVudGVyMg"));
        let shown = shown.json();
        assert_eq!(shown["spec"]["kerberosKeytab"]["mountPath"], "/k");
        assert_eq!(shown["spec"]["envVars"], stored["spec"]["envVars"]);
        assert_eq!(shown["metadata"]["uid"], stored["metadata"]["uid"]);
    }
    let list = WORLD.api.get("root", "/raycluster/list");
    assert!(!list.body.contains("aHVudGVyMg"));
    let scaled = WORLD.api.patch("ada", "ray-keytab", &json!({"replicas": 2}));
    assert!(!scaled.body.contains("aHVudGVyMg"));
    let (_proxy, api) = WORLD.proxied(&["--hide-variables"]);
    let hidden = api.get("ada", "/raycluster/ray-keytab");
    assert!(!hidden.body.contains("visible"), "{}", hidden.body);
    let kept = WORLD.find("rayclusters", "ray-keytab").expect("a cluster");
    assert_eq!(kept["spec"]["kerberosKeytab"]["contents"], "aHVudGVyMg==");
}
