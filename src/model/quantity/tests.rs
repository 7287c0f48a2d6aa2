use proptest::prelude::*;

use super::*;

#[test]
fn spellings_of_one_amount_are_equal() {
    for (left, right) in [
        ("1", "1000m"),
        ("1", "1.0"),
        ("1Gi", "1024Mi"),
        ("1Gi", "1073741824"),
        ("40G", "40e9"),
        ("0.5", "500m"),
        (".5", "5e-1"),
        ("1Ki", "1.024k"),
        ("-1", "-1000m"),
    ] {
        assert_eq!(Quantity::parse(left), Quantity::parse(right), "{left} {right}");
        assert!(Quantity::parse(left).is_some(), "{left}");
    }
}

#[test]
fn what_the_api_server_refuses_is_no_quantity() {
    for text in ["", ".", "m", "1mm", "1 Gi", "1.2.3", "Gi", "abc", "1e", "--1", "1gi", "0x10"] {
        assert_eq!(Quantity::parse(text), None, "{text}");
    }
}

#[test]
fn a_fraction_of_a_cpu_rounds_up_to_a_whole_one() {
    for (text, whole) in [("500m", 1), ("1500m", 2), ("2", 2), ("0", 0), ("1n", 1)] {
        assert_eq!(Quantity::parse(text).map(Quantity::ceil), Some(whole), "{text}");
    }
}

proptest! {
    #[test]
    fn sums_are_exact(a in 0_u32..1_000_000, b in 0_u32..1_000_000) {
        let sum: Quantity = [format!("{a}m"), format!("{b}m")]
            .iter()
            .filter_map(|text| Quantity::parse(text))
            .sum();
        prop_assert_eq!(Some(sum), Quantity::parse(&format!("{}m", u64::from(a) + u64::from(b))));
    }

    #[test]
    fn order_is_that_of_the_amounts(a in 0_i64..10_000, b in 0_i64..10_000) {
        let left = Quantity::parse(&format!("{a}Mi"));
        let right = Quantity::parse(&format!("{}Ki", b * 1024));
        prop_assert_eq!(left.cmp(&right), a.cmp(&b));
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = Quantity::parse(&text);
    }
}

#[test]
fn a_plain_decimal_number_says_the_amount_exactly() {
    for (text, decimal) in
        [("4", "4"), ("500m", "0.5"), ("1Ki", "1024"), ("0", "0"), ("-1500m", "-1.5"), ("10", "10")]
    {
        assert_eq!(Quantity::parse(text).unwrap().decimal(), decimal);
    }
}
