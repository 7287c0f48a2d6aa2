//! What somebody probably meant.

use super::definition::{Definitions, Schema, Type};
use super::lexical;
use super::place::Place;
use crate::model::slips::{LONGEST, distance};
use crate::model::{Pointer, Token};

/// Names shown when none is near.
const SHOWN: usize = 6;

/// How far below an object the home of a field is looked for: `template.spec.containers[0].image`.
const DEEPEST: usize = 4;

/// What to say about a field that is not known.
#[derive(Debug, Default)]
pub(super) struct Hint {
    /// The names that are known there, when nothing better can be said.
    pub(super) allowed: String,
    /// The name or the place that was meant.
    pub(super) fix: String,
}

impl Hint {
    fn fix(fix: String) -> Self {
        Self { allowed: String::new(), fix }
    }
}

/// What to say about the field `key`, which the object at `place` does not have.
pub(super) fn field(definitions: &'static Definitions, place: &Place<'_>, key: &str) -> Hint {
    let schema = place.schema;
    if let Some(release) = schema.later.get(key) {
        return Hint::fix(format!("use {release}, or remove the field"));
    }
    let name = same_word(key, schema.fields())
        .or_else(|| slip(key, schema.fields()))
        .or_else(|| longer(key, schema));
    if let Some(name) = name {
        return Hint::fix(format!("did you mean {name}?"));
    }
    if key.contains('-') && schema.field("rayStartParams").is_some() {
        let home = place.pointer().join(&["rayStartParams"]).at(key.to_owned());
        return Hint::fix(format!("a parameter of ray start belongs at {home}"));
    }
    if let Some(home) = home(definitions, place, key) {
        return Hint::fix(format!("did you mean {home}?"));
    }
    match word(key, schema.fields()) {
        Some(name) => Hint::fix(format!("did you mean {name}?")),
        None => Hint { allowed: known(schema, key), fix: "remove it or rename it".to_owned() },
    }
}

/// The word that was probably meant.
pub(super) fn word<'a>(
    wrong: &str,
    words: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let lower = wrong.to_ascii_lowercase();
    let tolerated = (wrong.chars().count() / 3).max(1);
    same_word(wrong, words.clone())
        .or_else(|| {
            words
                .clone()
                .map(|word| (distance(wrong, word), word))
                .filter(|(distance, _)| *distance <= tolerated)
                .min_by_key(|(distance, _)| *distance)
                .map(|(_, word)| word)
        })
        .or_else(|| {
            words
                .filter(|_| lower.len() > 3)
                .find(|word| word.to_ascii_lowercase().starts_with(&lower))
        })
}

/// The same word in another spelling: `min_replicas`, `MinReplicas`, `min-replicas`.
fn same_word<'a>(wrong: &str, mut words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let letters = |word: &str| -> String {
        word.chars()
            .filter(|c| !matches!(c, '_' | '-' | ' '))
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    let wrong = letters(wrong);
    words.find(|word| letters(word) == wrong)
}

/// The word that one slip of the finger makes of it.
fn slip<'a>(wrong: &str, mut words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words.find(|word| wrong.len() > 3 && distance(wrong, word) == 1)
}

