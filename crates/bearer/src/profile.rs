//! An account's profile, as its identity provider tells it to the account's own token.

use crate::meters::Meters;
use crate::{AccountSettings, InvalidSettings, Refusal};
use account::Subject;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use outbound::{Answer, Client, Manners, OutboundError, StatusCode, Url};
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use verify::{Rejection, Scopes};

/// How long to stay away when the identity provider does not say.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// What the columns hold.
const LONGEST_EMAIL: usize = 320;
const LONGEST_LOCALE: usize = 64;

/// Where profiles are asked for.
pub(crate) struct Profiles {
    client: Client,
    url: Url,
}

/// What is kept of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) email: String,
    pub(crate) locale: Option<String>,
}

/// What the identity provider tells: Mozilla accounts say `uid`, OpenID Connect Core section 5.3.2 says `sub`.
#[derive(Deserialize)]
struct Told {
    uid: Option<String>,
    sub: Option<String>,
    email: Option<String>,
    locale: Option<String>,
}

impl Profiles {
    pub(crate) fn new(settings: &AccountSettings) -> Result<Self, InvalidSettings> {
        let deadline = settings.profile_timeout();
        let connect_timeout = deadline.min(Manners::default().connect_timeout);
        let manners = Manners { connect_timeout, deadline, ..Manners::default() };
        let client = Client::for_operator_addresses(&manners)
            .map_err(|error| InvalidSettings::Client(error.to_string()))?;
        Ok(Self { client, url: settings.profile_url()? })
    }

    /// The profile of the account whose token this is; that it is of `subject` is checked.
    pub(crate) async fn ask(
        &self,
        token: &str,
        subject: &Subject,
        meters: &Meters,
    ) -> Result<Profile, Refusal> {
        let began = Instant::now();
        let answer = self.exchange(token).await;
        let result = match &answer {
            Ok(answer) if answer.status() == StatusCode::OK => "OK",
            Err(OutboundError::Timeout { .. }) => "timeout",
            _ => "bad_response",
        };
        meters.profile(result, began.elapsed());
        read(&answer.map_err(|error| unavailable(&error))?, subject)
    }

    async fn exchange(&self, token: &str) -> Result<Answer, OutboundError> {
        let mut value =
            HeaderValue::try_from(format!("Bearer {token}")).expect("a bearer token is visible ASCII");
        value.set_sensitive(true);
        self.client.get(&self.url).header(AUTHORIZATION, value).accept_json().send().await
    }
}

/// 401: the token has died since it was checked. 403, or a member that is missing: it lacks a scope, and the identity
/// provider leaves out what it does not cover. Everything else is trouble.
fn read(answer: &Answer, subject: &Subject) -> Result<Profile, Refusal> {
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => {
            return Err(Rejection::InvalidToken(verify::Refusal::IdentityProvider).into());
        }
        StatusCode::FORBIDDEN => return Err(lacks("profile")),
        _ => return Err(unavailable(&answer.failure())),
    }
    let Ok(told) = jose::from_object::<Told>(answer.body()) else {
        tracing::warn!("the identity provider's profile is not what it should be");
        return Err(Rejection::Unavailable { retry_after: RETRY_AFTER }.into());
    };
    let names = [told.uid.as_deref(), told.sub.as_deref()];
    if names.into_iter().flatten().any(|name| name != subject.as_str()) {
        tracing::warn!("the identity provider told the profile of another account than the token's");
        return Err(Refusal::ProfileMismatch);
    }
    if names == [None, None] {
        return Err(lacks("profile:uid"));
    }
    let is_kept = |text: &String, longest| text.len() <= longest && !text.chars().any(char::is_control);
    let email = told.email.filter(|email| is_kept(email, LONGEST_EMAIL) && email.contains('@'));
    let locale = told.locale.filter(|locale| !locale.is_empty() && is_kept(locale, LONGEST_LOCALE));
    Ok(Profile { email: email.ok_or_else(|| lacks("profile:email"))?, locale })
}

fn lacks(scope: &'static str) -> Refusal {
    Rejection::InsufficientScope { required: Arc::new(Scopes::new(scope)) }.into()
}

fn unavailable(error: &OutboundError) -> Refusal {
    tracing::warn!(%error, "the identity provider does not tell a profile");
    Rejection::Unavailable { retry_after: error.retry_after().unwrap_or(RETRY_AFTER) }.into()
}
