//! What the container that runs Ray is started with.
//!
//! Input: the node's parameters and the user's own command. Output: the plain `ray start` line, and
//! the container with a shell that hands itself over to it: a shell that stays would keep SIGTERM
//! to itself, and every Pod would take the whole grace period to end. The autoscaler beside it does
//! the same in another way.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Node;
use crate::dialect::kuberay::OVERWRITE_COMMAND;
use crate::inject::sidecar::COMMAND;
use crate::model::template::list;
use crate::plan::object::set;

/// The shell that runs generated lines.
pub(super) const SHELL: [&str; 3] = ["/bin/bash", "-c", "--"];

/// Parameters that take `true` and `false` as values; others are switches.
const VALUED: [&str; 3] = ["include-dashboard", "include-log-monitor", "log-color"];

/// The line that starts Ray on this node.
pub(super) fn ray_start(node: &Node<'_>) -> String {
    let mut line = String::from(if node.is_head { "ray start --head " } else { "ray start " });
    for (key, value) in &node.params {
        let is = |word: &str| value.eq_ignore_ascii_case(word) && !VALUED.contains(&key.as_str());
        // Writing to a string cannot fail.
        if is("true") {
            let _ = write!(line, " --{key} ");
        } else if !is("false") {
            let _ = write!(line, " --{key}={value} ");
        }
    }
    line
}

/// Has the container run the line, behind the user's own command. A user who starts Ray, or who
/// keeps the command by annotation, is left alone.
pub(super) fn run(node: &Node<'_>, line: &str, ray: &mut Value) {
    let own = ["command", "args"].iter().flat_map(|key| list(ray, key)).filter_map(Value::as_str);
    let own = own.collect::<Vec<_>>().join(" ");
    if keeps_command(node) || own.contains("ray start") {
        return;
    }
    let before = if own.is_empty() { String::new() } else { format!("{own} && ") };
    let limit = "ulimit -n ${RAY_START_ULIMIT_OPEN_FILES:-65536}";
    set(ray, "command", json!(SHELL));
    set(ray, "args", json!([format!("{before}{limit}; exec {line}")]));
}

/// Has a generated autoscaler end when it is told to. It handles no SIGTERM, and the kernel delivers
/// an unhandled one to no first process of a container: a shell that waits for it hears the signal.
pub(super) fn let_end(sidecar: &mut Value) {
    let generated = |key: &str, wanted: &[&str]| list(sidecar, key).iter().eq(wanted.iter());
    if generated("command", &SHELL) && generated("args", &[COMMAND]) {
        let line = format!("trap 'kill $!; exit 0' TERM; {COMMAND} & wait $!");
        set(sidecar, "args", json!([line]));
    }
}

/// Whether the cluster or the template keeps the user's command.
fn keeps_command(node: &Node<'_>) -> bool {
    let annotations = node.template.pointer("/metadata/annotations");
    let own = annotations.and_then(|it| it.get(OVERWRITE_COMMAND)).and_then(Value::as_str);
    let keeps = [node.plot.cluster.annotation(OVERWRITE_COMMAND), own];
    keeps.into_iter().flatten().any(|it| it.eq_ignore_ascii_case("true"))
}
