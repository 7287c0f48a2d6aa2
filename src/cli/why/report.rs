//! The chain as one screen, or as JSON.
//!
//! Input: a [`Chain`]. Output: text without anything that moves the cursor of a terminal, or an
//! object whose members stay.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::excerpt::printable;
use super::super::output;
use crate::plan::why::{Chain, Link, State};

/// What was found out.
pub(super) struct Report {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) chain: Chain,
    pub(super) dashboard: Option<Forward>,
}

/// How to look at a dashboard.
pub(super) struct Forward {
    pub(super) command: String,
    pub(super) url: String,
}

impl Report {
    /// For people, `width` columns wide.
    pub(super) fn text(&self, width: u16) -> String {
        let decides = self.chain.decides();
        let mut out =
            format!("RayCluster {}/{}: {}\n", self.namespace, self.name, headline(decides));
        if let Some(link) = decides {
            let _ = writeln!(out, "{}", indented(&link.what, width));
            if !link.fix.is_empty() {
                let _ = writeln!(out, "{}", indented(&format!("do: {}", link.fix), width));
            }
        }
        out.push('\n');
        let mut table = output::table(width);
        let mut told = decides.map_or("", |link| link.fix.as_str());
        for link in &self.chain.links {
            // What was said a line above is not said again.
            let fix = if link.fix.is_empty() || link.fix == told {
                String::new()
            } else {
                told = &link.fix;
                format!("\ndo: {}", link.fix)
            };
            table.add_row([link.state.as_str(), link.name, &format!("{}{fix}", link.what)]);
        }
        out.push_str(&output::drawn(&table));
        if let Some(Forward { command, url }) = &self.dashboard {
            let _ = writeln!(out, "\nDashboard: {command}\n           {url}");
        }
        printable(&out).into_owned()
    }

    /// For scripts.
    pub(super) fn json(&self) -> Value {
        let decides = self.chain.decides();
        let link = |link: &Link| {
            json!({
                "name": link.name,
                "state": link.state.as_str(),
                "what": link.what,
                "fix": link.fix,
            })
        };
        json!({
            "cluster": {"namespace": self.namespace, "name": self.name},
            "verdict": decides.map_or(State::Ok, |link| link.state).as_str(),
            "decides": decides.map(|link| link.name),
            "links": self.chain.links.iter().map(link).collect::<Vec<_>>(),
            "dashboard": self.dashboard.as_ref().map(|it| json!({"command": it.command, "url": it.url})),
        })
    }
}

fn headline(decides: Option<&Link>) -> String {
    match decides {
        None => "nothing is in the way".to_owned(),
        Some(link) => match link.state {
            State::Blocked => format!("stopped at {}", link.name),
            State::Unknown => format!("no obstacle seen, but {} could not be read", link.name),
            State::Waiting | State::Ok => {
                format!("nothing stops it, {} is not done yet", link.name)
            }
        },
    }
}

/// The text two columns in, broken between words.
fn indented(text: &str, width: u16) -> String {
    let room = usize::from(width).saturating_sub(2);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
