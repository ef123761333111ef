//! What can be wrong with the configuration, said so that its writer can mend it.

use super::tree::Origin;
use std::fmt;

/// How alike two names must be (0 to 1) for one to be offered in place of the other.
const ALIKE: f64 = 0.7;

/// A setting that cannot be used: where it was written, which one, what is wrong, and what was perhaps meant.
#[derive(Debug)]
pub(crate) struct SettingsError(Box<Details>);

#[derive(Debug, Default)]
struct Details {
    origin: Option<Origin>,
    /// The keys from the root to the setting, the innermost first while the error travels outward.
    path: Vec<String>,
    message: String,
    hint: Option<String>,
    /// The key that the reader did not know, so that the table it stands in can say where.
    stray: Option<String>,
}

impl SettingsError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Details { message: message.into(), ..Details::default() }))
    }

    pub(crate) fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The innermost origin wins.
    pub(crate) fn written_at(mut self, origin: &Origin) -> Self {
        self.0.origin.get_or_insert_with(|| origin.clone());
        self
    }

    /// One step outward.
    pub(crate) fn inside(mut self, key: impl Into<String>) -> Self {
        self.0.path.push(key.into());
        self
    }

    /// The unknown key, once: for the table it was found in.
    pub(crate) fn take_stray(&mut self) -> Option<String> {
        self.0.stray.take()
    }

    fn unknown(what: &str, written: &str, known: &[&str]) -> Self {
        let error = Self::new(format!("unknown {what} `{written}`"));
        match nearest(written, known) {
            Some(meant) => error.hinted(format!("did you mean `{meant}`?")),
            None if known.is_empty() => error,
            None => error.hinted(format!("known here: {}", known.join(", "))),
        }
    }
}

fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|name| (strsim::jaro_winkler(written, name), *name));
    scored.filter(|(score, _)| *score >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.0.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.0.path.is_empty() {
            let path: Vec<&str> = self.0.path.iter().rev().map(String::as_str).collect();
            write!(f, "{}: ", path.join("."))?;
        }
        f.write_str(&self.0.message)?;
        self.0.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for SettingsError {}

impl serde::de::Error for SettingsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut error = Self::unknown("key", field, expected);
        error.0.stray = Some(field.to_owned());
        error
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("word", variant, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::Error;

    #[test]
    fn a_near_miss_gets_a_suggestion_and_a_far_one_the_list() {
        let near = SettingsError::unknown_field("token_duratoin", &["token_duration", "node_type"]);
        assert_eq!(near.to_string(), "unknown key `token_duratoin`; did you mean `token_duration`?");
        let far = SettingsError::unknown_field("zzz", &["token_duration", "node_type"]);
        assert_eq!(far.to_string(), "unknown key `zzz`; known here: token_duration, node_type");
    }

    #[test]
    fn the_message_says_where_and_which() {
        let error = SettingsError::new("`url` is missing").inside("store");
        let error = error.written_at(&Origin::Environment("HIGHWATER__STORE".to_owned()));
        assert_eq!(error.to_string(), "environment variable HIGHWATER__STORE: store: `url` is missing");
    }
}
