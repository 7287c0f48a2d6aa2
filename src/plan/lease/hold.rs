//! Counts of one group: how they are held, and how they go back.
//!
//! Input: a [`Ground`], the group as it stands, and what a lease has [`Kept`] of it. Output: the counts
//! that shall stand, and what is kept then. Arithmetic alone: no JSON, no names.
//!
//! Invariants: bounds that were in order stay in order; a count that somebody else wrote stays unless
//! it is written over with itself kept as the original; a maximum is only ever given back downwards, so
//! that a forged annotation raises nothing; where Ray's autoscaler runs the maximum never falls below
//! what runs, because the autoscaler chooses the victims.

use std::collections::BTreeMap;

use crate::model::cluster::UNBOUNDED;

/// A count of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `replicas`.
    Replicas,
    /// `minReplicas`.
    Min,
    /// `maxReplicas`.
    Max,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Replicas, Self::Min, Self::Max];

    /// As the object and the annotation spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replicas => "replicas",
            Self::Min => "minReplicas",
            Self::Max => "maxReplicas",
        }
    }
}

/// The counts of a group; `None` where one is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `replicas`.
    pub replicas: Option<i64>,
    /// `minReplicas`.
    pub min: Option<i64>,
    /// `maxReplicas`.
    pub max: Option<i64>,
}

impl Counts {
    /// One of them.
    pub const fn get(self, field: Field) -> Option<i64> {
        match field {
            Field::Replicas => self.replicas,
            Field::Min => self.min,
            Field::Max => self.max,
        }
    }

    /// The same with another value of one of them.
    #[must_use]
    pub const fn with(self, field: Field, value: Option<i64>) -> Self {
        match field {
            Field::Replicas => Self { replicas: value, ..self },
            Field::Min => Self { min: value, ..self },
            Field::Max => Self { max: value, ..self },
        }
    }
}

/// Who else moves the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mover {
    /// Nobody: the count is exactly what is written.
    Nobody,
    /// Ray's autoscaler: it moves the count within the bounds, and it alone chooses who goes.
    Ray,
    /// A horizontal autoscaler (Domino): it moves the count within the bounds.
    Horizontal,
}

/// A group as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// What is stored.
    pub counts: Counts,
    /// Who else moves the count.
    pub mover: Mover,
    /// Whether there are bounds at all.
    pub bounded: bool,
    /// What an absent minimum counts as.
    pub min_default: i64,
    /// Replicas that are there, as Pods or as a count.
    pub present: i64,
}

/// What stood in a field before, and what a lease wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Before; `None` where it was absent.
    pub original: Option<i64>,
    /// By the lease.
    pub written: i64,
}

/// What a lease keeps of a group: only the fields that it had to change.
pub type Kept = BTreeMap<Field, Held>;

/// How a group that is held stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// As the lease wants it.
    Suits,
    /// A field that the lease never wrote has to be written now.
    Lacks,
    /// A field that the lease wrote was changed by somebody, and does not suit any more.
    Changed,
}

impl Ground {
    fn min(&self) -> i64 {
        self.counts.min.unwrap_or(self.min_default)
    }

    fn max(&self) -> i64 {
        self.counts.max.unwrap_or(UNBOUNDED)
    }

    fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        let bounded = self.bounded;
        Field::ALL.into_iter().filter(move |field| bounded || *field == Field::Replicas)
    }

    /// Whether a field lets the group stand at `count`.
    fn suits(&self, field: Field, count: i64) -> bool {
        let replicas = self.counts.replicas.unwrap_or(0);
        match (field, self.mover) {
            (Field::Replicas, Mover::Nobody) => replicas == count,
            (Field::Replicas, _) => replicas >= count,
            (Field::Min, Mover::Nobody) => self.min() <= count,
            (Field::Min, _) => self.min() >= count,
            (Field::Max, _) => self.max() >= count,
        }
    }

    /// How the group stands for a lease of `count`.
    pub fn stand(&self, count: i64, kept: &Kept) -> Stand {
        let lacking: Vec<Field> =
            self.fields().filter(|field| !self.suits(*field, count)).collect();
        let was_written = |field: &Field| {
            kept.get(field).is_some_and(|held| self.counts.get(*field) != Some(held.written))
        };
        match lacking.is_empty() {
            true => Stand::Suits,
            false if lacking.iter().any(was_written) => Stand::Changed,
            false => Stand::Lacks,
        }
    }

    /// The fields that stand otherwise than a lease wrote them and wants them.
    pub fn changed(&self, count: i64, kept: &Kept) -> Vec<Field> {
        let by_others = |field: &Field| {
            let held = kept.get(field);
            held.is_some_and(|held| self.counts.get(*field) != Some(held.written))
                && !self.suits(*field, count)
        };
        self.fields().filter(by_others).collect()
    }

    /// Begins to hold the group at `count`. `kept` is what an earlier lease has not given back yet.
    pub fn take(&self, count: i64, kept: &Kept) -> (Counts, Kept) {
        let replicas = self.counts.replicas.unwrap_or(0);
        let replicas = if self.mover == Mover::Ray { replicas.max(count) } else { count };
        let min = if self.mover == Mover::Nobody { self.min().min(count) } else { count };
        let targets =
            [(Field::Replicas, replicas), (Field::Min, min), (Field::Max, self.max().max(count))];
        self.put(&targets, kept)
    }

    /// Goes on holding the group at `count`: what does not suit is written. What somebody else wrote
    /// there is the original from then on.
    pub fn again(&self, count: i64, kept: &Kept) -> (Counts, Kept) {
        let lacking = self.fields().filter(|field| !self.suits(*field, count));
        let targets: Vec<(Field, i64)> = lacking.map(|field| (field, count)).collect();
        self.put(&targets, kept)
    }

    fn put(&self, targets: &[(Field, i64)], kept: &Kept) -> (Counts, Kept) {
        let (mut counts, mut after) = (self.counts, kept.clone());
        for (field, target) in targets.iter().copied() {
            let now = self.counts.get(field);
            let effective = match field {
                Field::Replicas => now,
                Field::Min => Some(self.min()),
                Field::Max => Some(self.max()),
            };
            if effective == Some(target) || (!self.bounded && field != Field::Replicas) {
                continue;
            }
            let held = kept.get(&field).filter(|held| now == Some(held.written));
            let original = held.map_or(now, |held| held.original);
            after.insert(field, Held { original, written: target });
            counts = counts.with(field, Some(target));
        }
        (counts, after)
    }

    /// Gives back what still stands as it was written. What is kept after that is a maximum that goes
    /// on coming down while the autoscaler takes workers away.
    pub fn give_back(&self, kept: &Kept) -> (Counts, Kept) {
        let back = |field: Field| {
            let held = kept.get(&field)?;
            (self.counts.get(field) == Some(held.written)).then_some(*held)
        };
        let (min, max) = (back(Field::Min), back(Field::Max).filter(descends));
        // What somebody else wrote, or nobody did, bounds what goes back.
        let low = if min.is_some() { i64::MIN } else { self.min() };
        let high = if max.is_some() { i64::MAX } else { self.max() };
        let mut counts = self.counts;
        let replicas = match back(Field::Replicas) {
            Some(held) if self.mover != Mover::Ray => {
                counts.replicas = held.original;
                held.original.unwrap_or(0)
            }
            _ => counts.replicas.unwrap_or(0),
        };
        if !self.bounded {
            return (counts, Kept::new());
        }
        let within = if low <= high { replicas.max(low).min(high) } else { replicas };
        let mut left = Kept::new();
        let mut top = high.min(self.max());
        if let Some(held) = max {
            let goal = held.original.unwrap_or(UNBOUNDED);
            // A horizontal autoscaler needs no victims: its count follows the bounds.
            let runs = match self.mover {
                Mover::Ray => within.max(self.present),
                Mover::Nobody => within,
                Mover::Horizontal => 0,
            };
            let least = low.max(runs);
            top = goal.max(least.min(self.max()));
            counts.max = if top == goal { held.original } else { Some(top) };
            if top != goal && self.mover == Mover::Ray {
                left.insert(Field::Max, Held { original: held.original, written: top });
            }
        }
        let mut bottom = low;
        if let Some(held) = min {
            let goal = held.original.unwrap_or(self.min_default);
            let ceiling = if self.mover == Mover::Nobody { within.min(top) } else { top };
            bottom = goal.min(ceiling);
            counts.min = if bottom == goal { held.original } else { Some(bottom) };
        }
        let settled = if bottom <= top { within.max(bottom).min(top) } else { within };
        let rises = settled > within || self.mover != Mover::Ray;
        if settled != counts.replicas.unwrap_or(0) && rises {
            counts.replicas = Some(settled);
        }
        (counts, left)
    }
}

/// We only ever raise a maximum, so only a lower one can be the original.
fn descends(held: &Held) -> bool {
    held.original.unwrap_or(UNBOUNDED) <= held.written
}
