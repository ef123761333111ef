use crate::{Answer, Facts, Freshness, Pass, Rejection, Scopes};
use account::Millis;
use std::sync::Arc;
use std::time::Duration;

/// How far clocks may differ where the age of a sign-in is judged.
const LEEWAY: Duration = Duration::from_secs(5);

/// What a route needs of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) template: Box<str>,
    pub(super) scopes: Arc<Scopes>,
    pub(super) clients: Option<Arc<[Box<str>]>>,
    pub(super) freshness: Freshness,
    /// Each of these lists must have the token's level in it.
    pub(super) acr_values: Vec<Arc<[Box<str>]>>,
    pub(super) authentication_max_age_seconds: Option<u32>,
    pub(super) anonymous: bool,
}

impl Rule {
    /// The path pattern it was configured with: a label for metrics, as there are few of them.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// How fresh facts must be.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Whether requests without a token are let through.
    pub fn allows_anonymous(&self) -> bool {
        self.anonymous
    }

    /// Whether a token that is good is good enough here.
    pub fn allows(&self, facts: &Facts, now: Millis) -> Result<(), Rejection> {
        if !self.allows_client(facts.client_id.as_deref()) {
            return Err(Rejection::ClientNotAllowed);
        }
        if !self.scopes.iter().all(|scope| facts.scopes.grants(scope)) {
            return Err(Rejection::InsufficientScope { required: Arc::clone(&self.scopes) });
        }
        self.allows_sign_in(facts, now)
    }

    /// Lets a request with this token through, if it is good enough here.
    pub(crate) fn pass(self: &Arc<Self>, answer: Answer, now: Millis) -> Result<Pass, Rejection> {
        self.allows(&answer.facts, now)?;
        Ok(Pass { answer: Some(answer), rule: Arc::clone(self) })
    }

    fn allows_client(&self, client: Option<&str>) -> bool {
        self.clients.as_ref().is_none_or(|allowed| {
            client.is_some_and(|client| allowed.iter().any(|allowed| **allowed == *client))
        })
    }

    /// RFC 9470 section 3: judged at the request, by what the token says of the sign-in.
    fn allows_sign_in(&self, facts: &Facts, now: Millis) -> Result<(), Rejection> {
        let sure_enough = |levels: &Arc<[Box<str>]>| {
            facts.acr.as_deref().is_some_and(|acr| levels.iter().any(|level| **level == *acr))
        };
        let lacking = self.acr_values.iter().find(|levels| !sure_enough(levels));
        let too_old = self.authentication_max_age_seconds.filter(|seconds| {
            let max_age = Duration::from_secs((*seconds).into()) + LEEWAY;
            facts.auth_time.is_none_or(|auth_time| auth_time.at().plus(max_age) < now)
        });
        if lacking.is_none() && too_old.is_none() {
            return Ok(());
        }
        // Both, even if one is met: who signs in again is to meet them at once.
        let acr_values = lacking.or(self.acr_values.first()).cloned().unwrap_or_default();
        Err(Rejection::InsufficientAuthentication {
            acr_values,
            max_age_seconds: self.authentication_max_age_seconds,
        })
    }

    /// What meets the strictest of them meets every one, and more: facts are asked for now.
    pub(super) fn strictest<'a>(rules: impl Iterator<Item = &'a Self>) -> Self {
        let mut strictest = Self {
            template: Box::default(),
            scopes: Arc::default(),
            clients: None,
            freshness: Freshness::NOW,
            acr_values: Vec::new(),
            authentication_max_age_seconds: None,
            anonymous: false,
        };
        for rule in rules {
            strictest.template.clone_from(&rule.template);
            strictest.freshness.patience = rule.freshness.patience;
            strictest.scopes = Arc::new(strictest.scopes.iter().chain(rule.scopes.iter()).collect());
            strictest.clients = both(strictest.clients, rule.clients.as_ref());
            strictest.acr_values.extend(rule.acr_values.iter().cloned());
            let ages = [strictest.authentication_max_age_seconds, rule.authentication_max_age_seconds];
            strictest.authentication_max_age_seconds = ages.into_iter().flatten().min();
        }
        strictest
    }
}

/// Those whom both allow; perhaps nobody.
fn both(one: Option<Arc<[Box<str>]>>, other: Option<&Arc<[Box<str>]>>) -> Option<Arc<[Box<str>]>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.iter().filter(|it| other.contains(it)).cloned().collect()),
        (one, other) => one.or_else(|| other.cloned()),
    }
}
