//! Programs run to their end, within a deadline.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::wait::wait_until;

/// How long a pipe may stay open after its program has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a finished program left.
#[derive(Debug)]
pub(crate) struct Ran {
    command: String,
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Ran {
    /// The standard output of a program that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.status.success(), "failed: {}", self.report());
        self.stdout
    }

    /// The standard error of a program that must have failed.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert!(!self.status.success(), "did not fail: {}", self.report());
        self.stderr
    }

    /// Everything there is to know, for a failing test.
    pub(crate) fn report(&self) -> String {
        let Self { command, status, stdout, stderr } = self;
        format!("{command}\n{status}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// Runs `command` with `stdin` to its end.
///
/// # Panics
/// When it cannot be started, or still runs after `deadline`.
#[track_caller]
pub(crate) fn run(mut command: Command, stdin: &str, deadline: Duration) -> Ran {
    let shown = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let stdout = Captured::from(child.stdout.take());
    let stderr = Captured::from(child.stderr.take());
    // From a thread: a program that answers before it has read everything must not block us.
    let feeder = child.stdin.take().map(|mut pipe| {
        let text = stdin.to_owned();
        // A program may end without reading all of it; its status tells how that went.
        thread::spawn(move || drop(pipe.write_all(text.as_bytes())))
    });
    let status = wait_or_kill(&mut child, deadline)
        .unwrap_or_else(|| panic!("{shown}: still running after {deadline:?}\n{}", stderr.text()));
    drop(feeder);
    let (stdout, stderr) = (stdout.rest(), stderr.rest());
    Ran { command: shown, status, stdout, stderr }
}

/// The status of a child that ends by itself in time; another is killed.
pub(crate) fn wait_or_kill(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let mut ended = || child.try_wait().ok().flatten();
    if let Some(status) = super::wait::wait_for(deadline, &mut ended) {
        return Some(status);
    }
    drop(child.kill());
    drop(child.wait());
    None
}

/// A stream of a child, read as it comes so that the child never blocks on a full pipe.
#[derive(Debug)]
pub(crate) struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    /// Starts reading; a stream that is not there gives nothing.
    pub(crate) fn from<R: Read + Send + 'static>(stream: Option<R>) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Arc::clone(&bytes);
        let reader = stream.map(|stream| thread::spawn(move || copy(stream, &sink)));
        Self { bytes, reader }
    }

    /// What has come so far.
    pub(crate) fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything, once the program has ended.
    fn rest(self) -> String {
        wait_until(LAST_WORDS, "the end of the output", || {
            self.reader.as_ref().is_none_or(JoinHandle::is_finished).then_some(())
        });
        self.text()
    }
}

fn copy(mut stream: impl Read, sink: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let news = buffer.get(..count).unwrap_or_default();
        sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(news);
    }
}
