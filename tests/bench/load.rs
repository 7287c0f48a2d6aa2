//! Load for `tests/bench/api.py`: calls over HTTP, and what became of each.
//!
//! Role: to send faster than Python can beside the server, and to know nothing of what is sent. Input: a
//! plan as JSON on standard input, an address and streams of requests. A stream either sends so many a
//! second for so long, whether or not answers come, and counts time from when a call was meant to go; or
//! it sends each of its requests once over so many connections. Output: a line of JSON for each call.
//! Invariants: every call ends, at [`PATIENCE`] at the latest; none is sent twice.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program of the bench: what it cannot do it says by ending"
)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout};

/// What Domino's clients allow an answer.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
struct Plan {
    to: SocketAddr,
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    name: String,
    pace: Pace,
    requests: Vec<Call>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Pace {
    /// Open loop: the requests again and again.
    PerSecond { calls: u32, seconds: u32 },
    /// Closed loop: each request once; the n-th of every `connections` goes over the same one.
    AtOnce { connections: usize },
}

#[derive(Deserialize)]
struct Call {
    method: String,
    path: String,
    headers: HashMap<String, String>,
    #[serde(default)]
    body: String,
    /// The address that it comes from: callers have addresses of their own.
    from: IpAddr,
    /// JSON pointers to what of the answer is told.
    #[serde(default)]
    tell: Vec<String>,
}

type Sender = SendRequest<Full<Bytes>>;

/// Connections at rest, by the address that they come from.
struct Pool {
    to: SocketAddr,
    idle: Mutex<HashMap<IpAddr, Vec<Sender>>>,
}

impl Pool {
    /// A connection that takes a request now.
    async fn take(&self, from: IpAddr) -> Result<Sender, String> {
        loop {
            let idle = self.lock().get_mut(&from).and_then(Vec::pop);
            let Some(mut sender) = idle else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
        socket.bind((from, 0).into()).map_err(|error| error.to_string())?;
        let stream = socket.connect(self.to).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let made = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| error.to_string())?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn put(&self, from: IpAddr, sender: Sender) {
        self.lock().entry(from).or_default().push(sender);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Vec<Sender>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(&self, call: &Call) -> Result<(u16, Bytes), String> {
        let mut sender = self.take(call.from).await?;
        let mut request = Request::builder().method(call.method.as_str()).uri(&call.path);
        request = request.header("Host", self.to.to_string());
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::copy_from_slice(call.body.as_bytes()));
        let request = request.body(body).map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        self.put(call.from, sender);
        Ok((status, body.to_bytes()))
    }

    /// The line of one call that was meant to go at `due`.
    async fn call(&self, stream: &str, call: &Call, due: Instant) -> String {
        let late = due.elapsed();
        let answered = timeout(PATIENCE, self.exchange(call)).await;
        let took = due.elapsed();
        let answered = answered.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let (status, said) = match &answered {
            Ok((status, body)) => (*status, told(body, &call.tell)),
            Err(reason) => (0, json!(reason)),
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        json!({
            "stream": stream, "status": status, "micros": micros(took), "late": micros(late),
            "path": call.path, "body": call.body, "said": said,
        })
        .to_string()
    }
}

/// What stands at the pointers; the whole answer's beginning where it is no JSON.
fn told(body: &[u8], tell: &[String]) -> Value {
    if tell.is_empty() {
        return Value::Null;
    }
    let Ok(said) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).chars().take(200).collect::<String>().into();
    };
    tell.iter().map(|at| said.pointer(at).cloned().unwrap_or_default()).collect()
}

async fn paced(pool: Arc<Pool>, stream: Stream, begin: Instant, lines: UnboundedSender<String>) {
    let Stream { name, pace, requests } = stream;
    let Pace::PerSecond { calls, seconds } = pace else { return };
    let (name, requests) = (Arc::new(name), Arc::new(requests));
    for number in 0..calls.saturating_mul(seconds) {
        let due = begin + Duration::from_secs_f64(f64::from(number) / f64::from(calls));
        sleep_until(due).await;
        let (pool, lines) = (Arc::clone(&pool), lines.clone());
        let (name, requests) = (Arc::clone(&name), Arc::clone(&requests));
        tokio::spawn(async move {
            let Some(call) = requests.get(number as usize % requests.len().max(1)) else { return };
            // The receiver stays until the last of us has ended.
            drop(lines.send(pool.call(&name, call, due).await));
        });
    }
}

fn at_once(pool: &Arc<Pool>, stream: Stream, connections: usize, lines: &UnboundedSender<String>) {
    let stream = Arc::new(stream);
    for first in 0..connections {
        let (pool, stream, lines) = (Arc::clone(pool), Arc::clone(&stream), lines.clone());
        tokio::spawn(async move {
            for call in stream.requests.iter().skip(first).step_by(connections.max(1)) {
                drop(lines.send(pool.call(&stream.name, call, Instant::now()).await));
            }
        });
    }
}

#[tokio::main]
async fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("a plan on standard input");
    let plan: Plan = serde_json::from_str(&text).expect("a plan");
    let pool = Arc::new(Pool { to: plan.to, idle: Mutex::default() });
    let (lines, mut told) = unbounded_channel();
    let begin = Instant::now() + Duration::from_millis(200);
    for stream in plan.streams {
        match stream.pace {
            Pace::PerSecond { .. } => {
                tokio::spawn(paced(Arc::clone(&pool), stream, begin, lines.clone()));
            }
            Pace::AtOnce { connections } => at_once(&pool, stream, connections, &lines),
        }
    }
    drop(lines);
    let mut out = String::new();
    while let Some(line) = told.recv().await {
        writeln!(out, "{line}").expect("memory");
    }
    std::io::stdout().write_all(out.as_bytes()).expect("standard output");
}
