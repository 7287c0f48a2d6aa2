use super::*;

/// What a text consists of, in short words.
fn pieces(text: &str) -> Vec<String> {
    let source = Source { name: "f".to_owned(), text: text.to_owned(), named: true };
    let mut found = Vec::new();
    for share in source.shares() {
        read(&source, &share, &mut |piece| {
            found.push(match piece {
                Piece::Ray(object) => {
                    let name = object.value.pointer("/metadata/name").and_then(Value::as_str);
                    format!("{}@{}", name.unwrap_or("-"), object.line)
                }
                Piece::Review(object) => format!("review@{}", object.line),
                Piece::Policy(object) => format!("policy {}", object.line),
                Piece::Other => "other".to_owned(),
                Piece::Problem(problem) => format!("problem {}", problem.line()),
            });
        });
    }
    found
}

const CLUSTER: &str = "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: a}\n";

#[test]
fn documents_are_parted_and_know_their_lines() {
    let text =
        format!("# head\n---\n{CLUSTER}---\n\n---\nkind: Pod\napiVersion: v1\n---\n{CLUSTER}");
    assert_eq!(pieces(&text), ["a@3", "other", "a@12"]);
}

#[test]
fn lists_within_lists_are_taken_apart() {
    let item = "- {apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: b}}";
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n{item}\n- apiVersion: v1\n  kind: List\n  items:\n  {item}\n"
    );
    assert_eq!(pieces(&text), ["b@4", "b@8"]);
}

#[test]
fn the_items_of_a_typed_list_take_its_kind() {
    let text = "apiVersion: ray.io/v1\nkind: RayClusterList\nitems:\n- metadata: {name: c}\n";
    assert_eq!(pieces(text), ["c@4"]);
}

#[test]
fn json_objects_may_follow_each_other() {
    let object = r#"{"apiVersion":"ray.io/v1","kind":"RayCluster","metadata":{"name":"d"}}"#;
    assert_eq!(pieces(&format!("{object}\n\n{object}\n")), ["d@1", "d@3"]);
}

#[test]
fn a_slip_in_kind_or_group_is_no_object_of_another_kind() {
    for text in [
        CLUSTER.replace("RayCluster", "RayClustr"),
        CLUSTER.replace("ray.io", "rayy.io"),
        CLUSTER.replace("ray.io/v1", "ray.io/v3"),
        "spec: {headGroupSpec: {}}\n".to_owned(),
    ] {
        let found = pieces(&text);
        assert!(matches!(found.as_slice(), [only] if only.starts_with("problem f:1")), "{found:?}");
    }
}

#[test]
fn a_key_that_stands_twice_is_said_and_the_later_one_counts() {
    let found = pieces(&format!("{CLUSTER}metadata: {{name: e}}\n"));
    assert!(found[0].contains("`metadata` stands twice"), "{found:?}");
    assert_eq!(found[1], "e@1");
}

#[test]
fn lists_are_taken_apart_only_so_deep() {
    let mut text = String::from("{apiVersion: v1, kind: List, items: []}");
    for _ in 0..12 {
        text = format!("{{apiVersion: v1, kind: List, items: [{text}]}}");
    }
    assert!(pieces(&text)[0].contains("lists within lists"));
}
