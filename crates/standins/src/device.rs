use crate::hawk::{HawkHeader, HawkRequest};
use crate::idp::SignIn;
use account::Millis;
use serde::Deserialize;
use url::Url;

/// A device that has signed in: it keeps what it got then until it signs in again, whatever became of the account.
#[derive(Clone, Debug)]
pub struct Device {
    sign_in: SignIn,
}

/// What the Tokenserver answers, with what a client reads of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct TokenAnswer {
    /// The token: the Hawk id.
    pub id: String,
    /// The Hawk key: used as this text, not as what it encodes.
    pub key: String,
    /// The user's number.
    pub uid: i64,
    /// Where this user's data is: `<node>/1.5/<uid>`.
    pub api_endpoint: String,
    /// How many seconds it lasts.
    pub duration: i64,
    /// The account, hashed for metrics.
    pub hashed_fxa_uid: String,
    /// Always `sha256`.
    pub hashalg: String,
    /// What kind of node it is.
    pub node_type: String,
}

impl Device {
    /// A device with what a sign-in gave it.
    pub fn new(sign_in: SignIn) -> Self {
        Self { sign_in }
    }

    /// The headers of its request for a token: names in lower case, and values.
    pub fn credentials(&self) -> [(&'static str, String); 2] {
        let SignIn { access_token, key_id } = &self.sign_in;
        [("authorization", format!("Bearer {access_token}")), ("x-keyid", key_id.clone())]
    }
}

impl TokenAnswer {
    /// The URL that tells which collections the user has: what every client asks first.
    pub fn collections_url(&self) -> String {
        format!("{}/info/collections", self.api_endpoint)
    }

    /// The `Authorization` header of a request to the node, signed with this token. `method` is in upper case.
    pub fn sign(&self, method: &str, url: &Url, now: Millis) -> String {
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        let request = HawkRequest {
            method,
            target: &format!("{}{query}", url.path()),
            host: url.host_str().unwrap_or_default(),
            port: url.port_or_known_default().unwrap_or_default(),
        };
        let mut nonce = [0; 6];
        getrandom::fill(&mut nonce).expect("the system gives random bytes");
        HawkHeader::sign(&self.id, &self.key, now.seconds(), &hex::encode(nonce), request).to_string()
    }
}
