//! A [`Fleet`] as HTML.
//!
//! Summary and sums stand in the markup, for readers without script; the objects stand in a data
//! block, from which the script draws as many as are looked at. Text goes through [`escape`], data
//! through [`data`]. Style and script are let in by their hashes, so that they must not vary.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::sums::{Broken, Sum, Sums, Totals, Weights};
use super::{Cluster, Fleet};
use crate::model::{RuleId, Severity};
use crate::policy::rules;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const TOKEN: &str = include_str!("token.html");

/// Stands for the rule where mutation speaks, which has none.
const CHANGED: &str = "(by a write)";

/// Stands for the policy of what holds without one.
const BUILT_IN: &str = "(built in)";

/// The Content-Security-Policy of the page. In a header it may go on with `; frame-ancestors 'none'`,
/// which a page cannot say of itself.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

/// The same of the form that asks for a token, which has no script and is sent to where it came from.
pub static TOKEN_POLICY: LazyLock<String> = LazyLock::new(|| {
    format!("default-src 'none'; style-src {}; base-uri 'none'; form-action 'self'", hash(STYLE))
});

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// The page.
pub fn page(fleet: &Fleet) -> String {
    let sums = Sums::of(fleet);
    let parts = BTreeMap::from([
        ("policy", POLICY.clone()),
        ("style", STYLE.to_owned()),
        ("script", SCRIPT.to_owned()),
        ("source", escape(&fleet.source).to_string()),
        ("made", fleet.made.strftime("%Y-%m-%d %H:%M UTC").to_string()),
        ("version", escape(env!("CARGO_PKG_VERSION")).to_string()),
        ("summary", summary(&sums.all)),
        ("notes", notes(&fleet.notes)),
        ("rules", by_rule(&sums)),
        ("policies", by_policy(&sums)),
        ("namespaces", by_namespace(&sums)),
        ("data", data(fleet)),
    ]);
    filled(PAGE, &parts)
}

/// The form that asks for a token; `said` is why it is shown again, `audience` what the token is for.
pub fn token(said: &str, audience: &str) -> String {
    let parts = BTreeMap::from([
        ("policy", TOKEN_POLICY.clone()),
        ("style", STYLE.to_owned()),
        ("audience", escape(audience).to_string()),
        (
            "said",
            if said.is_empty() {
                String::new()
            } else {
                format!("<p class=\"said\" role=\"alert\">{}</p>", escape(said))
            },
        ),
    ]);
    filled(TOKEN, &parts)
}

/// A template with each `{{name}}` replaced. What is put in is not looked at again.
fn filled(template: &str, parts: &BTreeMap<&str, String>) -> String {
    let size = parts.values().map(String::len).sum::<usize>() + template.len();
    let mut out = String::with_capacity(size);
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, more)| Some((before, more.split_once("}}")?)))
    {
        out.push_str(before);
        out.push_str(parts.get(name).map_or("", String::as_str));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Text as it may stand in markup and in a quoted attribute.
fn escape(text: &str) -> Escaped<'_> {
    Escaped(text)
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Data<'a> {
    clusters: Vec<&'a Cluster>,
}

/// The objects as JSON, as it may stand in a script element: no tag and no comment can begin or end in it.
fn data(fleet: &Fleet) -> String {
    let clusters = fleet.clusters.iter().map(|cluster| &**cluster).collect();
    let text = serde_json::to_string(&Data { clusters }).unwrap_or_default();
    // Outside strings JSON has none of these.
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for letter in text.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            other => out.push(other),
        }
    }
    out
}

