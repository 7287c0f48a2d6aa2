use serde_json::json;

use super::*;

#[test]
fn a_missing_parent_comes_with_its_member_in_one_operation() {
    let object = json!({"spec": {"options": null}});
    let mut draft = Draft::new(&object);
    draft.set(&Pointer::of(["spec", "options", "resources", "cpu"]), json!("1"));
    draft.set(&Pointer::of(["spec", "options", "image"]), json!("x"));
    let ops: Vec<Value> = draft.ops().iter().map(Op::to_json).collect();
    assert_eq!(
        ops,
        [json!({"op": "replace", "path": "/spec/options",
            "value": {"resources": {"cpu": "1"}, "image": "x"}})]
    );
}

#[test]
fn what_stands_already_leaves_no_operation() {
    let object = json!({"a": 1});
    let mut draft = Draft::new(&object);
    draft.set(&Pointer::of(["a"]), json!(1));
    draft.remove(&Pointer::of(["b"]));
    draft.append(&Pointer::of(["a"]), json!(2));
    assert_eq!(draft.ops(), []);
    assert_eq!(*draft.value(), object);
}

#[test]
fn a_change_inside_a_fresh_element_is_folded_into_it() {
    let object = json!({"list": [1]});
    let mut draft = Draft::new(&object);
    let list = Pointer::of(["list"]);
    draft.append(&list, json!({"name": "a"}));
    draft.set(&Pointer::of(["other"]), json!(true));
    draft.set(&list.at(1).at("image"), json!("x"));
    let ops: Vec<Value> = draft.ops().iter().map(Op::to_json).collect();
    assert_eq!(
        ops,
        [
            json!({"op": "add", "path": "/list/-", "value": {"name": "a", "image": "x"}}),
            json!({"op": "add", "path": "/other", "value": true}),
        ]
    );
}

#[test]
fn two_elements_at_one_index_are_two_operations() {
    let object = json!({"list": [0]});
    let mut draft = Draft::new(&object);
    let list = Pointer::of(["list"]);
    draft.insert(&list, 0, json!("a"));
    draft.insert(&list, 0, json!("b"));
    assert_eq!(draft.ops().len(), 2);
    assert_eq!(*draft.value(), json!({"list": ["b", "a", 0]}));
}

#[test]
fn an_addition_that_is_taken_out_again_leaves_nothing() {
    let object = json!({});
    let mut draft = Draft::new(&object);
    draft.set(&Pointer::of(["a"]), json!(1));
    draft.remove(&Pointer::of(["a"]));
    assert_eq!(draft.ops(), []);
    assert_eq!(*draft.value(), object);
}

#[test]
fn a_value_that_comes_back_leaves_nothing() {
    let object = json!({"a": 1, "b": {"c": 2}});
    let mut draft = Draft::new(&object);
    draft.set(&Pointer::of(["a"]), json!(5));
    draft.set(&Pointer::of(["b", "c"]), json!(7));
    draft.set(&Pointer::of(["a"]), json!(1));
    let ops: Vec<Value> = draft.ops().iter().map(Op::to_json).collect();
    assert_eq!(ops, [json!({"op": "replace", "path": "/b/c", "value": 7})]);
}
