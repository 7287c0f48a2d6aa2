//! A `raywarden serve` of a test's own, ended by its id when the test ends.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::files::{Ca, Volume};

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) address: SocketAddr,
    pub(crate) ca: Ca,
    pub(crate) volume: Volume,
}

/// A command that inherits no setting from whoever runs the tests.
pub(crate) fn raywarden(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raywarden"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RAYWARDEN")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs a command that ends by itself.
pub(crate) fn run(args: &[&str]) -> (Option<i32>, String) {
    let child = raywarden(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).unwrap())
}

impl Server {
    pub(crate) fn start(args: &[&str]) -> Self {
        let ca = Ca::new();
        let volume = Volume::new(&ca.leaf());
        Self::start_with(ca, volume, args)
    }

    pub(crate) fn start_with(ca: Ca, volume: Volume, args: &[&str]) -> Self {
        let mut child = raywarden(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(volume.args())
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    log.lock().unwrap().push(line);
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, log, address, ca, volume };
        let line = server.wait_for("serving", |_| true);
        server.address = line["address"].as_str().unwrap().parse().unwrap();
        server
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }

    /// The first log line with that message that fits.
    pub(crate) fn wait_for(&self, message: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(line) = self.lines().find(|line| line["message"] == message && fits(line)) {
                return line;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no `{message}` in the log:\n{}", self.log.lock().unwrap().join("\n"));
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = Value> + use<> {
        let lines = self.log.lock().unwrap().clone();
        lines.into_iter().map(|line| {
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a JSON log line: {line}"))
        })
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not end:\n{}", self.log.lock().unwrap().join("\n"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
