//! Sessions and grants, as rows have them and as everybody may see them: no token.

use super::broken;
use crate::rules::{Left, Retired, is_refused, left};
use crate::{GrantId, GrantState, Reason, SessionId, Settings};
use account::{AccountId, IdpId, Mark, Millis, State, Subject};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Row, StoreError};
use utoipa::ToSchema;

/// A JSON object.
pub type Object = Map<String, Value>;

/// A session, as services and operators see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its name.
    pub id: SessionId,
    /// Its identity provider.
    #[schema(value_type = String)]
    pub idp: IdpId,
    /// The account there.
    #[schema(value_type = String)]
    pub subject: Subject,
    /// The identity provider's own name of the login, where it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Whether it has ended.
    pub state: SessionState,
    /// Why it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Rises with every change.
    pub version: i64,
    /// When the user proved who they are, else when the session was created; milliseconds since the epoch. Account events
    /// up to their time end it.
    #[schema(value_type = i64)]
    pub authenticated_at: Millis,
    /// Milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub created_at: Millis,
    /// Milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub updated_at: Millis,
    /// When it ends by itself; milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub expires_at: Millis,
    /// When it ended; milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<Millis>,
    /// When somebody last said that it was used; milliseconds since the epoch. Not kept in step with `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub touched_at: Option<Millis>,
    /// What is said of the user, by who says it.
    pub claims: Claims,
    /// The service's own.
    #[schema(value_type = Object)]
    pub data: Object,
    /// What it can be refreshed by, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantView>,
    /// Why the user must log in again before there is another access token; until then the session is good for whatever needs
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_needed: Option<Reason>,
    /// How it goes with asking who the user is, if that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo: Option<UserInfoView>,
    /// What the ledger says of the account.
    #[serde(skip)]
    pub(crate) account: Standing,
}

/// What the ledger says of an account, as far as it decides about a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) mark: Mark,
    pub(crate) state: State,
}

impl SessionView {
    /// As it is to be seen now: what the mark, the account's state and the time say counts, whatever its row says yet.
    pub(crate) fn judged(mut self, settings: &Settings, now: Millis) -> Self {
        if self.state == SessionState::Live {
            let Standing { mark, state } = self.account;
            let ends_on = settings.ends_on(&self.idp);
            let over = (self.expires_at <= now).then_some(Reason::Expired);
            let (left, reason) = self.left(settings, now);
            let over = over.or((left == Left::Nothing).then_some(reason));
            if let Some(reason) = is_refused(self.authenticated_at, mark, state, &ends_on).or(over) {
                self.state = SessionState::Ended;
                self.reason = Some(reason);
            } else if left == Left::LoginNeeded {
                self.login_needed = Some(reason);
            }
        }
        self
    }

    /// What it is good for, by its grant, and why for no more.
    fn left(&self, settings: &Settings, now: Millis) -> (Left, Reason) {
        let retired = self.grant.as_ref().filter(|grant| grant.state == GrantState::Retired);
        let Some(grant) = retired else { return (Left::Everything, Reason::LostReply) };
        let reason = grant.reason.unwrap_or(Reason::LostReply);
        let retired = Retired { reason, issued_at: grant.issued_at, expires_at: grant.expires_at };
        (left(&retired, settings.when_retired(&self.idp), &settings.timing(), now), reason)
    }
}

/// Whether a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It has not.
    Live,
    /// It has.
    Ended,
}

impl SessionState {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ended => "ended",
        }
    }
}

/// What is said of a user. Each source's are replaced as a whole: what it says no longer is gone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Claims {
    /// By the service, at the login.
    #[schema(value_type = Object)]
    pub login: Object,
    /// By the last ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub id_token: Option<Object>,
    /// By the user info endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub userinfo: Option<Object>,
}

/// A grant, as everybody may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    /// Its name.
    pub id: GrantId,
    /// How it stands.
    pub state: GrantState,
    /// Why it has ended, or is refreshed no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// How often it was refreshed.
    pub generation: i64,
    /// When its access token came; milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub issued_at: Millis,
    /// When its access token ends; milliseconds since the epoch; absent: it was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub expires_at: Option<Millis>,
    /// When it is refreshed next; milliseconds since the epoch; absent: not until somebody uses it, or never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub next_attempt_at: Option<Millis>,
    /// Failures since it was last refreshed.
    pub failures: u32,
    /// The last thing that went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// How it goes with asking the identity provider who a user is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserInfoView {
    /// When it told last; milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub fetched_at: Option<Millis>,
    /// When it is asked next; milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub next_fetch_at: Option<Millis>,
    /// Failures since it told last.
    pub failures: u32,
    /// The last thing that went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// Of what kind: `terminal`, `misconfigured`, `throttled`, `known_failed`, `ambiguous`, `mismatch` or `userinfo`.
    pub class: String,
    /// In words.
    pub text: String,
    /// When; milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub at: Millis,
}

