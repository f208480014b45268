//! Prices as they are written, to whole nano-dollars: decimals throughout, never a float.

use crate::domain::money::Nanodollars;

/// Longer ones are nobody's price.
const WRITTEN_BYTES: usize = 40;

/// Dollars a unit, as dollars a million units.
pub(super) fn per_million(text: &str) -> Option<Nanodollars> {
    scaled(text, 6)
}

/// Dollars as they are.
pub(in crate::protocol) fn dollars(text: &str) -> Option<Nanodollars> {
    scaled(text, 0)
}

/// A JSON number times a power of ten, rounded to the nearest nano-dollar. `None` for what is negative (some say -1 for a
/// price that varies), no number, or more than an amount can be.
fn scaled(text: &str, power: i32) -> Option<Nanodollars> {
    const NANO: i32 = 9;
    if text.len() > WRITTEN_BYTES {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u128 = digits.parse().ok()?;
    let shift = exponent.checked_add(power + NANO)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let ten = |power: i32| 10_u128.checked_pow(power.unsigned_abs());
    let nanos = match (value, shift) {
        (0, _) => 0,
        (_, 0..) => value.checked_mul(ten(shift)?)?,
        // So small a part of a nano-dollar that it is nothing.
        (_, _) => ten(shift).map_or(0, |unit| (value + unit / 2) / unit),
    };
    i64::try_from(nanos).ok().map(Nanodollars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_a_unit_is_a_price_a_million_to_the_last_place() {
        for (written, dollars) in [
            ("0.000003", "3"),
            ("2.5e-06", "2.5"),
            ("1.5E-7", "0.15"),
            ("0", "0"),
            ("0.0", "0"),
            ("1e-15", "0.000000001"),
            ("1.0000000000000001e-07", "0.1"),
            ("0.00000000000000049", "0"),
            ("12", "12000000"),
            ("1e-300", "0"),
        ] {
            assert_eq!(per_million(written).unwrap().to_string(), dollars, "{written}");
        }
        assert_eq!(super::dollars("0.04").unwrap().to_string(), "0.04");
    }

    #[test]
    fn what_is_no_price_is_none() {
        for written in ["-1", "", ".", "e5", "1e", "1e400", "99999999999", "free", "+1", "1e2147483647", "1_0"] {
            assert_eq!(per_million(written), None, "{written}");
        }
    }
}
