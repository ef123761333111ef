use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::sync::Arc;

/// The scopes a token grants (RFC 6749 section 3.3): words divided by white space.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Scopes(pub(crate) Arc<str>);

impl Scopes {
    /// From the text of a `scope` claim.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// All of them, as they came.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scopes one by one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace()
    }

    /// Whether one of them covers `required`, by the rules of Mozilla accounts:
    ///
    /// * A URL covers itself and every URL below it: `https://identity.mozilla.com/apps` covers `…/apps/oldsync`, and
    ///   not `…/appsec`. A fragment, where one is granted, must be the required one; a URL granted without one covers
    ///   every fragment.
    /// * Names divided by colons cover themselves and every longer one: `profile` covers `profile:email`. Writing must
    ///   be granted by name: `profile:write` covers `profile`, `profile:email` and `profile:email:write`; `profile`
    ///   covers none that ends in `:write`.
    /// * A URL never covers a name, nor a name a URL.
    pub fn grants(&self, required: &str) -> bool {
        self.iter().any(|granted| covers(granted, required))
    }
}

impl<S: AsRef<str>> FromIterator<S> for Scopes {
    fn from_iter<I: IntoIterator<Item = S>>(scopes: I) -> Self {
        let mut text = String::new();
        for scope in scopes {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(scope.as_ref());
        }
        Self(Arc::from(text))
    }
}

fn covers(granted: &str, required: &str) -> bool {
    match (is_url(granted), is_url(required)) {
        (true, true) => url_covers(granted, required),
        (false, false) => name_covers(granted, required),
        _ => false,
    }
}

fn is_url(scope: &str) -> bool {
    scope.starts_with("https:")
}

fn url_covers(granted: &str, required: &str) -> bool {
    let (granted, granted_fragment) = without_fragment(granted);
    let (required, required_fragment) = without_fragment(required);
    let granted = granted.strip_suffix('/').unwrap_or(granted);
    // A bare `https://` names nobody: it covers nothing.
    let names_a_host =
        granted.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    names_a_host
        && required.strip_prefix(granted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && granted_fragment.is_none_or(|fragment| required_fragment == Some(fragment))
}

fn without_fragment(url: &str) -> (&str, Option<&str>) {
    url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)))
}

fn name_covers(granted: &str, required: &str) -> bool {
    let (granted, granted_write) = without_write(granted);
    let (required, required_write) = without_write(required);
    !granted.is_empty()
        && (granted_write || !required_write)
        && required.strip_prefix(granted).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

fn without_write(name: &str) -> (&str, bool) {
    name.strip_suffix(":write").map_or((name, false), |name| (name, true))
}

impl<'de> Deserialize<'de> for Scopes {
    /// A text, or an array of texts.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrArray;

        impl<'de> Visitor<'de> for TextOrArray {
            type Value = Scopes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("scopes divided by white space, or an array of scopes")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Scopes, E> {
                Ok(Scopes::new(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Scopes, A::Error> {
                let mut scopes = Vec::new();
                while let Some(scope) = array.next_element::<String>()? {
                    scopes.push(scope);
                }
                Ok(scopes.into_iter().collect())
            }
        }

        deserializer.deserialize_any(TextOrArray)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SYNC: &str = "https://identity.mozilla.com/apps/oldsync";

    #[test]
    fn a_url_covers_what_lies_below_it() {
        let covering = [
            SYNC,
            "https://identity.mozilla.com/apps/oldsync/",
            "https://identity.mozilla.com/apps",
            "https://identity.mozilla.com/apps/",
            "https://identity.mozilla.com",
            "profile https://identity.mozilla.com/apps",
            " \tprofile\n https://identity.mozilla.com/apps/oldsync\r\n",
        ];
        for granted in covering {
            assert!(Scopes::new(granted).grants(SYNC), "{granted}");
        }
        let others = [
            "",
            "https://identity.mozilla.com/apps/oldsync/more",
            "https://identity.mozilla.com/apps/old",
            "https://identity.mozilla.com/appsec",
            "https://identity.mozilla",
            "https://identity.mozilla.com.evil.example/apps/oldsync",
            "https://",
            "https:",
            "https:///",
            "http://identity.mozilla.com/apps/oldsync",
            "HTTPS://identity.mozilla.com/apps/oldsync",
            "https://identity.mozilla.com/apps/oldsync,profile",
            "oldsync",
            "apps/oldsync",
        ];
        for granted in others {
            assert!(!Scopes::new(granted).grants(SYNC), "{granted}");
        }
    }

    #[test]
    fn a_granted_fragment_must_be_the_required_one() {
        let grants = |granted: &str, required: &str| Scopes::new(granted).grants(required);
        assert!(grants("https://h/a#read", "https://h/a#read"));
        assert!(grants("https://h/a#read", "https://h/a/b#read"));
        assert!(grants("https://h/a", "https://h/a#read"));
        assert!(!grants("https://h/a#read", "https://h/a"));
        assert!(!grants("https://h/a#read", "https://h/a#write"));
        assert!(!grants("https://h/a#", "https://h/a"));
    }

    #[test]
    fn a_name_covers_longer_names_and_writing_is_granted_by_name() {
        let table = [
            ("profile", "profile", true),
            ("profile", "profile:email", true),
            ("profile", "profile:write", false),
            ("profile", "profile:email:write", false),
            ("profile:write", "profile", true),
            ("profile:write", "profile:email", true),
            ("profile:write", "profile:email:write", true),
            ("profile:email", "profile", false),
            ("profile:email:write", "profile:write", false),
            ("pro", "profile", false),
            ("profile", SYNC, false),
            (SYNC, "profile", false),
            (":write", "profile:write", false),
        ];
        for (granted, required, covered) in table {
            assert_eq!(Scopes::new(granted).grants(required), covered, "{granted} for {required}");
        }
    }

    #[test]
    fn scopes_come_as_a_text_or_as_an_array() {
        let read = |json: &str| serde_json::from_str::<Scopes>(json);
        assert_eq!(read(r#""a  b""#).expect("a text").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(read(r#"["a","b"]"#).expect("an array"), read(r#""a b""#).expect("a text"));
        for json in ["7", "null", r#"["a",1]"#, r#"{"a":1}"#] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn no_scopes_make_the_matching_panic_and_each_covers_itself(scope in "[!-~]{1,40}", text in "\\PC*") {
            let _ = (Scopes::new(&text).grants(&scope), Scopes::new(&scope).grants(&text));
            let odd = ["https:", ":write"].iter().any(|odd| scope.starts_with(odd));
            prop_assert!(odd || Scopes::new(&scope).grants(&scope));
        }
    }
}
