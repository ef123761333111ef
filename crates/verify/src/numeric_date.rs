use account::{Birth, Millis};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A JWT's NumericDate (RFC 7519 section 2): seconds since the epoch, with its resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumericDate {
    at: Millis,
    whole: bool,
}

impl NumericDate {
    /// From whole seconds.
    pub const fn whole(seconds: i64) -> Self {
        Self { at: Millis::from_seconds(seconds), whole: true }
    }

    /// From a birth: known to the second only, unless it is known to the millisecond.
    pub(crate) fn of(birth: Birth) -> Self {
        Self { at: birth.earliest, whole: birth.earliest != birth.latest }
    }

    /// The moment, and whether it is known to the second only.
    pub(crate) const fn parts(self) -> (Millis, bool) {
        (self.at, self.whole)
    }

    /// From its parts.
    pub(crate) const fn from_parts((at, whole): (Millis, bool)) -> Self {
        Self { at, whole }
    }

    /// The moment; the first one possible when it is known to the second only.
    pub const fn at(self) -> Millis {
        self.at
    }

    /// As a birth, at its own resolution: a whole number of seconds means any moment within that second.
    pub fn birth(self) -> Birth {
        if self.whole { Birth::within_second(self.at.seconds()) } else { Birth::exactly(self.at) }
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;

        impl Visitor<'_> for Seconds {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds since the epoch")
            }

            fn visit_i64<E: Error>(self, seconds: i64) -> Result<NumericDate, E> {
                Ok(NumericDate::whole(seconds))
            }

            fn visit_u64<E: Error>(self, seconds: u64) -> Result<NumericDate, E> {
                Ok(NumericDate::whole(i64::try_from(seconds).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E: Error>(self, seconds: f64) -> Result<NumericDate, E> {
                let at = Millis::from_fractional_seconds(seconds)
                    .ok_or_else(|| E::invalid_value(Unexpected::Float(seconds), &self))?;
                Ok(NumericDate { at, whole: at.get() % 1000 == 0 })
            }
        }

        deserializer.deserialize_any(Seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<NumericDate> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn a_whole_number_of_seconds_is_known_to_the_second_only() {
        let birth = |json| read(json).expect("a date").birth();
        let second = Birth { earliest: Millis::new(7_000), latest: Millis::new(7_999) };
        assert_eq!(birth("7"), second);
        assert_eq!(birth("7.0"), second);
        assert_eq!(birth("7.25"), Birth::exactly(Millis::new(7_250)));
    }

    #[test]
    fn what_is_no_number_is_no_date_and_a_huge_one_never_wraps() {
        for json in [r#""7""#, "null", "true", "[7]", "1e300", "1e999"] {
            assert_eq!(read(json), None, "{json}");
        }
        assert_eq!(read("18446744073709551615").map(NumericDate::at), Some(Millis::MAX));
        assert_eq!(read("-5").map(NumericDate::at), Some(Millis::new(-5_000)));
    }
}
