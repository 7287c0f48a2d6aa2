//! Decimal fractions in go-yaml's two notations, and how Go writes one as a key.

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`, and within range.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fits =
        exponent.is_none_or(|text| digits(text.strip_prefix(['-', '+']).unwrap_or(text)));
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    if !(mantissa_fits && exponent_fits) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Go's `ParseFloat` on a text that begins with a dot: underscores may part digits.
pub(super) fn go(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let parts_digits = bytes.iter().enumerate().all(|(index, byte)| {
        let is_digit = |at: Option<&u8>| at.is_some_and(u8::is_ascii_digit);
        *byte != b'_'
            || (index > 0 && is_digit(bytes.get(index - 1)) && is_digit(bytes.get(index + 1)))
    });
    parts_digits.then(|| decimal(&text.replace('_', "")))?
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A float as a key of a JSON object: Go's `FormatFloat(number, 'g', -1, 32)`.
#[expect(clippy::cast_possible_truncation, reason = "Go narrows to 32 bits here too")]
pub(super) fn key(number: f64) -> String {
    let narrow = number as f32;
    let scientific = format!("{narrow:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return narrow.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
