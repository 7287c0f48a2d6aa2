//! The OpenAPI document.

use std::path::Path;

use super::support::golden::compare;
use super::world::WORLD;

#[test]
fn the_document_is_what_was_agreed_on() {
    let served = WORLD.api.raw("GET", "/openapi.json", &[], "");
    compare("tests/golden/openapi.json", &served.body);
    assert_eq!(served.json()["openapi"], "3.1.0");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = WORLD.api.raw("GET", "/openapi.json", &[], "").json();
    let text = document.to_string();
    let mut count = 0;
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap_or("");
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        count += 1;
    }
    assert!(count > 10, "{count} references");
}

#[test]
fn the_deployed_role_holds_exactly_the_rights_that_are_needed() {
    let role = WORLD.plane.get_json(&["clusterrole", "raywarden-api"]);
    let needed: Vec<serde_json::Value> = raywarden::http::native::NEEDED
        .iter()
        .map(|(group, resource, verbs)| {
            serde_json::json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        })
        .collect();
    assert_eq!(role["rules"], serde_json::json!(needed));
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/api/kustomization.yaml").exists());
}
