use super::AccessClaims;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The accounts that there are, and the tokens that were given out and still hold.
#[derive(Debug, Default)]
pub(super) struct Accounts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    accounts: HashMap<String, Account>,
    tokens: HashMap<String, Grant>,
}

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) generation: i64,
    keys_changed_at: i64,
    client_state: [u8; 16],
}

/// What an access token stands for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) subject: String,
    pub(super) client_id: String,
    pub(super) scopes: Vec<String>,
    pub(super) generation: Option<i64>,
    /// Milliseconds since the epoch.
    pub(super) issued_at: i64,
    /// Milliseconds since the epoch; a refresh token has no end.
    pub(super) expires_at: Option<i64>,
}

impl Grant {
    pub(super) fn of(claims: &AccessClaims) -> Self {
        Self {
            subject: claims.subject.clone(),
            client_id: claims.client_id.clone(),
            scopes: claims.scope.split_whitespace().map(str::to_owned).collect(),
            generation: claims.generation,
            issued_at: claims.issued_at * 1000,
            expires_at: Some(claims.expires_at * 1000),
        }
    }

    /// The right to new access tokens, for as long as it is not taken back.
    pub(super) fn without_end(self) -> Self {
        Self { expires_at: None, ..self }
    }
}

impl Account {
    fn new(now: i64) -> Self {
        let mut client_state = [0; 16];
        getrandom::fill(&mut client_state).expect("the system gives random bytes");
        Self { generation: now, keys_changed_at: now, client_state }
    }

    pub(super) fn key_id(&self) -> String {
        format!("{:013}-{}", self.keys_changed_at, URL_SAFE_NO_PAD.encode(self.client_state))
    }
}

impl Accounts {
    pub(super) fn sign_up(&self, subject: &str, now: i64) {
        self.lock().accounts.insert(subject.to_owned(), Account::new(now));
    }

    pub(super) fn find(&self, subject: &str) -> Option<Account> {
        self.lock().accounts.get(subject).cloned()
    }

    pub(super) fn change_password(&self, subject: &str, now: i64) -> Option<i64> {
        self.change(subject, |account| account.generation = now)
    }

    pub(super) fn reset_password(&self, subject: &str, now: i64) -> Option<i64> {
        self.change(subject, |account| *account = Account::new(now))
    }

    pub(super) fn delete(&self, subject: &str) {
        let mut inner = self.lock();
        inner.accounts.remove(subject);
        inner.forget_tokens_of(subject);
    }

    pub(super) fn remember(&self, token: &str, grant: Grant) {
        self.lock().tokens.insert(token.to_owned(), grant);
    }

    pub(super) fn forget(&self, token: &str) {
        self.lock().tokens.remove(token);
    }

    pub(super) fn verify(&self, token: &str) -> Option<Grant> {
        self.lock().tokens.get(token).cloned()
    }

    /// The new generation.
    fn change(&self, subject: &str, change: impl FnOnce(&mut Account)) -> Option<i64> {
        let mut inner = self.lock();
        let account = inner.accounts.get_mut(subject)?;
        change(account);
        let generation = account.generation;
        inner.forget_tokens_of(subject);
        Some(generation)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_tokens_of(&mut self, subject: &str) {
        self.tokens.retain(|_, grant| grant.subject != subject);
    }
}
