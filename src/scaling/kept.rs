//! The bounds that a scale took away.
//!
//! One annotation of the cluster holds, for each bound, what stood there before the first scale and what
//! the last one wrote. Invariant: a bound that somebody else changed meanwhile counts as the original
//! from then on, so that nothing of theirs is ever undone.

use serde_json::{Value, json};

/// The annotation.
pub const ANNOTATION: &str = "raywarden.io/original-bounds";

/// The two bounds; `None` where one is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// `minReplicas`.
    pub min: Option<i64>,
    /// `maxReplicas`.
    pub max: Option<i64>,
}

/// What the annotation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Before the first scale.
    pub original: Bounds,
    /// By the last one.
    pub written: Bounds,
}

impl Kept {
    /// Reads the annotation; one that cannot be read keeps nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(text).ok()?;
        let bounds = |key: &str| {
            let bounds = json.get(key)?.as_object()?;
            let bound = |key: &str| match bounds.get(key) {
                None | Some(Value::Null) => Some(None),
                Some(value) => value.as_i64().filter(|count| *count >= 1).map(Some),
            };
            Some(Bounds { min: bound("minReplicas")?, max: bound("maxReplicas")? })
        };
        Some(Self { original: bounds("original")?, written: bounds("written")? })
    }

    /// What to keep when `present` becomes `written`; `None` where that ends where it began.
    pub fn after(before: Option<Self>, present: Bounds, written: Bounds) -> Option<Self> {
        let original = before.map_or(present, |kept| kept.original_of(present));
        (original != written).then_some(Self { original, written })
    }

    /// The original bounds, where `present` are today's: only what still stands as it was written is
    /// given back.
    pub fn original_of(self, present: Bounds) -> Bounds {
        let one = |now, written, original| if now == written { original } else { now };
        Bounds {
            min: one(present.min, self.written.min, self.original.min),
            max: one(present.max, self.written.max, self.original.max),
        }
    }

    /// As the annotation has it.
    pub fn to_text(self) -> String {
        let bounds = |bounds: Bounds| json!({"minReplicas": bounds.min, "maxReplicas": bounds.max});
        json!({"original": bounds(self.original), "written": bounds(self.written)}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn of(min: i64, max: i64) -> Bounds {
        Bounds { min: Some(min), max: Some(max) }
    }

    #[test]
    fn the_first_scale_is_remembered_through_later_ones() {
        let first = Kept::after(None, of(1, 10), of(5, 6)).unwrap();
        let second = Kept::after(Some(first), of(5, 6), of(3, 4)).unwrap();
        assert_eq!(second.original_of(of(3, 4)), of(1, 10));
    }

    #[test]
    fn what_somebody_else_wrote_meanwhile_is_the_original_from_then_on() {
        let kept = Kept::after(None, of(1, 10), of(5, 6)).unwrap();
        assert_eq!(kept.original_of(of(5, 8)), of(1, 8));
        let next = Kept::after(Some(kept), of(5, 8), of(2, 3)).unwrap();
        assert_eq!(next.original_of(of(2, 3)), of(1, 8));
    }

    #[test]
    fn an_annotation_that_says_nonsense_keeps_nothing() {
        for text in ["", "{}", "[]", r#"{"original":{"maxReplicas":-4},"written":{}}"#, "null"] {
            assert_eq!(Kept::parse(text), None, "{text}");
        }
        let absent =
            r#"{"original":{"minReplicas":null,"maxReplicas":3},"written":{"minReplicas":2}}"#;
        assert_eq!(Kept::parse(absent).unwrap().original, Bounds { min: None, max: Some(3) });
    }

    fn any_bounds() -> impl Strategy<Value = Bounds> {
        let bound = || proptest::option::of(1_i64..20);
        (bound(), bound()).prop_map(|(min, max)| Bounds { min, max })
    }

    proptest! {
        #[test]
        fn however_often_it_is_scaled_the_first_bounds_come_back(
            first in any_bounds(),
            writes in proptest::collection::vec(any_bounds(), 1..8),
        ) {
            let (mut present, mut kept) = (first, None);
            for written in writes {
                kept = Kept::after(kept, present, written)
                    .map(|kept| Kept::parse(&kept.to_text()).expect("it reads what it wrote"));
                present = written;
            }
            let back = kept.map_or(present, |kept| kept.original_of(present));
            prop_assert_eq!(back, first);
        }
    }
}
