//! Kubernetes quantities, compared and added exactly; never respelled.
//!
//! A [`Quantity`] is an integer number of `10^-9` units, the finest that the API server keeps; what
//! is finer rounds up, as it does there.
//! Source: `apimachinery/pkg/api/resource`, the grammar in its package comment.

use std::iter::Sum;
use std::ops::{Add, Sub};

/// An exact amount: an integer count of `10^-9` units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantity(i128);

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// So many whole units.
    pub const fn whole(count: i64) -> Self {
        Self(count as i128 * NANO)
    }

    /// Reads `1`, `500m`, `1.5Gi`, `2e3`, `-1`. `None` for anything that the API server refuses.
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end =
            unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let digits: i128 = parse_digits(whole, fraction)?;
        let places = u32::try_from(fraction.len()).ok()?;
        let (up, down) = scale(suffix)?;
        let numerator = digits.checked_mul(up)?.checked_mul(NANO)?;
        let denominator = 10_i128.checked_pow(places)?.checked_mul(down)?;
        let rounded = (numerator + denominator - 1).checked_div(denominator)?;
        Some(Self(if text.starts_with('-') { -rounded } else { rounded }))
    }

    /// Reads a JSON value: a string, or a number as the API server takes one.
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::String(text) => Self::parse(text),
            serde_json::Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// The amount in whole units, rounded up.
    pub const fn ceil(self) -> i128 {
        self.0.div_euclid(NANO) + if self.0.rem_euclid(NANO) == 0 { 0 } else { 1 }
    }

    /// The amount `count` times; saturates.
    #[must_use]
    pub const fn times(self, count: i64) -> Self {
        Self(self.0.saturating_mul(count as i128))
    }

    /// The amount in whole units, thousandths where it has some; rounds up.
    pub fn spelled(self) -> String {
        if self.0 % NANO == 0 {
            return self.ceil().to_string();
        }
        let milli = Self(self.0.saturating_mul(1000)).ceil();
        format!("{milli}m")
    }

    /// The amount with the largest binary suffix that leaves a whole number; rounds up.
    pub fn spelled_binary(self) -> String {
        let bytes = self.ceil();
        let suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let mut best = (bytes, "");
        for (power, suffix) in (0..).zip(suffixes) {
            let unit = 1024_i128.pow(power);
            if bytes != 0 && bytes % unit == 0 {
                best = (bytes / unit, suffix);
            }
        }
        format!("{}{}", best.0, best.1)
    }

    /// Whether it is nothing at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The amount as a plain decimal number, such as `4` or `0.5`.
    pub fn decimal(self) -> String {
        let (whole, fraction) = (self.0.unsigned_abs() / NANO.unsigned_abs(), self.0 % NANO);
        let sign = if self.0 < 0 { "-" } else { "" };
        let fraction = format!("{:09}", fraction.unsigned_abs());
        let number = format!("{sign}{whole}.{fraction}");
        number.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl Add for Quantity {
    type Output = Self;

    /// Saturates instead of overflowing.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Quantity {
    type Output = Self;

    /// Saturates instead of overflowing.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

fn parse_digits(whole: &str, fraction: &str) -> Option<i128> {
    whole.bytes().chain(fraction.bytes()).try_fold(0_i128, |sum, digit| {
        sum.checked_mul(10)?.checked_add(i128::from(digit.checked_sub(b'0')?))
    })
}

/// Multiplier and divisor of a suffix.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const DECIMAL: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    const SMALL: [&str; 3] = ["m", "u", "n"];
    let power = |base: i128, list: &[&str]| {
        let position = list.iter().position(|each| *each == suffix)?;
        base.checked_pow(u32::try_from(position).ok()? + 1)
    };
    if suffix.is_empty() {
        return Some((1, 1));
    }
    if let Some(up) = power(1024, &BINARY).or_else(|| power(1000, &DECIMAL)) {
        return Some((up, 1));
    }
    if let Some(down) = power(1000, &SMALL) {
        return Some((1, down));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests;
