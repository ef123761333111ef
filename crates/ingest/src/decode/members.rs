use crate::junk::Oddity;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The members of a JSON object, unread: the text is known to be JSON, each value is parsed when it is asked for.
///
/// So junk in one member never hides another: a number that no machine holds, half a surrogate pair or a thousand
/// nested arrays do no harm where nobody looks. Of several members with one name the last counts, as it did for
/// `JSON.parse` and for Python (RFC 8259 section 4 leaves it open).
#[derive(Clone, Debug, Default)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Why a text has no members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoMembers {
    NotJson(String),
    NotAnObject,
}

impl<'a> Members<'a> {
    pub(crate) fn of(text: &'a str) -> Result<Self, NoMembers> {
        serde_json::from_str(text).map_err(|error| match serde_json::from_str::<&RawValue>(text) {
            Ok(value) if !value.get().starts_with('{') => NoMembers::NotAnObject,
            _ => NoMembers::NotJson(error.to_string()),
        })
    }

    /// The member's value; `None` when it is not there.
    pub(crate) fn value(&self, name: &str) -> Option<Value<'a>> {
        self.0.iter().rfind(|(own, _)| own == name).map(|(_, raw)| Value(raw.get()))
    }

    /// The member's value; `None` when it is not there or `null`.
    pub(crate) fn some(&self, name: &str) -> Option<Value<'a>> {
        self.value(name).filter(|value| !value.is_null())
    }

    /// These members, with those of `inner` where these have none. (The last of a name counts, so `inner`'s come first.)
    pub(crate) fn over(self, mut inner: Self) -> Self {
        inner.0.extend(self.0);
        inner
    }

    /// Every member, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        self.0.iter().map(|(name, raw)| (name.as_ref(), Value(raw.get())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names<'a>(std::marker::PhantomData<&'a ()>);
        /// A plain `Cow` is always owned by serde's rules; inside a struct it may borrow.
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        impl<'de: 'a, 'a> Visitor<'de> for Names<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value::<&'a RawValue>()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Names(std::marker::PhantomData))
    }
}

/// One value of known-good JSON text, unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// What it is, in a word for people.
    pub(crate) fn type_name(self) -> &'static str {
        match self.0.as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    /// A string, whatever is in it.
    pub(crate) fn text(self) -> Result<Cow<'a, str>, Oddity> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        self.parsed::<Text<'a>>().map(|Text(text)| text)
    }

    /// A string fit to be stored: with no control character.
    pub(crate) fn clean_text(self) -> Result<Cow<'a, str>, Oddity> {
        let text = self.text()?;
        if text.chars().any(char::is_control) { Err(Oddity::ControlCharacter) } else { Ok(text) }
    }

    /// A boolean, or the word for one in a string.
    pub(crate) fn flag(self) -> Result<bool, Oddity> {
        match self.0 {
            "true" | "\"true\"" => Ok(true),
            "false" | "\"false\"" => Ok(false),
            _ => Err(Oddity::WrongType),
        }
    }

    /// A finite number, or a string that holds one.
    pub(crate) fn number(self) -> Result<f64, Oddity> {
        let text = match self.0.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Cow::Borrowed(self.0),
            _ => self.text()?,
        };
        let number: f64 = text.trim().parse().map_err(|_| Oddity::WrongType)?;
        if number.is_finite() { Ok(number) } else { Err(Oddity::OutOfRange) }
    }

    /// A JSON integer, and nothing that only looks like one: no string, no fraction, no exponent.
    pub(crate) fn strict_integer(self) -> Result<i64, Oddity> {
        self.parsed()
    }

    /// An array of strings.
    pub(crate) fn texts(self) -> Result<Vec<String>, Oddity> {
        self.parsed()
    }

    /// An object's members.
    pub(crate) fn members(self) -> Result<Members<'a>, Oddity> {
        self.parsed()
    }

    /// The JSON text as it came.
    pub(crate) fn json(self) -> &'a str {
        self.0
    }

    fn parsed<T: de::Deserialize<'a>>(self) -> Result<T, Oddity> {
        serde_json::from_str(self.0).map_err(|_| Oddity::WrongType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value<'_> {
        Value(text)
    }

    #[test]
    fn the_last_of_several_members_with_one_name_counts() {
        let members = Members::of(r#"{"uid":"a","uid":"b"}"#).expect("an object");
        assert_eq!(members.value("uid").expect("there").text(), Ok("b".into()));
    }

    #[test]
    fn junk_in_one_member_hides_no_other() {
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = format!(r#"{{"x":1e999,"y":"\ud800","z":{nested},"uid":"a"}}"#);
        let members = Members::of(&text).expect("an object");
        assert_eq!(members.value("uid").expect("there").text(), Ok("a".into()));
        assert_eq!(members.value("x").expect("there").number(), Err(Oddity::OutOfRange));
        assert_eq!(members.value("y").expect("there").text(), Err(Oddity::WrongType));
        assert_eq!(members.value("z").expect("there").texts(), Err(Oddity::WrongType));
    }

    #[test]
    fn a_name_may_be_written_with_escapes() {
        let members = Members::of(r#"{"\u0075id":"a"}"#).expect("an object");
        assert!(members.value("uid").is_some());
    }

    #[test]
    fn what_is_no_object_is_told_from_what_is_no_json() {
        for text in ["[]", "1", "null", "\"x\"", " true "] {
            assert_eq!(Members::of(text).expect_err("no object"), NoMembers::NotAnObject, "{text}");
        }
        for text in ["", "{", "{}x", "{'a':1}", "nul", "[1,]", "{\"a\":1,}", "\u{feff}{}"] {
            assert!(matches!(Members::of(text), Err(NoMembers::NotJson(_))), "{text}");
        }
    }

    #[test]
    fn a_number_may_come_in_a_string() {
        for (text, number) in
            [("7", 7.0), ("-0.5", -0.5), ("\"7\"", 7.0), ("\" 7.5 \"", 7.5), ("1e3", 1000.0)]
        {
            assert_eq!(value(text).number(), Ok(number), "{text}");
        }
        for text in ["\"inf\"", "1e999", "\"NaN\""] {
            assert_eq!(value(text).number(), Err(Oddity::OutOfRange), "{text}");
        }
        for text in ["\"\"", "\"7x\"", "true", "[7]", "{}", "null"] {
            assert_eq!(value(text).number(), Err(Oddity::WrongType), "{text}");
        }
    }

    #[test]
    fn a_strict_integer_has_neither_fraction_nor_quotes() {
        assert_eq!(value("1789000000100").strict_integer(), Ok(1_789_000_000_100));
        for text in ["1789000000100.0", "1e3", "\"7\"", "9223372036854775808", "null"] {
            assert_eq!(value(text).strict_integer(), Err(Oddity::WrongType), "{text}");
        }
    }
}
