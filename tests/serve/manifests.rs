use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::files::{Ca, Dir};
use crate::server::run;

fn documents(text: &str) -> Vec<Value> {
    text.split("---\n").map(|part| serde_saphyr::from_str(part).unwrap()).collect()
}

/// `deploy/webhook` is what the command writes. `UPDATE_GOLDEN=1` rewrites it.
#[test]
fn the_committed_manifests_are_what_the_command_writes() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/webhook");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let (code, said) = run(&["generate", "manifests", "--out", deploy.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
    }
    let dir = Dir::new();
    let (code, said) = run(&["generate", "manifests", "--out", &dir.text("out")]);
    assert_eq!(code, Some(0), "{said}");
    for name in ["mutating-webhook.yaml", "validating-webhook.yaml"] {
        let written = std::fs::read_to_string(dir.path("out").join(name)).unwrap();
        let committed = std::fs::read_to_string(deploy.join(name)).unwrap();
        assert!(
            written == committed,
            "deploy/webhook/{name} is stale: run the tests with UPDATE_GOLDEN=1"
        );
    }
}

#[test]
fn without_a_directory_both_are_printed_for_kubectl() {
    let (code, text) = run(&["generate", "manifests", "--strict-registration"]);
    assert_eq!(code, Some(0));
    let documents: Vec<Value> =
        text.split("---\n").map(|part| serde_saphyr::from_str(part).unwrap()).collect();
    assert_eq!(documents[0]["kind"], "MutatingWebhookConfiguration");
    assert_eq!(documents[1]["kind"], "ValidatingWebhookConfiguration");
    assert_eq!(documents[1]["webhooks"][0]["failurePolicy"], "Fail");
}

#[test]
fn a_url_and_a_bundle_make_a_registration_for_a_server_on_this_machine() {
    let dir = Dir::new();
    std::fs::write(dir.path("ca.crt"), Ca::new().pem()).unwrap();
    let ca = dir.text("ca.crt");
    let url = ["generate", "manifests", "--url", "https://127.0.0.1:9443", "--ca-file"];
    let (code, text) = run(&[&url[..], &[&ca]].concat());
    assert_eq!(code, Some(0), "{text}");
    let bundle = STANDARD.encode(std::fs::read(dir.path("ca.crt")).unwrap());
    for (document, path) in documents(&text).iter().zip(["mutate", "validate"]) {
        for webhook in document["webhooks"].as_array().unwrap() {
            let url = format!("https://127.0.0.1:9443/{path}");
            assert_eq!(webhook["clientConfig"], json!({"url": url, "caBundle": bundle}));
        }
    }

    std::fs::write(dir.path("ca.crt"), "nothing").unwrap();
    let (code, text) = run(&[&url[..], &[&ca]].concat());
    assert_eq!(code, Some(2));
    assert!(text.contains("ca.crt holds no certificate"), "{text}");
    for bad in ["http://x:1", "https://x:1/mutate", "x"] {
        let (code, text) = run(&["generate", "manifests", "--url", bad]);
        assert_eq!(code, Some(2));
        assert!(text.contains("expected https://HOST:PORT without a path"), "{text}");
    }
}
