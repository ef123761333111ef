//! What somebody did to sessions by asking for it: who, when, what. A row is written in the transaction that does it, so there is
//! none for what was not done, and nothing is done without one.

use super::rows::session_id;
use crate::SessionId;
use account::{AccountId, IdpId, Millis};
use serde::{Deserialize, Serialize};
use store::{Operation, Row, StoreError, Tx};
use utoipa::ToSchema;

store::statements! {
    static TO_ACCOUNT = both(
        "insert into session_acts (at, act, actor, name, session_id, idp, subject, sessions)
         values ($1, $2, $3, $4, $5, $6, $7, $8)");
    static TO_SESSION = both(
        "insert into session_acts (at, act, actor, name, session_id, idp, subject, sessions)
         select $1, $2, $3, $4, s.id, s.idp, s.subject, 1 from sessions s where s.id = $5");
    pub(super) static LATEST = both(
        "select at, act, actor, name, session_id, idp, subject, sessions, id from session_acts
         where id < $1 order by id desc limit $2");
    pub(super) static OF_SESSION = both(
        "select at, act, actor, name, session_id, idp, subject, sessions, id from session_acts
         where session_id = $3 and id < $1 order by id desc limit $2");
    pub(super) static OF_ACCOUNT = both(
        "select at, act, actor, name, session_id, idp, subject, sessions, id from session_acts
         where idp = $3 and subject = $4 and id < $1 order by id desc limit $2");
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) kind: ActorKind,
    /// What it is called: a caller's name and number, an identity provider's id.
    pub(crate) name: String,
}

/// Of what kind somebody is who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActorKind {
    /// A service, by its token or certificate.
    Service,
    /// An operator, by a token or through the admin socket.
    Operator,
    /// An identity provider.
    Idp,
}

impl ActorKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Operator => "operator",
            Self::Idp => "idp",
        }
    }

    fn named(name: &str) -> Self {
        match name {
            "service" => Self::Service,
            "idp" => Self::Idp,
            _ => Self::Operator,
        }
    }
}

/// Something that was done because somebody asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionAct {
    /// Its number: older ones have lower ones.
    pub(crate) id: i64,
    /// When; milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub(crate) at: Millis,
    /// `end` or `refresh`.
    pub(crate) act: String,
    /// Of what kind whoever asked is.
    pub(crate) actor: ActorKind,
    /// What it is called: a caller's name and number, an identity provider's id, or the admin socket.
    pub(crate) name: String,
    /// The session, where it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<SessionId>,
    /// The account's identity provider.
    #[schema(value_type = String)]
    pub(crate) idp: IdpId,
    /// The account there, where it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// How many sessions it was done to.
    pub(crate) sessions: i64,
}

fn act(row: &Row<'_>) -> Result<SessionAct, StoreError> {
    Ok(SessionAct {
        at: Millis::new(row.int(0)?),
        act: row.text(1)?.to_owned(),
        actor: ActorKind::named(row.text(2)?),
        name: row.text(3)?.to_owned(),
        session: row.opt_text(4)?.map(session_id).transpose()?,
        idp: IdpId::new(row.text(5)?).map_err(|error| super::broken(&error))?,
        subject: row.opt_text(6)?.map(str::to_owned),
        sessions: row.int(7)?,
        id: row.int(8)?,
    })
}

/// That somebody had sessions ended.
pub(super) async fn ended(
    tx: &mut Tx<'_>,
    by: &Actor,
    session: Option<&SessionId>,
    accounts: &[AccountId],
    sessions: usize,
    now: Millis,
) -> Result<(), StoreError> {
    let Some(first) = accounts.first().filter(|_| sessions > 0) else { return Ok(()) };
    // A login that its identity provider names is one account's; if it is not, it is nobody's alone.
    let subject = (accounts.len() == 1).then(|| first.subject.as_str());
    let params = [
        now.into(),
        "end".into(),
        by.kind.as_str().into(),
        (&by.name).into(),
        session.map(SessionId::as_str).into(),
        first.idp.as_str().into(),
        subject.into(),
        i64::try_from(sessions).unwrap_or(i64::MAX).into(),
    ];
    tx.execute(&TO_ACCOUNT, &params).await.map(drop)
}

/// That somebody had a session's tokens refreshed.
pub(super) async fn refreshed(
    tx: &mut Tx<'_>,
    by: &Actor,
    session: &SessionId,
    now: Millis,
) -> Result<(), StoreError> {
    let session = session.as_str();
    let params = [now.into(), "refresh".into(), by.kind.as_str().into(), (&by.name).into(), session.into()];
    tx.execute(&TO_SESSION, &params).await.map(drop)
}

/// Whose acts to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// All.
    All,
    /// Those that were about this session alone.
    Session(SessionId),
    /// Those that were about an account, or one of its sessions.
    Account(AccountId),
}

/// Lists them, the latest first.
pub(crate) struct ListActs {
    pub(crate) about: About,
    /// Only those before this one.
    pub(crate) before: i64,
    pub(crate) limit: i64,
}

impl Operation for ListActs {
    const NAME: &'static str = "sessions.acts";
    type Output = Vec<SessionAct>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<SessionAct>, StoreError> {
        let (before, limit) = (self.before.into(), self.limit.into());
        match &self.about {
            About::All => tx.query(&LATEST, &[before, limit], act).await,
            About::Session(id) => tx.query(&OF_SESSION, &[before, limit, id.as_str().into()], act).await,
            About::Account(account) => {
                let (idp, subject) = (account.idp.as_str(), account.subject.as_str());
                tx.query(&OF_ACCOUNT, &[before, limit, idp.into(), subject.into()], act).await
            }
        }
    }
}
