//! The dashboard's JSON.
//!
//! Input: the bytes of an answer. Output: nodes, or what is wrong with it in one sentence. Pure.
//!
//! Source of the forms: Ray 2.60's `/api/v0/nodes` and `/nodes?view=summary`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Answer, Demand, RayNode};
use crate::model::template::{list, text};

/// All nodes, current; the limit is the largest that Ray takes.
pub const NODES: &str = "/api/v0/nodes?limit=10000";

/// The same nodes with the names of their Pods; lags.
pub const SUMMARY: &str = "/nodes?view=summary";

/// What the autoscaler has to say, as text.
pub const DEMAND: &str = "/api/cluster_status?format=1";

/// An answer out of nodes or the reason why there are none.
pub fn answer(nodes: Result<Vec<RayNode>, String>) -> Answer {
    match nodes {
        Ok(nodes) => Answer::Known(nodes),
        Err(why) => Answer::Unknown(why),
    }
}

/// What a status other than 200 means; `None` for 200.
pub fn refusal(status: u16, with_token: bool) -> Option<String> {
    Some(match status {
        200 => return None,
        401 | 403 if with_token => format!("the dashboard does not take this token ({status})"),
        401 | 403 => format!(
            "the dashboard asks for a token ({status}): the cluster runs with RAY_AUTH_MODE=token"
        ),
        300..=399 => format!("the dashboard sends elsewhere ({status}), which is not followed"),
        404 => "nothing there answers for nodes (404): is this Ray's dashboard, and not disabled?"
            .to_owned(),
        _ => format!("the dashboard answered {status}"),
    })
}

/// Reads the answer to [`NODES`]. A list that is not whole is no list: a node that was left out would
/// look like one that never joined.
pub fn nodes(body: &[u8]) -> Result<Vec<RayNode>, String> {
    let data = data(body)?;
    let result = data.get("result").unwrap_or(&Value::Null);
    let found = result.get("result").and_then(Value::as_array).ok_or_else(strange)?;
    let all = result.get("num_filtered").and_then(Value::as_u64);
    if all.is_some_and(|all| all > u64::try_from(found.len()).unwrap_or(u64::MAX)) {
        return Err("the dashboard listed only a part of the nodes".to_owned());
    }
    if let Some(warning) = text(result, "partial_failure_warning").filter(|it| !it.is_empty()) {
        return Err(format!("the dashboard listed only a part: {}", shortened(warning)));
    }
    Ok(found.iter().map(node).collect())
}

fn node(node: &Value) -> RayNode {
    let at = |key: &str| text(node, key).unwrap_or("").to_owned();
    let group = node.get("labels").and_then(|labels| text(labels, "ray.io/node-group"));
    RayNode {
        id: at("node_id"),
        ip: at("node_ip"),
        instance: String::new(),
        group: group.unwrap_or("").to_owned(),
        head: node.get("is_head_node") == Some(&Value::Bool(true)),
        alive: text(node, "state") == Some("ALIVE"),
        said: shortened(text(node, "state_message").unwrap_or("")),
    }
}

/// Reads the answer to [`SUMMARY`]: the Pod's name by node id.
pub fn names(body: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let data = data(body)?;
    let raylets = list(&data, "summary").iter().filter_map(|node| node.get("raylet"));
    let pair = |raylet: &Value| {
        let name = text(raylet, "instanceId").filter(|name| !name.is_empty())?;
        Some((text(raylet, "nodeId")?.to_owned(), name.to_owned()))
    };
    Ok(raylets.filter_map(pair).collect())
}

/// The nodes with the names of their Pods.
pub fn named(mut nodes: Vec<RayNode>, names: &BTreeMap<String, String>) -> Vec<RayNode> {
    for node in &mut nodes {
        node.instance = names.get(&node.id).cloned().unwrap_or_default();
    }
    nodes
}

/// Reads the answer to [`DEMAND`]. `None` where the text is not of the form that is known.
pub fn demand(body: &[u8]) -> Option<Demand> {
    let data = data(body).ok()?;
    let mut known = false;
    let mut within = None;
    let mut demand = Demand::default();
    for line in text(&data, "clusterStatus")?.lines().map(str::trim_end) {
        let entry = line.trim_start();
        match (entry.starts_with('{'), line.strip_suffix(':')) {
            (false, Some("Pending Demands")) => within = Some(true),
            (false, Some("From request_resources")) => within = Some(false),
            (false, Some(_)) => within = None,
            (false, None) => {}
            (true, _) => match within {
                Some(true) => demand.pending.push(shortened(entry)),
                Some(false) => demand.requested.push(shortened(entry)),
                None => {}
            },
        }
        known |= within == Some(true);
    }
    known.then_some(demand)
}

