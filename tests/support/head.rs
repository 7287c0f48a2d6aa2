//! A head Pod that says which nodes have joined, as its dashboard does.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

/// A head whose dashboard answers on loopback for as long as the test process lives.
pub(crate) struct Head {
    pub(crate) port: u16,
    joined: Arc<Mutex<BTreeSet<String>>>,
}

impl Head {
    /// On any port of the usual address.
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    /// At this address of loopback.
    pub(crate) fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let joined = Arc::new(Mutex::new(BTreeSet::new()));
        let said = Arc::clone(&joined);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                for line in lines {
                    if line.is_empty() {
                        break;
                    }
                }
                let nodes = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let body = answer(&first, &nodes).to_string();
                drop(write!(
                    &stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                ));
            }
        });
        Self { port, joined }
    }

    /// The node at this address has joined.
    pub(crate) fn joins(&self, ip: &str) {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).insert(ip.to_owned());
    }
}

fn answer(request: &str, joined: &BTreeSet<String>) -> Value {
    if !request.contains("/api/v0/nodes") {
        return json!({"result": true, "data": {"summary": []}});
    }
    let node = |ip: &String| {
        json!({"node_id": ip, "node_ip": ip, "is_head_node": false, "state": "ALIVE",
               "state_message": null, "labels": {}})
    };
    let nodes: Vec<Value> = joined.iter().map(node).collect();
    json!({"result": true, "data": {"result": {"result": nodes, "total": nodes.len()}}})
}
