//! How single values are spelled: durations and sizes with units, and `${VARIABLE}` inside strings.
//!
//! Text in, value out; knows no file and no setting.

use std::time::Duration;

/// Units and their milliseconds, the largest first.
const TIME_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units and their bytes, the largest first.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// `500ms`, `15s`, `5m`, `1h`, `7d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    with_unit(text, &TIME_UNITS).map(Duration::from_millis)
}

/// `512B`, `64KiB`, `32MiB`, `1GiB`.
pub(super) fn size(text: &str) -> Option<usize> {
    with_unit(text, &SIZE_UNITS).and_then(|bytes| usize::try_from(bytes).ok())
}

/// The shortest spelling that [`duration`] reads back.
pub(super) fn duration_text(duration: Duration) -> String {
    spelled(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &TIME_UNITS)
}

/// The shortest spelling that [`size`] reads back.
pub(super) fn size_text(bytes: usize) -> String {
    spelled(bytes as u64, &SIZE_UNITS)
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (digits, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn spelled(amount: u64, units: &[(&str, u64)]) -> String {
    let fitting = units.iter().find(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor));
    let (unit, factor) = fitting.unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", amount / factor)
}

/// Why a string's variables can't be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfilled {
    Missing(String),
    /// `${` that no `}` ends, or with something else than a variable's name between them.
    Malformed,
}

/// Replaces `${NAME}` by the variable and `$${` by `${`; any other `$` stands for itself.
pub(super) fn fill(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Unfilled> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = &from[2..];
            continue;
        }
        filled.push_str(before);
        let (name, after) = from[2..].split_once('}').ok_or(Unfilled::Malformed)?;
        if !is_variable(name) {
            return Err(Unfilled::Malformed);
        }
        filled.push_str(&env(name).ok_or_else(|| Unfilled::Missing(name.to_string()))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_variable(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(inner) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_units_and_come_back_as_they_were() {
        for text in ["500ms", "15s", "90s", "5m", "1h", "7d"] {
            assert_eq!(duration(text).map(duration_text).as_deref(), Some(text));
        }
        for text in ["1B", "1500B", "64KiB", "32MiB", "3GiB"] {
            assert_eq!(size(text).map(size_text).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_has_no_unit_or_a_wrong_one_or_is_too_large_is_no_duration_or_size() {
        for text in ["", "5", "m", "-1s", "1.5s", "5min", "5 M", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in ["", "32", "32M", "32MB", "MiB", "18446744073709551615GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn variables_are_filled_in_and_a_doubled_dollar_is_the_text_itself() {
        let env = |name: &str| (name == "KEY").then(|| "k-1".to_string());
        assert_eq!(fill("a ${KEY} b ${KEY}", &env).as_deref(), Ok("a k-1 b k-1"));
        assert_eq!(fill("$${KEY} $5 $", &env).as_deref(), Ok("${KEY} $5 $"));
        assert_eq!(fill("${NO}", &env), Err(Unfilled::Missing("NO".into())));
        for text in ["${KEY", "${}", "${a b}", "${1A}"] {
            assert_eq!(fill(text, &env), Err(Unfilled::Malformed), "{text}");
        }
    }

    #[test]
    fn what_a_variable_holds_is_not_filled_in_again() {
        let env = |_: &str| Some("${OTHER}".to_string());
        assert_eq!(fill("${KEY}", &env).as_deref(), Ok("${OTHER}"));
    }
}
