//! The real `raywarden controller`, with every signal in the test's hands.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::account::HOME;
use super::process::Process;
use super::wait::{free_port, wait_until};
use super::webhook::raywarden;

const SOON: Duration = Duration::from_mins(1);

/// A controller that runs for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Controller {
    process: Process,
    port: u16,
}

/// A name for a Lease that no other controller of this test process stands for.
pub(crate) fn new_lease() -> String {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    format!("lease-{}", GIVEN.fetch_add(1, Ordering::Relaxed))
}

impl Controller {
    /// Starts one that makes nodes in `namespace` and nowhere else, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(kubeconfig: &Path, namespace: &str, flags: &[&str]) -> Self {
        let mut controller = Self::launch(kubeconfig, namespace, flags);
        controller.wait_ready();
        controller
    }

    /// The same without a wait.
    #[track_caller]
    pub(crate) fn launch(kubeconfig: &Path, namespace: &str, flags: &[&str]) -> Self {
        let alone = format!("{namespace}=raywarden");
        let only = ["--node-manager", "kuberay", "--node-manager-for", &alone];
        Self::begin(kubeconfig, namespace, &[&only, flags].concat())
    }

    /// Starts one with exactly these flags, a Lease of its own unless they name one, and waits for
    /// nothing.
    #[track_caller]
    pub(crate) fn begin(kubeconfig: &Path, lease_namespace: &str, flags: &[&str]) -> Self {
        let port = free_port();
        let mut command: Command = raywarden();
        command.args(["controller", "--lease-namespace", lease_namespace]);
        command.args(["--ops-listen", &format!("127.0.0.1:{port}")]);
        command.arg("--kubeconfig").arg(kubeconfig).args(flags);
        if !flags.contains(&"--lease-name") {
            command.args(["--lease-name", &new_lease()]);
        }
        if !flags.contains(&"--lease-duration") {
            command.args(["--lease-duration", "6s"]);
        }
        command.env_remove("KUBERNETES_SERVICE_HOST");
        Self { process: Process::start(command), port }
    }

    /// Starts one that makes nodes everywhere.
    #[track_caller]
    pub(crate) fn everywhere(kubeconfig: &Path, flags: &[&str]) -> Self {
        let all = ["--node-manager", "raywarden", "--lease-name", "raywarden-controller"];
        Self::begin(kubeconfig, HOME, &[&all, flags].concat())
    }

    /// Waits until it says that it is ready and leads.
    #[track_caller]
    pub(crate) fn wait_leads(&mut self) {
        self.wait_ready();
        wait_until(SOON, "the controller leads", || self.leads().then_some(()));
    }

    /// Its log so far, line by line.
    pub(crate) fn log(&self) -> Vec<Value> {
        let log = self.process.stderr();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The port of its operations.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, for signals.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn wait_ready(&mut self) {
        wait_until(SOON, "the controller is ready", || {
            assert!(self.process.is_running(), "it ended: {}", self.process.report());
            (self.readyz().0 == 200).then_some(())
        });
    }

    /// `GET /readyz?verbose`: the status, 0 where nobody answers, and the page.
    pub(crate) fn readyz(&self) -> (u16, String) {
        self.page("/readyz?verbose")
    }

    /// `GET /metrics`.
    pub(crate) fn metrics(&self) -> String {
        self.page("/metrics").1
    }

    /// What is at a path, asked of a host that is none.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(SOON))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")?;
            let mut page = String::new();
            stream.read_to_string(&mut page).map(|_| page)
        };
        let page: String = ask().unwrap_or_default();
        let status = page.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, page)
    }

    /// Whether it leads, by its own account.
    pub(crate) fn leads(&self) -> bool {
        self.readyz().1.contains("[+] leader: leads")
    }

    /// Ends it as Kubernetes does.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.process.signal("TERM");
        let status = self.process.wait(SOON);
        assert!(status.success(), "{}", self.process.report());
    }

    /// Ends it without a chance to tidy up.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        self.process.signal("KILL");
        self.process.wait(SOON);
    }

    /// Holds it as it stands.
    pub(crate) fn pause(&mut self) {
        self.process.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&mut self) {
        self.process.signal("CONT");
    }

    /// Everything it said.
    pub(crate) fn report(&self) -> String {
        self.process.report()
    }
}
