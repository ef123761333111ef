use super::{Methods, Pattern, Rule};
use crate::{AfterChange, Freshness, Scopes};
use account::IdpId;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Methods of RFC 9110 section 9.3 and RFC 5789.
const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// A policy as the operator configures it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// The routes, in any order.
    pub routes: Vec<RouteConfig>,
    /// What a grant from before a change is worth, by identity provider; `reintrospect` for those not named.
    pub after_change: BTreeMap<IdpId, AfterChange>,
    /// How long a request waits for a check, in milliseconds; as long as it takes unless set.
    pub patience_milliseconds: Option<u32>,
    /// The `realm` of challenges; `api` unless set.
    pub realm: Option<String>,
}

/// What a route needs of a token, as the operator configures it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Its paths: segments, each a text, or `{name}` for any one segment; `{*name}` at the end for any number of them,
    /// also none. A slash at the end makes no difference.
    pub path: String,
    /// For these methods, in capitals. All of RFC 9110 and `PATCH` unless set.
    #[serde(default)]
    pub methods: Option<Vec<String>>,
    /// The scopes a token must grant, all of them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The clients whose tokens are accepted; any unless set.
    #[serde(default)]
    pub clients: Option<Vec<String>>,
    /// How old facts may be, in seconds: 0 asks about the token with every request. As old as they are remembered unless
    /// set.
    #[serde(default)]
    pub max_age_seconds: Option<u32>,
    /// For how long older facts are accepted while the identity provider cannot be asked, in seconds; 0.
    #[serde(default)]
    pub stale_if_error_seconds: u32,
    /// The levels of assurance that will do (`acr`, RFC 9470); any unless set.
    #[serde(default)]
    pub acr_values: Option<Vec<String>>,
    /// How long ago the user may have proved who they are, in seconds (RFC 9470 `max_age`); any time unless set.
    #[serde(default)]
    pub authentication_max_age_seconds: Option<u32>,
    /// Whether requests without a token are let through. A bad token is refused all the same.
    #[serde(default)]
    pub anonymous: bool,
}

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// A path that is none.
    #[error("routes[{number}]: path {path:?} {why}")]
    Path {
        /// Which route, from 0.
        number: usize,
        /// Its path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A method that is none.
    #[error("routes[{number}]: {method:?} is no method; methods are named in capitals, as in GET")]
    Method {
        /// Which route, from 0.
        number: usize,
        /// What it has for a method.
        method: String,
    },
    /// A list that is there and allows nobody anything.
    #[error("routes[{number}]: {field} is empty: name what is allowed, or leave it out")]
    Empty {
        /// Which route, from 0.
        number: usize,
        /// Which list.
        field: &'static str,
    },
    /// A word that cannot stand in a challenge or a token (RFC 6749 section 3.3).
    #[error("{place}: {word:?} is empty or has white space, a quotation mark or a backslash in it")]
    Word {
        /// Where it is.
        place: String,
        /// The word.
        word: String,
    },
    /// A method of a path that two routes are for.
    #[error("two routes for the path {path:?} are for the same method")]
    Twice {
        /// The path of the second one.
        path: String,
    },
    /// Anonymous requests are let through where a token must have something.
    #[error("routes[{number}]: anonymous is true, so {field} would keep nobody out")]
    Anonymous {
        /// Which route, from 0.
        number: usize,
        /// What a token must have.
        field: &'static str,
    },
}

pub(super) fn known_by_all(method: &str) -> bool {
    KNOWN.contains(&method)
}

impl PolicyConfig {
    pub(super) fn checked_realm(&self) -> Result<Box<str>, InvalidPolicy> {
        let realm = self.realm.as_deref().unwrap_or("api");
        word(|| "realm".to_owned(), realm).map(Box::from)
    }
}

impl RouteConfig {
    pub(super) fn read(
        &self,
        number: usize,
        patience: Option<Duration>,
    ) -> Result<(Pattern, Methods, Rule), InvalidPolicy> {
        let path = |why| InvalidPolicy::Path { number, path: self.path.clone(), why };
        let pattern = Pattern::read(&self.path).map_err(path)?;
        let methods = self.methods(number)?;
        self.check_words(number)?;
        self.check_anonymous(number)?;
        Ok((pattern, methods, self.rule(patience)))
    }

    fn rule(&self, patience: Option<Duration>) -> Rule {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let boxed =
            |list: &Vec<String>| list.iter().map(|word| Box::from(word.as_str())).collect::<Arc<[_]>>();
        Rule {
            template: Box::from(self.path.as_str()),
            scopes: self.scopes.iter().collect::<Scopes>().into(),
            clients: self.clients.as_ref().map(boxed),
            freshness: Freshness {
                max_age: self.max_age_seconds.map(seconds),
                stale_if_error: seconds(self.stale_if_error_seconds),
                patience,
            },
            acr_values: self.acr_values.iter().map(boxed).collect(),
            authentication_max_age_seconds: self.authentication_max_age_seconds,
            anonymous: self.anonymous,
        }
    }

    fn methods(&self, number: usize) -> Result<Methods, InvalidPolicy> {
        let Some(methods) = &self.methods else { return Ok(Methods::Known) };
        if methods.is_empty() {
            return Err(InvalidPolicy::Empty { number, field: "methods" });
        }
        let odd = |method: &&String| {
            method.is_empty()
                || !method.bytes().all(|byte| byte.is_ascii_uppercase() || b"-_".contains(&byte))
        };
        match methods.iter().find(odd) {
            Some(method) => Err(InvalidPolicy::Method { number, method: method.clone() }),
            None => Ok(Methods::Named(methods.clone())),
        }
    }

    fn check_words(&self, number: usize) -> Result<(), InvalidPolicy> {
        let lists = [("clients", &self.clients), ("acr_values", &self.acr_values)];
        for (field, list) in lists {
            if list.as_ref().is_some_and(Vec::is_empty) {
                return Err(InvalidPolicy::Empty { number, field });
            }
        }
        let lists = lists.into_iter().filter_map(|(field, list)| Some((field, list.as_ref()?)));
        for (field, list) in lists.chain([("scopes", &self.scopes)]) {
            for text in list {
                word(|| format!("routes[{number}].{field}"), text)?;
            }
        }
        Ok(())
    }

    fn check_anonymous(&self, number: usize) -> Result<(), InvalidPolicy> {
        let needs = [
            ("scopes", !self.scopes.is_empty()),
            ("clients", self.clients.is_some()),
            ("acr_values", self.acr_values.is_some()),
            ("authentication_max_age_seconds", self.authentication_max_age_seconds.is_some()),
        ];
        match needs.into_iter().find(|(_, needed)| self.anonymous && *needed) {
            Some((field, _)) => Err(InvalidPolicy::Anonymous { number, field }),
            None => Ok(()),
        }
    }
}

/// RFC 6749 section 3.3, `scope-token`: what can stand between quotation marks, and between spaces.
fn word(place: impl Fn() -> String, text: &str) -> Result<&str, InvalidPolicy> {
    let good = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !text.is_empty() && text.bytes().all(good) {
        Ok(text)
    } else {
        Err(InvalidPolicy::Word { place: place(), word: text.to_owned() })
    }
}