fn noun(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A number with its thousands set apart.
fn grouped(number: impl fmt::Display) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !out.ends_with('-') {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn summary(all: &Totals) -> String {
    let mut out = String::new();
    let templates = match all.templates {
        0 => String::new(),
        count => format!("and {}", noun(count, "spec in another kind", "specs in other kinds")),
    };
    let mut tile = |name: &str, number: &str, more: &str| {
        let _ = write!(
            out,
            "<div class=\"tile\"><dt>{name}</dt><dd><span class=\"figure\">{number}</span>{}</dd></div>",
            if more.is_empty() {
                String::new()
            } else {
                format!(" <span class=\"more\">{more}</span>")
            }
        );
    };
    tile("Clusters", &grouped(all.clusters), &templates);
    tile("Worker groups", &grouped(all.groups), "");
    tile("Workers desired", &grouped(all.desired), "");
    for (name, sum) in [("Workers live", all.live), ("Workers joined", all.joined)] {
        let (number, more) = told(sum, all.clusters);
        tile(name, &number, &more);
    }
    format!("<dl class=\"tiles\">{out}</dl>{}{}", found(all), proportions(all))
}

/// A sum in words, and of how many clusters it does not know.
fn told(sum: Sum, clusters: usize) -> (String, String) {
    match sum.unknown {
        0 => (grouped(sum.count), String::new()),
        unknown if unknown == clusters => ("unknown".to_owned(), String::new()),
        unknown => {
            (grouped(sum.count), format!("unknown in {}", noun(unknown, "cluster", "clusters")))
        }
    }
}

fn found(all: &Totals) -> String {
    let findings: usize = all.findings.each().iter().map(|(_, count)| count).sum();
    if findings == 0 {
        return match all.clusters + all.templates {
            0 => "<p class=\"verdict\">There is no Ray cluster here.</p>".to_owned(),
            _ => "<p class=\"verdict good\">Nothing to find fault with.</p>".to_owned(),
        };
    }
    let badges: Vec<String> = all
        .findings
        .each()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(weight, count)| badge(weight, count))
        .collect();
    format!(
        "<p class=\"verdict\">{} {}</p>",
        noun(findings, "finding:", "findings:"),
        badges.join(" ")
    )
}

fn badge(weight: Severity, count: usize) -> String {
    let word = weight.as_str();
    format!("<span class=\"badge {word}\">{} {word}</span>", grouped(count))
}

/// Objects by their heaviest finding, as one bar.
fn proportions(all: &Totals) -> String {
    let parts: Vec<(&str, usize)> = all
        .objects
        .each()
        .into_iter()
        .map(|(weight, count)| (weight.as_str(), count))
        .chain([("clean", all.clean)])
        .filter(|(_, count)| *count > 0)
        .collect();
    let sum: usize = parts.iter().map(|(_, count)| count).sum();
    if sum == 0 {
        return String::new();
    }
    let (mut bars, mut legend, mut at) = (String::new(), String::new(), 0);
    for (word, count) in parts {
        // Tenths of a percent of the whole bar.
        let end = at + count;
        let (x, to) = (at * 1000 / sum, end * 1000 / sum);
        let width = (to - x).max(2);
        let _ = write!(
            bars,
            "<rect class=\"{word}\" x=\"{x}\" y=\"0\" width=\"{width}\" height=\"10\"/>"
        );
        let label = match word {
            "deny" => "to refuse",
            "warn" => "to warn of",
            "audit" => "for reports alone",
            _ => "clean",
        };
        let _ = write!(
            legend,
            "<li><svg class=\"key\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"{word}\" width=\"10\" height=\"10\"/></svg> {} {label}</li>",
            grouped(count)
        );
        at = end;
    }
    format!(
        "<div class=\"whole\"><svg viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{bars}</svg>\
         <ul class=\"legend\"><li>Objects by their heaviest finding:</li>{legend}</ul></div>"
    )
}

fn notes(notes: &[String]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let items = notes.iter().fold(String::new(), |mut out, note| {
        let _ = write!(out, "<li>{}</li>", escape(note));
        out
    });
    format!("<ul class=\"legend\"><li>Not on this page:</li>{items}</ul>")
}

/// Cells of the three weights; a zero is a dash, which the eye passes over.
fn cells(weights: Weights) -> String {
    weights.each().into_iter().fold(String::new(), |mut out, (weight, count)| {
        let _ = match count {
            0 => write!(out, "<td class=\"number none\">0</td>"),
            count => {
                write!(out, "<td class=\"number {}\">{}</td>", weight.as_str(), grouped(count))
            }
        };
        out
    })
}

const WEIGHTS: &str = "<th scope=\"col\" class=\"number\">Deny</th><th scope=\"col\" class=\"number\">Warn</th>\
     <th scope=\"col\" class=\"number\">Audit</th>";

/// A button that sets a filter; text alone where no script runs.
fn filter(key: &str, value: &str, text: &str) -> String {
    format!(
        "<button type=\"button\" class=\"pick\" data-filter=\"{key}\" data-value=\"{}\">{}</button>",
        escape(value),
        escape(text)
    )
}

fn by_rule(sums: &Sums<'_>) -> String {
    if sums.rules.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for (rule, Broken { findings, objects }) in ranked(&sums.rules) {
        let text = if rule.is_empty() { CHANGED } else { rule };
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}{}</th>{}<td class=\"number\">{}</td></tr>",
            filter("rule", text, text),
            explained(rule),
            cells(findings),
            grouped(objects)
        );
    }
    table("rules", "By rule", "Rule", "", &rows)
}

