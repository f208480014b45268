//! Wall-clock moments, for records and expiry. Durations inside a call use tokio's `Instant`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;
pub const HOURS_A_DAY: i32 = 24;

impl Timestamp {
    /// The wall clock now. Only rooms that may know the time call this; pure code takes a `Timestamp`.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// So much later.
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// `2026-03-22T00:00:00.000Z`, as the admin API writes times.
    /// The day it lies in, counted from the epoch. Days begin at midnight UTC.
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }

    /// The month it lies in, counted from the year 0.
    pub fn month(self) -> i64 {
        let (year, month, _) = civil_from_days(self.day());
        year * 12 + month - 1
    }

    /// When a day begins.
    pub const fn of_day(day: i64) -> Self {
        Self(day.saturating_mul(DAY_MS))
    }

    /// When a month begins.
    pub fn of_month(month: i64) -> Self {
        Self::of_day(days_from_civil(month.div_euclid(12), month.rem_euclid(12) + 1, 1))
    }

    pub fn iso8601(self) -> String {
        // Only ASCII was written.
        String::from_utf8_lossy(&self.letters()).into_owned()
    }

    /// The same, for those who write a time with each exchange.
    pub fn letters(self) -> [u8; 24] {
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (ms / HOUR_MS, ms / 60_000 % 60, ms / 1_000 % 60);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, hour),
            (14, 2, minute),
            (17, 2, second),
            (20, 3, ms % 1_000),
        ];
        for (at, digits, number) in parts {
            write_digits(&mut text[at..at + digits], number);
        }
        text
    }
}

/// Is not a moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no moment; write for example 2026-03-22T00:00:00.000Z")]
pub struct NoMoment(String);

/// Years that are four digits long, after which nobody's token lives.
const YEARS: std::ops::RangeInclusive<i64> = 1970..=9999;

impl Timestamp {
    /// Reads RFC 3339: a date and a time of day with its offset from UTC. What is finer than a millisecond is cut off.
    pub fn from_rfc3339(text: &str) -> Result<Self, NoMoment> {
        parsed(text.as_bytes()).map(Self).ok_or_else(|| NoMoment(text.chars().take(40).collect()))
    }
}

fn parsed(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(11)?;
    let (time, rest) = rest.split_at_checked(8)?;
    let (year, month, day) = (digits(&date[0..4])?, digits(&date[5..7])?, digits(&date[8..10])?);
    let (hour, minute, second) = (digits(&time[0..2])?, digits(&time[3..5])?, digits(&time[6..8])?);
    let are_marks = [date[4], date[7], date[10].to_ascii_uppercase(), time[2], time[5]] == *b"--T::";
    let days = days_from_civil(year, month, day);
    // A day that its month does not have comes back as another one.
    let is_real = YEARS.contains(&year) && civil_from_days(days) == (year, month, day);
    // A leap second is the last one of its minute: our clock knows none.
    let is_time = hour < 24 && minute < 60 && second <= 60;
    let (ms, zone) = fraction(rest)?;
    let of_day = hour * 3_600 + minute * 60 + second.min(59) - offset(zone)?;
    (are_marks && is_real && is_time).then_some(days * DAY_MS + of_day * 1_000 + ms)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// `.123456` as milliseconds, and what is behind it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(places) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = places.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = places.split_at(length);
    let padded = [number, b"00"].concat();
    (length > 0).then(|| digits(&padded[..3]).map(|ms| (ms, rest)))?
}

/// `Z`, or `+01:30`, in seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] if hours.len() == 2 => {
            let (hours, minutes) = (digits(hours)?, digits(&[*tens, *ones])?);
            let seconds = hours * 3_600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// The last digits of a number, without the machinery of `format!`: each exchange's line holds a time.
fn write_digits(into: &mut [u8], number: i64) {
    let mut rest = number.unsigned_abs();
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// The proleptic Gregorian date of a day counted from 1970-01-01, in years that begin in March.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The other way: days since 1970-01-01.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_iso_8601_with_milliseconds() {
        assert_eq!(Timestamp(0).iso8601(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(1_774_137_600_000).iso8601(), "2026-03-22T00:00:00.000Z");
        assert_eq!(Timestamp(951_782_400_123).iso8601(), "2000-02-29T00:00:00.123Z");
    }

    #[test]
    fn what_is_written_is_read_back_wherever_its_clock_stands() {
        for ms in [0, 1_774_137_600_000, 951_782_400_123, 253_402_300_799_999, 68_169_600_000] {
            assert_eq!(Timestamp::from_rfc3339(&Timestamp(ms).iso8601()), Ok(Timestamp(ms)));
        }
        for text in ["1970-01-01T00:00:00Z", "1970-01-01t01:30:00.0+01:30", "1970-01-01T00:00:00.0009Z"] {
            assert_eq!(Timestamp::from_rfc3339(text), Ok(Timestamp(0)), "{text}");
        }
        assert_eq!(Timestamp::from_rfc3339("1970-01-01T00:00:00.12-00:01"), Ok(Timestamp(60_120)));
    }

    #[test]
    fn days_and_months_begin_where_the_calendar_says() {
        let moment = Timestamp::from_rfc3339("2024-02-29T23:59:59.999Z").unwrap();
        assert_eq!(Timestamp::of_month(moment.month()).iso8601(), "2024-02-01T00:00:00.000Z");
        assert_eq!(Timestamp::of_month(moment.month() + 1).iso8601(), "2024-03-01T00:00:00.000Z");
        assert_eq!(Timestamp::of_day(moment.day() + 1).iso8601(), "2024-03-01T00:00:00.000Z");
        let new_year = Timestamp::from_rfc3339("2027-01-01T00:00:00Z").unwrap();
        assert_eq!(Timestamp::of_month(new_year.month()), new_year);
        assert_eq!(Timestamp(new_year.0 - 1).month() + 1, new_year.month());
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026",
            "2026-03-22",
            "2026-03-22T00:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-03-00T00:00:00Z",
            "2026-03-22T24:00:00Z",
            "2026-03-22T00:60:00Z",
            "2026-03-22T00:00:00.Z",
            "2026-03-22T00:00:00+1:00",
            "2026-03-22T00:00:00+24:00",
            "1969-12-31T23:59:59Z",
            "2026-03-22T00:00:0éZ",
            "2026-03-22 00:00:00Z",
            "2026-03-22T00:00:00Z ",
        ] {
            assert!(Timestamp::from_rfc3339(text).is_err(), "{text}");
        }
    }
}
