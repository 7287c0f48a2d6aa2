//! Any bytes as the body of a webhook call: no panic, the patch applies, a second pass is empty.
#![no_main]

use libfuzzer_sys::fuzz_target;
use raywarden::admission::{Phase, PolicySet, Review, Settings, review, wire};
use raywarden::model::{NodeManager, Op};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let Ok(mut request) = Review::parse(body) else { return };
    for manager in [NodeManager::Raywarden, NodeManager::KubeRay] {
        let settings = Settings { node_manager: Some(manager), ..Settings::default() };
        let ask = |request: &Review| review(&settings, &PolicySet::default(), Phase::Offline, request);
        let first = ask(&request);
        let _ = wire::response(&request.uid, &first);
        if first.patch.is_empty() {
            continue;
        }
        let ops: Vec<Value> = first.patch.iter().map(Op::to_json).collect();
        let patch: json_patch::Patch = serde_json::from_value(Value::Array(ops)).expect("RFC 6902");
        let mut object = request.object.clone().expect("a patch has an object");
        json_patch::patch(&mut object, &patch).expect("the patch applies");
        let before = request.object.replace(object);
        let second = ask(&request);
        assert!(second.patch.is_empty(), "second pass: {:?}", second.patch);
        assert_eq!(first.allowed, second.allowed);
        request.object = before;
    }
});