/// What a rule means, from the catalogue.
fn explained(rule: &str) -> String {
    if rule.is_empty() {
        return "<p class=\"title\">Counts that the next write of the object would change</p>"
            .to_owned();
    }
    let Some(rule) = RuleId::parse(rule).and_then(rules::find) else { return String::new() };
    format!(
        "<details><summary>{}</summary><p>{}</p><p><strong>What to do:</strong> {}</p>\
         <p>Examples: <code>raywarden explain {}</code></p></details>",
        escape(rule.title),
        escape(rule.why),
        escape(rule.fix),
        escape(rule.id.as_str())
    )
}

fn by_policy(sums: &Sums<'_>) -> String {
    if sums.policies.keys().all(|policy| policy.is_empty()) {
        return String::new();
    }
    let mut rows = String::new();
    for (policy, Broken { findings, objects }) in ranked(&sums.policies) {
        let name = if policy.is_empty() { BUILT_IN } else { policy };
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th>{}<td class=\"number\">{}</td></tr>",
            filter("policy", name, name),
            cells(findings),
            grouped(objects)
        );
    }
    table("policies", "By policy", "Policy", "", &rows)
}

fn by_namespace(sums: &Sums<'_>) -> String {
    if sums.namespaces.is_empty() {
        return String::new();
    }
    let mut namespaces: Vec<(&str, &Totals)> =
        sums.namespaces.iter().map(|(name, totals)| (*name, totals)).collect();
    namespaces.sort_by_key(|(_, totals)| std::cmp::Reverse(order(totals.findings)));
    let mut rows = String::new();
    for (namespace, totals) in namespaces {
        let (live, more_live) = told(totals.live, totals.clusters);
        let (joined, more_joined) = told(totals.joined, totals.clusters);
        let cell = |text: &str, more: &str| {
            let more = if more.is_empty() {
                String::new()
            } else {
                format!(" <span class=\"more\">{more}</span>")
            };
            format!("<td class=\"number\">{text}{more}</td>")
        };
        let workers = match totals.clusters {
            0 => "<td class=\"number none\">0</td>".repeat(3),
            _ => format!(
                "<td class=\"number\">{}</td>{}{}",
                grouped(totals.desired),
                cell(&live, &more_live),
                cell(&joined, &more_joined)
            ),
        };
        let name = if namespace.is_empty() { "(none)" } else { namespace };
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th>{}<td class=\"number\">{}</td>{workers}</tr>",
            filter("namespace", namespace, name),
            cells(totals.findings),
            grouped(totals.clusters + totals.templates)
        );
    }
    let columns = ["Desired", "Live", "Joined"].iter().fold(String::new(), |mut out, column| {
        let _ = write!(out, "<th scope=\"col\" class=\"number\">{column}</th>");
        out
    });
    table("namespaces", "By namespace", "Namespace", &columns, &rows)
}

/// The heaviest first.
fn ranked<'a>(all: &BTreeMap<&'a str, Broken>) -> Vec<(&'a str, Broken)> {
    let mut ranked: Vec<(&str, Broken)> = all.iter().map(|(name, it)| (*name, *it)).collect();
    ranked.sort_by_key(|(_, broken)| std::cmp::Reverse(order(broken.findings)));
    ranked
}

const fn order(weights: Weights) -> (usize, usize, usize) {
    (weights.deny, weights.warn, weights.audit)
}

fn table(id: &str, title: &str, first: &str, more: &str, rows: &str) -> String {
    let class = if more.is_empty() { "" } else { " class=\"whole-width\"" };
    format!(
        "<section aria-labelledby=\"{id}\"{class}><h2 id=\"{id}\">{title}</h2>\
         <div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"{id}\"><table class=\"sums\">\
         <thead><tr><th scope=\"col\">{first}</th>{WEIGHTS}<th scope=\"col\" class=\"number\">Objects</th>{more}</tr></thead>\
         <tbody>{rows}</tbody></table></div></section>"
    )
}
