//! What a careful relying party looks at: who signed, for whom it is, whether it came before, whether it is in order.

use super::Heard;
use anyhow::{Context, Result, ensure};
use jose::{Compact, JwkSet};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// The only event that is told here.
const EVENT: &str = "https://schemas.accounts.firefox.com/event/password-change";

/// A delivery that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// The change time of what it told.
    pub(crate) change_time: i64,
    /// When it came, by the wall.
    pub(crate) at_us: i64,
}

/// The keys whose tokens are good.
#[derive(Default)]
pub(super) struct Keys(JwkSet);

/// A token that was signed by one of them.
#[derive(Deserialize)]
pub(super) struct Token {
    aud: String,
    sub: String,
    jti: String,
    events: HashMap<String, PasswordChange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasswordChange {
    change_time: i64,
}

impl Keys {
    pub(super) fn new(keys: JwkSet) -> Self {
        Self(keys)
    }

    /// Verifies and reads a token.
    pub(super) fn read(&self, token: &str) -> Result<Token> {
        let compact = Compact::split(token).context("no token")?;
        let header = compact.header()?;
        let kid = header.kid.as_deref().context("a token without a key id")?;
        let key = self.0.keys.iter().find(|key| key.kid() == Some(kid)).context("an unknown key")?;
        compact.verify(&header, key.public_key())?;
        Ok(serde_json::from_slice(&compact.payload()?)?)
    }
}

/// What came so far.
#[derive(Default)]
pub(super) struct Checks {
    seen: HashSet<String>,
    /// The latest change of an account that a relying party heard of.
    last: HashMap<(String, String), i64>,
    count: usize,
    heard: Heard,
}

impl Checks {
    /// Takes a delivery; how many came by now.
    pub(super) fn take(&mut self, token: Token, client_id: &str, at_us: i64) -> Result<usize> {
        ensure!(token.aud == client_id, "a token for {} came to {client_id}", token.aud);
        let told = token.events.get(EVENT).context("a token of another event")?;
        let change_time = told.change_time;
        ensure!(self.seen.insert(token.jti), "a token came twice");
        let before = self.last.insert((token.aud, token.sub), change_time);
        ensure!(before.is_none_or(|before| before < change_time), "an account's events out of order");
        self.heard.receipts.push(Receipt { change_time, at_us });
        self.count += 1;
        Ok(self.count)
    }

    pub(super) fn wrong(&mut self, error: &anyhow::Error) {
        self.heard.wrong.get_or_insert_with(|| format!("{error:#}"));
    }

    pub(super) fn hand_over(&mut self) -> Heard {
        std::mem::take(&mut self.heard)
    }
}
