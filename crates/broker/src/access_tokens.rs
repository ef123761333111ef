//! Access tokens by which we may call a relying party: OAuth 2.0 client credentials (RFC 6749 section 4.4).

use crate::redact::STRUCK;
use crate::rp::OauthClient;
use crate::{ClientId, RelyingParty, Secret};
use account::Millis;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use outbound::{Answer, Client, OutboundError, Url};
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

/// The largest answer of a token endpoint.
const LARGEST: usize = 64 * 1024;
/// A token whose life is not told lives this long.
const LIFE: Duration = Duration::from_mins(5);
/// None is used for longer, whatever it is said to live.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// The tokens of one process, one for each relying party that wants to see one.
#[derive(Default)]
pub(crate) struct AccessTokens(Mutex<HashMap<ClientId, Arc<Place>>>);

/// Where one relying party's token is. Whoever needs one waits for whoever is fetching it.
#[derive(Default)]
struct Place {
    fetching: tokio::sync::Mutex<()>,
    held: Mutex<Option<Held>>,
}

impl Place {
    fn authorization(&self, by: &OauthClient, now: Millis) -> Option<HeaderValue> {
        let held = self.held.lock();
        held.as_ref().filter(|held| held.by == *by && now < held.until).map(|held| held.authorization.clone())
    }
}

struct Held {
    by: OauthClient,
    authorization: HeaderValue,
    until: Millis,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoToken {
    #[error("no access token: {0}")]
    Outbound(#[from] OutboundError),
    #[error("no access token: what the token endpoint gave is no bearer token")]
    Odd,
}

impl AccessTokens {
    /// The `Authorization` for a relying party that wants an access token; `None` for every other. `client` is the one
    /// that calls it: what it may reach and what it shows holds for the token endpoint too.
    pub(crate) async fn authorization(
        &self,
        rp: &RelyingParty,
        client: &Client,
        now: Millis,
    ) -> Result<Option<HeaderValue>, NoToken> {
        let Some(by) = &rp.secrets.oauth else { return Ok(None) };
        let place = Arc::clone(self.0.lock().entry(rp.client_id.clone()).or_default());
        if let Some(authorization) = place.authorization(by, now) {
            return Ok(Some(authorization));
        }
        let _fetching = place.fetching.lock().await;
        if let Some(authorization) = place.authorization(by, now) {
            return Ok(Some(authorization));
        }
        let (authorization, life) = fetch(by, &client.taking(LARGEST), rp.config.deadline()).await?;
        // It is given up before it ends, so that it does not end on the way.
        let until = now.plus(life.min(LONGEST_LIFE) * 4 / 5);
        *place.held.lock() = Some(Held { by: by.clone(), authorization: authorization.clone(), until });
        Ok(Some(authorization))
    }

    /// A text without a relying party's token: receivers echo what they were sent.
    pub(crate) fn struck_out(&self, client_id: &ClientId, text: String) -> String {
        let place = self.0.lock().get(client_id).map(Arc::clone);
        let Some(place) = place else { return text };
        let held = place.held.lock();
        let value = held.as_ref().and_then(|held| held.authorization.to_str().ok()?.split_once(' '));
        match value {
            Some((_, token)) => text.replace(token, STRUCK),
            None => text,
        }
    }

    /// Forgets a relying party's token: it did not take it.
    pub(crate) fn forget(&self, client_id: &ClientId) {
        self.0.lock().remove(client_id);
    }
}

async fn fetch(
    by: &OauthClient,
    client: &Client,
    deadline: Duration,
) -> Result<(HeaderValue, Duration), NoToken> {
    #[derive(Deserialize)]
    struct Given {
        access_token: Secret,
        token_type: String,
        #[serde(default)]
        expires_in: Option<u64>,
    }
    let url: Url = by.token_url.parse().map_err(|_| NoToken::Odd)?;
    let mut fields = vec![("grant_type", "client_credentials")];
    fields.extend(by.scope.as_deref().map(|scope| ("scope", scope)));
    fields.extend(by.resource.as_deref().map(|resource| ("resource", resource)));
    let request = client.post_form(&url, &fields).deadline(deadline).accept_json();
    let answer = request.header(AUTHORIZATION, basic(by)).send().await.and_then(Answer::success)?;
    let given: Given = answer.json()?;
    // RFC 6749 section 7.1: a token of a type that is not understood must not be used.
    if !given.token_type.eq_ignore_ascii_case("bearer") || given.access_token.reveal().is_empty() {
        return Err(NoToken::Odd);
    }
    let value = Zeroizing::new(format!("Bearer {}", given.access_token.reveal()));
    let mut value = HeaderValue::from_str(&value).map_err(|_| NoToken::Odd)?;
    value.set_sensitive(true);
    Ok((value, given.expires_in.map_or(LIFE, Duration::from_secs)))
}

/// RFC 6749 section 2.3.1: id and secret are encoded as a form's values are, then joined.
fn basic(by: &OauthClient) -> HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(&by.client_id), encoded(by.client_secret.reveal())));
    let text = format!("Basic {}", STANDARD.encode(pair.as_bytes()));
    let mut value = HeaderValue::from_str(&text).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}