fn data(body: &[u8]) -> Result<Value, String> {
    let mut answer: Value = serde_json::from_slice(body).map_err(|_| strange())?;
    if answer.get("result") != Some(&Value::Bool(true)) {
        let said = text(&answer, "msg").filter(|said| !said.is_empty());
        return Err(said.map_or_else(strange, |said| {
            format!("the dashboard could not say: {}", shortened(said))
        }));
    }
    Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
}

fn strange() -> String {
    "what answered does not speak like Ray's dashboard".to_owned()
}

/// One line of bounded length: users' code can put much into Ray's messages.
fn shortened(text: &str) -> String {
    const LIMIT: usize = 200;
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(LIMIT) {
        words.truncate(end);
        words.push_str("...");
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ANSWER: &str = include_str!("../../tests/data/ray/api_v0_nodes.json");
    const LAGGING: &str = include_str!("../../tests/data/ray/nodes_view_summary.json");

    #[test]
    fn nodes_are_read_as_a_real_dashboard_lists_them() {
        let nodes = nodes(ANSWER.as_bytes()).unwrap();
        assert_eq!(nodes.len(), 5);
        assert_eq!(nodes.iter().filter(|node| node.alive).count(), 2);
        assert!(nodes[0].head && nodes[0].group == "headgroup");
        assert!(nodes[1].said.starts_with("Terminated due to idle"));
        let nodes = named(nodes, &names(LAGGING.as_bytes()).unwrap());
        assert_eq!(nodes[0].instance, "anchor-head-7psfh");
        assert_eq!(nodes[3].instance, "anchor-small-worker-vjl7b");
        assert_eq!(nodes[1].instance, "");
    }

    #[test]
    fn half_a_list_is_no_list() {
        let list = |filtered: u64, warning: &str| {
            json!({"result": true, "data": {"result": {"num_filtered": filtered, "result": [],
                "partial_failure_warning": warning}}})
            .to_string()
        };
        assert_eq!(nodes(list(0, "").as_bytes()), Ok(Vec::new()));
        assert!(nodes(list(1, "").as_bytes()).unwrap_err().contains("only a part"));
        assert!(nodes(list(0, "no GCS").as_bytes()).unwrap_err().contains("no GCS"));
    }

    #[test]
    fn what_is_not_rays_answer_is_said_to_be_none() {
        for body in
            ["", "<html>", "[]", "{}", "{\"result\": true}", "{\"result\": true, \"data\": 1}"]
        {
            assert_eq!(nodes(body.as_bytes()), Err(strange()), "{body}");
        }
        let failed = "{\"result\": false, \"msg\": \"GCS\\nis gone\"}";
        assert!(nodes(failed.as_bytes()).unwrap_err().ends_with("could not say: GCS is gone"));
    }

    #[test]
    fn demand_is_read_from_the_text_and_unknown_forms_are_not_guessed() {
        let body =
            |text: &str| json!({"result": true, "data": {"clusterStatus": text}}).to_string();
        let text = "======== Autoscaler status ====\nResources\n-----\nTotal Usage:\n 0.0/2.0 CPU\n\n\
                    From request_resources:\n {'CPU': 1.0}: 4 from request_resources()\n\
                    Pending Demands:\n {'GPU': 1.0}: 5+ pending tasks/actors\n";
        let read = demand(body(text).as_bytes()).unwrap();
        assert_eq!(read.requested, ["{'CPU': 1.0}: 4 from request_resources()"]);
        assert_eq!(read.pending, ["{'GPU': 1.0}: 5+ pending tasks/actors"]);
        let none = "From request_resources:\n (none)\nPending Demands:\n (no resource demands)\n";
        assert_eq!(demand(body(none).as_bytes()), Some(Demand::default()));
        assert_eq!(demand(body("hello").as_bytes()), None);
        assert_eq!(demand(b"{\"result\": true, \"data\": {\"clusterStatus\": null}}"), None);
    }

    #[test]
    fn a_refusal_says_what_the_dashboard_wants() {
        assert_eq!(refusal(200, false), None);
        assert!(refusal(401, false).unwrap().contains("asks for a token"));
        assert!(refusal(403, true).unwrap().contains("does not take this token"));
        assert!(refusal(302, false).unwrap().contains("not followed"));
        assert!(refusal(500, false).unwrap().contains("500"));
    }
}
