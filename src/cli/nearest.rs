//! The names that somebody may have meant.

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

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        for (slot, right) in row.iter_mut().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = *slot;
            *slot = replaced.min(*slot + 1).min(previous + 1);
            previous = *slot;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
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

    #[test]
    fn distance_counts_insertions_removals_and_replacements() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
