//! How long a provider asks us to wait. Headers and the wall clock in, a duration out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

/// A quota that renews monthly is the longest wait that means anything; more is a provider's mistake.
const WAIT_LIMIT: Duration = Duration::from_secs(31 * 24 * 3600);

/// `retry-after-ms` first, then `retry-after` in seconds (with a fraction too) or as a date.
pub(super) fn retry_after(head: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| head.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let ms = text("retry-after-ms").and_then(|text| seconds(text, 1_000.0));
    let wait = ms.or_else(|| {
        let text = text("retry-after")?;
        seconds(text, 1.0).or_else(|| Some(date(text)?.duration_since(now).unwrap_or_default()))
    })?;
    Some(wait.min(WAIT_LIMIT))
}

fn seconds(text: &str, per_second: f64) -> Option<Duration> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)?;
    Some(Duration::from_secs_f64((number / per_second).min(WAIT_LIMIT.as_secs_f64())))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the only form of date that may still be sent.
fn date(text: &str) -> Option<SystemTime> {
    let (_, text) = text.split_once(", ")?;
    let mut parts = text.split(' ');
    let (day, month, year) = (number(parts.next()?)?, month(parts.next()?)?, number(parts.next()?)?);
    let mut time = parts.next()?.split(':');
    let (hour, minute, second) = (number(time.next()?)?, number(time.next()?)?, number(time.next()?)?);
    if parts.next()? != "GMT" || !(1970..=9999).contains(&year) || day == 0 || day > 31 || hour > 23 || minute > 59 {
        return None;
    }
    let seconds = ((days_before(year, month) + day - 1) * 24 + hour) * 3_600 + minute * 60 + second.min(60);
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn number(text: &str) -> Option<u64> {
    (text.len() <= 4).then(|| text.parse().ok())?
}

fn month(name: &str) -> Option<u64> {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    (0..).zip(NAMES).find(|(_, known)| *known == name).map(|(index, _)| index)
}

/// Days from the epoch to the first of this month; months count from zero.
fn days_before(year: u64, month: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leap_days(year) > leap_days(year - 1);
    let this_year = BEFORE[month as usize % 12] + u64::from(is_leap && month > 1);
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969) + this_year
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wait(name: &'static str, value: &str, now: u64) -> Option<Duration> {
        let head = HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
        retry_after(&head, UNIX_EPOCH + Duration::from_secs(now))
    }

    #[test]
    fn seconds_fractions_milliseconds_and_dates_are_understood() {
        assert_eq!(wait("retry-after", "7", 0), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", "0.5", 0), Some(Duration::from_millis(500)));
        assert_eq!(wait("retry-after-ms", "1500.5", 0), Some(Duration::from_micros(1_500_500)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(wait("retry-after", date, 784_111_770), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", date, 784_111_999), Some(Duration::ZERO));
        assert_eq!(date_of("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(date_of("Sun, 01 Mar 2026 00:00:00 GMT"), Some(1_772_323_200));
    }

    fn date_of(text: &str) -> Option<u64> {
        date(text).map(|date| date.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn nonsense_is_no_wait_and_no_wait_is_endless() {
        for nonsense in
            ["", "soon", "-1", "NaN", "inf", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"]
        {
            assert_eq!(wait("retry-after", nonsense, 0), None, "{nonsense}");
        }
        assert_eq!(wait("retry-after", "1e300", 0), Some(WAIT_LIMIT));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"[A-Za-z]{3}, [0-9]{1,5} (Jan|Feb|Dec|X) [0-9]{1,5} [0-9:]{1,12} GMT") {
            let _ = wait("retry-after", &text, 0);
        }
    }
}