/// The one field that the name abbreviates: `name` for `groupName`.
fn longer(wrong: &str, schema: &'static Schema) -> Option<&'static str> {
    let first = wrong.chars().next().filter(|_| wrong.len() > 3)?;
    let ending = wrong.replacen(first, &first.to_uppercase().to_string(), 1);
    let mut fields = schema.fields().filter(|name| name.ends_with(&ending));
    fields.next().filter(|_| fields.next().is_none())
}

/// The one place around `place` that has a field of exactly this name: an object that holds it, or
/// one that it holds; the nearer one.
fn home(definitions: &'static Definitions, place: &Place<'_>, key: &str) -> Option<Pointer> {
    let above = place
        .ancestors()
        .filter(|ancestor| ancestor.schema.kind == Some(Type::Object))
        .zip(1..)
        .find(|(ancestor, _)| ancestor.schema.field(key).is_some());
    match (above, below(definitions, place, key)) {
        (Some((ancestor, up)), down) if down.as_ref().is_none_or(|(_, down)| up <= *down) => {
            Some(ancestor.pointer().at(key.to_owned()))
        }
        (_, down) => down.map(|(home, _)| home),
    }
}

/// A schema below the place, and the way to it.
struct Below {
    schema: &'static Schema,
    /// Which of the schemas seen so far holds it, and the step from there.
    from: Option<(usize, Token)>,
    depth: usize,
}

/// The nearest field of that name among what the object holds, and how deep it lies.
fn below(
    definitions: &'static Definitions,
    place: &Place<'_>,
    key: &str,
) -> Option<(Pointer, usize)> {
    let mut seen = vec![Below { schema: place.schema, from: None, depth: 0 }];
    let mut next = 0;
    while let Some(Below { schema, depth, .. }) = seen.get(next) {
        let (schema, depth) = (*schema, *depth);
        if depth > 0 && schema.field(key).is_some() {
            return Some((way(&seen, next, place).at(key.to_owned()), depth));
        }
        if depth < DEEPEST {
            let fields =
                schema.properties.iter().flatten().map(|(name, field)| (Token::from(*name), field));
            let entry = schema.items.as_deref().map(|items| (Token::from(0), items));
            seen.extend(fields.chain(entry).map(|(token, field)| Below {
                schema: definitions.resolve(field),
                from: Some((next, token)),
                depth: depth + 1,
            }));
        }
        next += 1;
    }
    None
}

fn way(seen: &[Below], end: usize, place: &Place<'_>) -> Pointer {
    let back = std::iter::successors(seen.get(end), |at| seen.get(at.from.as_ref()?.0));
    let mut tokens: Vec<Token> =
        back.filter_map(|at| at.from.as_ref().map(|(_, token)| token.clone())).collect();
    tokens.reverse();
    tokens.into_iter().fold(place.pointer(), |at, token| at.at(token))
}

/// The known names that are least unlike the wrong one.
fn known(schema: &Schema, wrong: &str) -> String {
    let mut names: Vec<&str> = schema.fields().collect();
    names.sort_by_cached_key(|name| distance(wrong, name));
    let rest = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    match rest {
        0 => names.join(", "),
        _ => format!("{} and {rest} more", names.join(", ")),
    }
}

/// How to write what was meant as a quantity.
pub(super) fn quantity(text: &str) -> String {
    const UNITS: [(&[&str], &str, Option<&str>); 10] = [
        (&["b", "byte", "bytes", "cpu", "cpus", "core", "cores"], "", None),
        (&["millicpu", "millicores"], "m", None),
        (&["kb"], "k", Some("Ki")),
        (&["k", "ki", "kib"], "Ki", None),
        (&["mb"], "M", Some("Mi")),
        (&["mi", "mib"], "Mi", None),
        (&["g", "gb"], "G", Some("Gi")),
        (&["gi", "gib"], "Gi", None),
        (&["t", "tb"], "T", Some("Ti")),
        (&["ti", "tib"], "Ti", None),
    ];
    let text: String = text.chars().filter(|c| !c.is_whitespace()).take(LONGEST).collect();
    let unit = lexical::after_number(&text).unwrap_or(&text);
    let number = text.strip_suffix(unit).unwrap_or("");
    let lower = unit.to_ascii_lowercase();
    let meant = UNITS.iter().find(|(units, ..)| units.contains(&lower.as_str()));
    match meant {
        _ if lexical::is_quantity(&text) => format!("write {text}"),
        Some((_, decimal, Some(binary))) if !number.is_empty() => {
            format!("write {number}{decimal}, or {number}{binary} for powers of 1024")
        }
        Some((_, only, None)) if !number.is_empty() => format!("write {number}{only}"),
        _ => "write a number such as 500m, 2 or 4Gi".to_owned(),
    }
}
