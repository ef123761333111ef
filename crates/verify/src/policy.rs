//! What each route needs of a token, and whether a token has it. Pure: no clock, no I/O.
//!
//! A [`Policy`] is made of [`RouteConfig`]s and answers with the [`Rule`] for a method and a path. Of several patterns
//! that match a path the most specific one decides. A method that none of its rules names gets the strictest of them
//! all: every scope, only clients that all allow, facts asked for now, nothing stale, nobody anonymous. A path that no
//! pattern matches is served to nobody; a path that could be read in more than one way neither.

mod config;
mod path;
mod pattern;
mod rule;

pub use config::{InvalidPolicy, PolicyConfig, RouteConfig};
pub use rule::Rule;

use crate::{AfterChange, Rejection};
use account::IdpId;
use config::known_by_all;
use path::Path;
use pattern::Pattern;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What each route needs of a token.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The most specific first.
    routes: Vec<Route>,
    after_change: BTreeMap<IdpId, AfterChange>,
    realm: Box<str>,
}

type Rules = Vec<(Methods, Arc<Rule>)>;

/// A pattern, and its rules.
#[derive(Clone, Debug)]
struct Route {
    pattern: Pattern,
    rules: Rules,
    strictest: Arc<Rule>,
}

/// Which methods a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Methods {
    /// Those that every HTTP server knows (RFC 9110 section 9, RFC 5789).
    Known,
    /// These.
    Named(Vec<String>),
}

impl Policy {
    /// From its configuration, checked.
    pub fn new(config: &PolicyConfig) -> Result<Self, InvalidPolicy> {
        let patience = config.patience_milliseconds.map(|millis| Duration::from_millis(millis.into()));
        let mut routes: Vec<(Pattern, Rules)> = Vec::new();
        for (number, route) in config.routes.iter().enumerate() {
            let (pattern, methods, rule) = route.read(number, patience)?;
            let known = routes.iter_mut().find(|(known, _)| known.same_paths(&pattern));
            match known {
                None => routes.push((pattern, vec![(methods, Arc::new(rule))])),
                Some((_, rules)) if rules.iter().any(|(others, _)| others.overlap(&methods)) => {
                    return Err(InvalidPolicy::Twice { path: route.path.clone() });
                }
                Some((_, rules)) => rules.push((methods, Arc::new(rule))),
            }
        }
        let mut routes: Vec<Route> =
            routes.into_iter().map(|(pattern, rules)| Route::new(pattern, rules)).collect();
        routes.sort_by(|a, b| a.pattern.by_specificity(&b.pattern));
        let realm = config.checked_realm()?;
        Ok(Self { routes, after_change: config.after_change.clone(), realm })
    }

    /// The rule for a method and a path, as they stand in the request line: the path encoded, without the query.
    pub fn rule(&self, method: &str, path: &str) -> Result<&Arc<Rule>, Rejection> {
        let path = Path::read(path).ok_or(Rejection::AmbiguousPath)?;
        let route = self.routes.iter().find(|route| route.pattern.matches(&path));
        Ok(route.ok_or(Rejection::NotServed)?.rule(method))
    }

    /// What an earlier grant of this identity provider is worth after a change.
    pub fn after_change(&self, idp: &IdpId) -> AfterChange {
        self.after_change.get(idp).copied().unwrap_or_default()
    }

    /// The realm of its challenges.
    pub fn realm(&self) -> &str {
        &self.realm
    }
}

impl Route {
    fn new(pattern: Pattern, rules: Rules) -> Self {
        let strictest = Arc::new(Rule::strictest(rules.iter().map(|(_, rule)| &**rule)));
        Self { pattern, rules, strictest }
    }

    fn rule(&self, method: &str) -> &Arc<Rule> {
        let named = self.rules.iter().find(|(methods, _)| methods.have(method));
        named.map_or(&self.strictest, |(_, rule)| rule)
    }
}

impl Methods {
    fn have(&self, method: &str) -> bool {
        match self {
            Self::Known => known_by_all(method),
            Self::Named(methods) => methods.iter().any(|named| named == method),
        }
    }

    fn overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known, Self::Known) => true,
            (Self::Named(methods), other) | (other, Self::Named(methods)) => {
                methods.iter().any(|method| other.have(method))
            }
        }
    }
}

#[cfg(test)]
mod tests;
