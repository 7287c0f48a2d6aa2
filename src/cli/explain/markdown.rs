//! The catalogue as one page of Markdown, by family.

use std::fmt::Write as _;

use super::{base, does};
use crate::policy::rules::{Base, Example, Rule};

const OPENING: &str = "\
# Rules

Every rule that raywarden knows, with an example that breaks it and one that keeps it. Written by
`raywarden explain --output markdown`; `raywarden explain RULE` prints one of them.
";

/// The whole page.
pub(super) fn page(rules: &[&Rule]) -> String {
    let mut out = OPENING.to_owned();
    let mut last = "";
    for rule in rules {
        let family = rule.id.as_str().split('/').next().unwrap_or_default();
        if family != last {
            let _ = write!(out, "\n## {family}\n");
            last = family;
        }
        section(rule, &mut out);
    }
    bases(rules, &mut out);
    out
}

fn section(rule: &Rule, out: &mut String) {
    let _ = write!(out, "\n### `{}`\n\n", rule.id);
    let _ = writeln!(out, "It {}: {}.\n", does(rule), rule.title);
    let _ = writeln!(out, "{}\n\n**What to do:** {}\n", rule.why, rule.fix);
    example("This fails", &rule.fails, out);
    example("This passes", &rule.passes, out);
}

fn example(title: &str, example: &Example, out: &mut String) {
    let flags = match example.flags {
        [] => String::new(),
        flags => format!(" with `{}`", flags.join(" ")),
    };
    let _ = writeln!(out, "{title}{flags}, laid over {}:\n", base(example.base));
    let mut block = |about: &str, yaml: &str| {
        if !about.is_empty() {
            let _ = writeln!(out, "{about}\n");
        }
        let yaml = if yaml.trim().is_empty() { "# as it is\n" } else { yaml };
        let _ = writeln!(out, "```yaml\n{}\n```\n", yaml.trim_end());
    };
    match (example.policy, example.before) {
        (None, None) => block("", example.yaml),
        (policy, before) => {
            if let Some(policy) = policy {
                block("The spec of the policy:", policy);
            }
            if let Some(before) = before {
                block("Stored before:", before);
            }
            block("Written:", example.yaml);
        }
    }
}

/// What the examples are laid over.
fn bases(rules: &[&Rule], out: &mut String) {
    out.push_str("## What the examples are laid over\n");
    for each in [Base::RayCluster, Base::RayJob, Base::Domino, Base::Scale] {
        if rules.iter().any(|rule| rule.fails.base == each || rule.passes.base == each) {
            let name = base(each);
            let _ = write!(out, "\nThat is {name}:\n\n```yaml\n{}\n```\n", each.yaml().trim_end());
        }
    }
}
