//! HTTP requests with every detail in the test's hands: headers, patch body, who is asking.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::run::run;

const DEADLINE: Duration = Duration::from_mins(1);

/// A request, and the Python that sends it.
#[derive(Debug, Clone)]
#[must_use]
pub(crate) struct Request {
    python: String,
    method: String,
    url: String,
    ca: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Request {
    /// A request to any server.
    pub(crate) fn new(method: &str, url: &str) -> Self {
        Self {
            python: "python3".to_owned(),
            method: method.to_owned(),
            url: url.to_owned(),
            ca: None,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Send it with this interpreter.
    pub(crate) fn python(mut self, python: &str) -> Self {
        python.clone_into(&mut self.python);
        self
    }

    /// Trust what this certificate authority has signed.
    pub(crate) fn trusting(mut self, ca: &Path) -> Self {
        self.ca = Some(ca.display().to_string());
        self
    }

    /// One more header; the same name may come again.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Who is asking, by bearer token; the last one counts.
    pub(crate) fn token(mut self, token: &str) -> Self {
        self.headers.retain(|(name, _)| name != "Authorization");
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// The client's name: where the request names no field manager, its first word becomes that.
    pub(crate) fn agent(self, agent: &str) -> Self {
        self.header("User-Agent", agent)
    }

    /// On behalf of another user; say the groups too, none is added but `system:authenticated`
    /// and those of a service account.
    pub(crate) fn impersonating(self, user: &str, groups: &[&str]) -> Self {
        let request = self.header("Impersonate-User", user);
        groups.iter().fold(request, |request, group| request.header("Impersonate-Group", group))
    }

    /// What it carries.
    pub(crate) fn body(mut self, content_type: &str, body: &(impl ToString + ?Sized)) -> Self {
        self.body = Some(body.to_string());
        self.header("Content-Type", content_type)
    }

    /// Sends it.
    ///
    /// # Errors
    /// When no answer came: refused, reset, bad certificate, too late.
    pub(crate) fn try_send(self) -> Result<Answer, String> {
        let Self { python, method, url, ca, headers, body } = self;
        let asked =
            json!({"method": method, "url": url, "ca": ca, "headers": headers, "body": body});
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/request.py");
        let mut command = Command::new(python);
        command.arg(script);
        let told = run(command, &asked.to_string(), DEADLINE).ok();
        let told: Value = serde_json::from_str(&told).map_err(|error| error.to_string())?;
        match told.get("error").and_then(Value::as_str) {
            Some(error) => Err(format!("{method} {url}: {error}")),
            None => Answer::parse(&told).ok_or_else(|| format!("not an answer: {told}")),
        }
    }

    /// Sends it and wants an answer, of whatever status.
    ///
    /// # Panics
    /// When none came.
    #[track_caller]
    pub(crate) fn send(self) -> Answer {
        self.try_send().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// What the server said.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Names as the server spelled them.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as text.
    pub(crate) body: String,
}

impl Answer {
    fn parse(told: &Value) -> Option<Self> {
        let pair = |header: &Value| {
            let text = |place| header.get(place).and_then(Value::as_str).map(str::to_owned);
            text(0).zip(text(1))
        };
        Some(Self {
            status: told.get("status")?.as_u64()?.try_into().ok()?,
            headers: told.get("headers")?.as_array()?.iter().filter_map(pair).collect(),
            body: told.get("body")?.as_str()?.to_owned(),
        })
    }

    /// The first header of that name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in a body of status {self:?}"))
    }

    /// The body as JSON of an answer that must be a success.
    ///
    /// # Panics
    /// When the status is not 2xx.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "not a success: {self:?}");
        self.json()
    }
}
