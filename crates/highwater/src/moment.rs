//! Moments, as people read and write them.

use account::Millis;
use std::str::FromStr;
use std::time::Duration;

const DAY_MS: i64 = 86_400_000;

/// A moment in UTC, to the millisecond (RFC 3339). The epoch itself, which stands for "never", is a dash.
pub(crate) fn date(moment: Millis) -> String {
    if moment == Millis::ZERO {
        return "-".to_owned();
    }
    let (days, ms) = (moment.get().div_euclid(DAY_MS), moment.get().rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// A moment, as it is typed: a date, a date and time in UTC, milliseconds since the epoch, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Millis),
    Ago(Duration),
}

/// A text that is no moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is a date (2026-11-22), a time in UTC (2026-11-22T10:30:00Z), so long ago (90s, 15m, 2h, 3d), or milliseconds since the epoch"
)]
pub(crate) struct NoMoment;

impl Moment {
    /// Seen from now.
    pub(crate) fn seen_from(self, now: Millis) -> Millis {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.minus(ago),
        }
    }
}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let found = ago(text).map(Self::Ago).or_else(|| written(text).map(Self::At));
        found.or_else(|| text.parse().ok().map(|ms| Self::At(Millis::new(ms)))).ok_or(NoMoment)
    }
}

fn ago(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| Duration::from_secs(u64::from(number) * seconds))
}

/// RFC 3339, in UTC, with or without the time and its fraction.
fn written(text: &str) -> Option<Millis> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let time = time.strip_suffix('Z')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let days = days(year, month, day);
    let real = civil(days) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
    let ms: i64 = if fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{fraction:0<3}").get(..3)?.parse().ok()?
    } else {
        return None;
    };
    real.then(|| Millis::new(days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1_000 + ms))
}

/// Three numbers of so many digits.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let parts: Vec<&str> = text.split(between).collect();
    let parts: [&str; 3] = parts.try_into().ok()?;
    let mut found = [0; 3];
    for ((part, digits), found) in parts.iter().zip(digits).zip(&mut found) {
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *found = part.parse().ok()?;
    }
    Some(found)
}

/// The date of a day counted from the epoch, by the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is a year's last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The day of a date, counted from the epoch: the way back.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_dates_in_utc() {
        for (moment, expected) in [
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_789_000_000_123, "2026-09-10T00:26:40.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (0, "-"),
        ] {
            assert_eq!(date(Millis::new(moment)), expected);
        }
    }

    #[test]
    fn a_moment_is_typed_in_four_ways() {
        let at = |ms| Ok(Moment::At(Millis::new(ms)));
        for (text, expected) in [
            ("2026-09-10", at(1_788_998_400_000)),
            ("2026-09-10T00:26:40Z", at(1_789_000_000_000)),
            ("2026-09-10T00:26:40.1Z", at(1_789_000_000_100)),
            ("1789000000123", at(1_789_000_000_123)),
            ("90s", Ok(Moment::Ago(Duration::from_secs(90)))),
            ("3d", Ok(Moment::Ago(Duration::from_hours(72)))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        assert_eq!("2h".parse::<Moment>().map(|it| it.seen_from(Millis::new(7_200_001))), Ok(Millis::new(1)));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-02-29",
            "2026-13-01",
            "2026-09-10T25:00:00Z",
            "2026-09-10T10:00:00",
            "3w",
            "é",
            "-3d",
            "2026-09-10T10:00:00.xZ",
        ] {
            assert_eq!(text.parse::<Moment>(), Err(NoMoment), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_date_that_was_written_is_read_back(ms in 1_i64..4_000_000_000_000) {
            prop_assert_eq!(date(Millis::new(ms)).parse(), Ok(Moment::At(Millis::new(ms))));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*") {
            let _ = text.parse::<Moment>();
        }
    }
}