/// The columns that [`session`] reads, in its order.
macro_rules! session_columns {
    () => {
        "s.id, s.idp, s.subject, s.sid, s.state, s.reason, s.version, s.born_at, s.created_at, s.updated_at, s.expires_at,
         s.ended_at, t.touched_at, s.claims, g.claims, u.claims, s.data,
         g.id, g.state, g.reason, g.generation, g.issued_at, g.expires_at, g.next_attempt_at, g.failures, g.error_class,
         g.error_text, g.error_at, a.mark, a.state, u.failures, u.fetched_at, u.next_fetch_at, u.error_text, u.error_at"
    };
}
pub(crate) use session_columns;

/// Where they come from, besides `sessions s`.
macro_rules! session_joins {
    () => {
        " left join grants g on g.id = s.grant_id
         left join session_touches t on t.session_id = s.id
         left join session_users u on u.idp = s.idp and u.subject = s.subject
         left join accounts a on a.idp = s.idp and a.subject = s.subject "
    };
}
pub(crate) use session_joins;

pub(crate) fn session(row: &Row<'_>) -> Result<SessionView, StoreError> {
    Ok(SessionView {
        id: session_id(row.text(0)?)?,
        idp: IdpId::new(row.text(1)?).map_err(|error| broken(&error))?,
        subject: Subject::new(row.text(2)?).map_err(|error| broken(&error))?,
        sid: row.opt_text(3)?.map(str::to_owned),
        state: if row.int(4)? == 0 { SessionState::Live } else { SessionState::Ended },
        reason: row.opt_text(5)?.and_then(Reason::named),
        version: row.int(6)?,
        authenticated_at: Millis::new(row.int(7)?),
        created_at: Millis::new(row.int(8)?),
        updated_at: Millis::new(row.int(9)?),
        expires_at: Millis::new(row.int(10)?),
        ended_at: row.opt_int(11)?.map(Millis::new),
        touched_at: row.opt_int(12)?.map(Millis::new),
        claims: Claims {
            login: object(row.text(13)?)?,
            id_token: row.opt_text(14)?.map(object).transpose()?,
            userinfo: row.opt_text(15)?.map(object).transpose()?,
        },
        data: object(row.text(16)?)?,
        grant: row.opt_text(17)?.is_some().then(|| grant(row)).transpose()?,
        login_needed: None,
        userinfo: row.opt_int(30)?.map(|failures| userinfo(row, failures)).transpose()?,
        account: Standing {
            mark: Mark::at(Millis::new(row.opt_int(28)?.unwrap_or_default())),
            state: State::from_code(row.opt_int(29)?.unwrap_or_default()),
        },
    })
}

fn grant(row: &Row<'_>) -> Result<GrantView, StoreError> {
    let last_error = match (row.opt_text(25)?, row.opt_text(26)?, row.opt_int(27)?) {
        (Some(class), Some(text), Some(at)) => {
            Some(LastError { class: class.to_owned(), text: text.to_owned(), at: Millis::new(at) })
        }
        _ => None,
    };
    Ok(GrantView {
        id: grant_id(row.text(17)?)?,
        state: GrantState::from_code(row.int(18)?),
        reason: row.opt_text(19)?.and_then(Reason::named),
        generation: row.int(20)?,
        issued_at: Millis::new(row.int(21)?),
        expires_at: row.opt_int(22)?.map(Millis::new),
        next_attempt_at: row.opt_int(23)?.map(Millis::new),
        failures: count(row.int(24)?),
        last_error,
    })
}

fn userinfo(row: &Row<'_>, failures: i64) -> Result<UserInfoView, StoreError> {
    let last_error = match (row.opt_text(33)?, row.opt_int(34)?) {
        (Some(text), Some(at)) => {
            Some(LastError { class: "userinfo".to_owned(), text: text.to_owned(), at: Millis::new(at) })
        }
        _ => None,
    };
    Ok(UserInfoView {
        fetched_at: row.opt_int(31)?.map(Millis::new),
        next_fetch_at: row.opt_int(32)?.map(Millis::new),
        failures: count(failures),
        last_error,
    })
}

pub(crate) fn object(text: &str) -> Result<Object, StoreError> {
    serde_json::from_str(text).map_err(|error| broken(&error))
}

pub(crate) fn session_id(text: &str) -> Result<SessionId, StoreError> {
    SessionId::parse(text).map_err(|error| broken(&error))
}

pub(crate) fn grant_id(text: &str) -> Result<GrantId, StoreError> {
    GrantId::parse(text).map_err(|error| broken(&error))
}

pub(crate) fn account(idp: &str, subject: &str) -> Result<AccountId, StoreError> {
    let idp = IdpId::new(idp).map_err(|error| broken(&error))?;
    Ok(AccountId::new(idp, Subject::new(subject).map_err(|error| broken(&error))?))
}

pub(crate) fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
