//! Servers that run beside a test and end with it, however it ends.

use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::run::{Captured, wait_or_kill};
use super::wait::wait_for;

/// How long a server may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// Outlives us: its standard input ends when the test process does, even by SIGKILL. A line before
/// that says that the server is gone already. Ctrl-C reaches the whole group, hence the trap.
const WARDEN: &str = r#"
trap '' INT TERM HUP
read -r line && exit 0
kill -TERM "$0" || exit 0
for tenth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    kill -0 "$0" || exit 0
    sleep 0.1
done
kill -KILL "$0"
"#;

/// A running server; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Process {
    shown: String,
    child: Child,
    warden: Child,
    stdout: Captured,
    stderr: Captured,
}

impl Process {
    /// Starts `command` with an empty standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let shown = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        let warden = Command::new("sh")
            .args(["-c", WARDEN, &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("every machine has a shell");
        let stdout = Captured::from(child.stdout.take());
        let stderr = Captured::from(child.stderr.take());
        Self { shown, child, warden, stdout, stderr }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until `text` shows up in either stream.
    ///
    /// # Panics
    /// When the server ends first, or `deadline` passes.
    #[track_caller]
    pub(crate) fn wait_for_output(&mut self, text: &str, deadline: Duration) {
        let seen = wait_for(deadline, || {
            // Before looking: what it said last is still in the pipe when it has ended.
            let running = self.is_running();
            let seen = self.stdout().contains(text) || self.stderr().contains(text);
            (seen || !running).then_some(seen)
        });
        assert!(seen == Some(true), "{text:?} was not seen: {}", self.report());
    }

    /// Sends it a signal by name, such as `TERM`.
    ///
    /// # Panics
    /// When there is no such signal.
    #[track_caller]
    pub(crate) fn signal(&mut self, name: &str) {
        // A child we have waited for has given its number back.
        if self.is_running() {
            signal(self.id(), name);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it still runs after `deadline`; it is killed then.
    #[track_caller]
    pub(crate) fn wait(&mut self, deadline: Duration) -> ExitStatus {
        wait_or_kill(&mut self.child, deadline)
            .unwrap_or_else(|| panic!("still running after {deadline:?}: {}", self.report()))
    }

    /// Everything there is to know, for a failing test.
    pub(crate) fn report(&self) -> String {
        let (stdout, stderr) = (self.stdout(), self.stderr());
        format!("{}\n-- stdout\n{stdout}\n-- stderr\n{stderr}", self.shown)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("TERM");
        wait_or_kill(&mut self.child, GRACE);
        if let Some(mut pipe) = self.warden.stdin.take() {
            // A warden that somebody killed has nothing left to be told.
            drop(pipe.write_all(b"gone\n"));
        }
        wait_or_kill(&mut self.warden, GRACE);
    }
}

/// Sends a signal by name to a process by id.
///
/// # Panics
/// When there is no such signal.
#[track_caller]
pub(crate) fn signal(id: u32, name: &str) {
    // The shell's own `kill`: the program of that name is not on every machine.
    let status = Command::new("sh")
        .args(["-c", r#"kill -s "$1" "$0""#, &id.to_string(), name])
        .status()
        .expect("every machine has a shell");
    assert!(status.success(), "signal {name} could not be sent to process {id}");
}

/// The processes that this one started and has not waited for.
pub(crate) fn children(id: u32) -> Vec<u32> {
    let file = format!("/proc/{id}/task/{id}/children");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}
