use super::members::{Members, Value};
use crate::junk::{Note, Oddity};
use account::Millis;

/// The last millisecond that a JavaScript number counts exactly: 2^53, in the year 287396.
pub(crate) const LAST_MOMENT: f64 = 9_007_199_254_740_992.0;

/// Reads optional members: an odd one is dropped with a note, the event itself still counts.
pub(crate) struct Reader<'a> {
    members: Members<'a>,
    notes: Vec<Note>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(members: Members<'a>) -> Self {
        Self { members, notes: Vec::new() }
    }

    pub(crate) fn members(&self) -> &Members<'a> {
        &self.members
    }

    pub(crate) fn into_notes(self) -> Vec<Note> {
        self.notes
    }

    pub(crate) fn note(&mut self, member: &'static str, oddity: Oddity) {
        self.notes.push(Note { member, oddity });
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.optional(name, |value| value.clean_text().map(std::borrow::Cow::into_owned))
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.optional(name, Value::flag)
    }

    /// A whole number.
    pub(crate) fn count(&mut self, name: &'static str) -> Option<i64> {
        self.optional(name, |value| whole(value.number()?))
    }

    /// A moment in milliseconds.
    pub(crate) fn millis(&mut self, name: &'static str) -> Option<Millis> {
        self.moment(name, moment)
    }

    /// A moment in seconds, with or without a fraction.
    pub(crate) fn seconds(&mut self, name: &'static str) -> Option<Millis> {
        self.moment(name, moment_of_seconds)
    }

    /// A moment by a number. Zero is no moment: it counts as not there.
    pub(crate) fn moment(
        &mut self,
        name: &'static str,
        read: impl FnOnce(f64) -> Result<Millis, Oddity>,
    ) -> Option<Millis> {
        self.optional(name, |value| read(value.number()?)).filter(|at| *at != Millis::ZERO)
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value<'a>) -> Result<T, Oddity>,
    ) -> Option<T> {
        match read(self.members.some(name)?) {
            Ok(value) => Some(value),
            Err(oddity) => {
                self.note(name, oddity);
                None
            }
        }
    }
}

fn whole(number: f64) -> Result<i64, Oddity> {
    if number.fract() == 0.0 && number.abs() <= LAST_MOMENT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact integers")]
        Ok(number as i64)
    } else {
        Err(Oddity::OutOfRange)
    }
}

/// Milliseconds, rounded down. Before the epoch there were no accounts.
pub(crate) fn moment(milliseconds: f64) -> Result<Millis, Oddity> {
    if milliseconds < 0.0 { Err(Oddity::OutOfRange) } else { whole(milliseconds.floor()).map(Millis::new) }
}

pub(crate) fn moment_of_seconds(seconds: f64) -> Result<Millis, Oddity> {
    let at = Millis::from_fractional_seconds(seconds).ok_or(Oddity::OutOfRange)?;
    if at < Millis::ZERO { Err(Oddity::OutOfRange) } else { Ok(at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> (Option<i64>, Vec<Oddity>) {
        let text = format!(r#"{{"at":{text}}}"#);
        let mut reader = Reader::new(Members::of(&text).expect("an object"));
        let at = reader.millis("at").map(Millis::get);
        (at, reader.into_notes().into_iter().map(|note| note.oddity).collect())
    }

    #[test]
    fn a_moment_is_a_number_or_a_string_with_one() {
        assert_eq!(millis("1789000000100"), (Some(1_789_000_000_100), vec![]));
        assert_eq!(millis("\"1789000000100\""), (Some(1_789_000_000_100), vec![]));
        assert_eq!(millis("1789000000100.9"), (Some(1_789_000_000_100), vec![]));
        assert_eq!(millis("1.7890000001e12"), (Some(1_789_000_000_100), vec![]));
        assert_eq!(millis("9007199254740992"), (Some(9_007_199_254_740_992), vec![]));
    }

    #[test]
    fn zero_and_null_are_no_moment_and_not_odd_either() {
        assert_eq!(millis("0"), (None, vec![]));
        assert_eq!(millis("\"0\""), (None, vec![]));
        assert_eq!(millis("null"), (None, vec![]));
    }

    #[test]
    fn what_is_no_possible_moment_is_dropped_with_a_note() {
        for text in ["-1", "9223372036854775807", "1e30", "1e999", "-1e999"] {
            assert_eq!(millis(text), (None, vec![Oddity::OutOfRange]), "{text}");
        }
        for text in ["\"soon\"", "true", "[1]", "{}", "\"\""] {
            assert_eq!(millis(text), (None, vec![Oddity::WrongType]), "{text}");
        }
    }
}
