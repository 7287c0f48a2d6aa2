//! The names that somebody may have meant.

use crate::model::slips::distance;

/// Those of `known` that lie within a few slips of `word`, best first, at most three.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_ascii_lowercase();
    let reach = 2 + word.len() / 8;
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_ascii_lowercase();
            let slips =
                if !word.is_empty() && lower.contains(&word) { 1 } else { distance(&word, &lower) };
            (slips <= reach).then_some((slips, name))
        })
        .collect();
    near.sort_by_key(|(slips, _)| *slips);
    near.truncate(3);
    near.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_fragments_find_the_name() {
        let known = ["bounds/min-max", "bounds/negative", "autoscaler/no-cpu"];
        assert_eq!(nearest("bounds/minmax", known), ["bounds/min-max"]);
        assert_eq!(nearest("no-cpu", known), ["autoscaler/no-cpu"]);
        assert_eq!(nearest("Bounds/Negativ", known), ["bounds/negative"]);
        assert_eq!(nearest("nothing/like-it", known), [""; 0]);
        assert_eq!(nearest("", known), [""; 0]);
    }
}
