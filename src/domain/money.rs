//! Money as integer nano-dollars inside and decimals outside; never a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const NANOS_PER_DOLLAR: i128 = 1_000_000_000;

/// An amount in billionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanodollars(pub i64);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no amount of dollars: write a decimal such as 0.15, with at most nine places")]
pub struct NotMoney(String);

impl Nanodollars {
    /// For metrics, which know nothing but floats.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / NANOS_PER_DOLLAR as f64
    }
}

impl FromStr for Nanodollars {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let wrong = || NotMoney(text.to_string());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 9 || !plain(whole) || !plain(fraction) {
            return Err(wrong());
        }
        let whole: i128 = whole.parse().map_err(|_| wrong())?;
        let nanos: i128 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
        let amount = whole.checked_mul(NANOS_PER_DOLLAR).and_then(|sum| sum.checked_add(nanos)).ok_or_else(wrong)?;
        i64::try_from(if negative { -amount } else { amount }).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Nanodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = i128::from(self.0);
        let sign = if amount < 0 { "-" } else { "" };
        let (whole, nanos) = (amount.abs() / NANOS_PER_DOLLAR, amount.abs() % NANOS_PER_DOLLAR);
        let decimals = format!("{nanos:09}");
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            places => write!(f, "{sign}{whole}.{places}"),
        }
    }
}

impl Serialize for Nanodollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => serializer.serialize_i64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Nanodollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_place() {
        for text in ["0", "0.15", "15", "0.000000001", "-2.5"] {
            assert_eq!(text.parse::<Nanodollars>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in ["", ".5", "1e3", "1,5", "0.0000000001", "9223372037", "--1", "+1"] {
            assert!(text.parse::<Nanodollars>().is_err(), "{text}");
        }
    }
}
