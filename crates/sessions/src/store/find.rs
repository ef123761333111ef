//! Looking at sessions.

use super::rows::{SessionState, SessionView, session, session_columns, session_joins};
use crate::SessionId;
use crate::upstream::TokenType;
use account::{AccountId, IdpId, Mark, Millis, State};
use serde::{Deserialize, Serialize};
use store::{Operation, PointRead, Rows, Sql, StoreError, Tx, Value};
use utoipa::ToSchema;

store::statements! {
    pub(super) static SHOW = both(concat!(
        "select ", session_columns!(), " from sessions s", session_joins!(), "where s.id = $1"));
    // What is needed to hand an access token out, and how the account stands.
    pub(super) static TOKEN = both(
        "select s.state, s.reason, s.expires_at, s.idp, s.subject, s.born_at, g.id, g.state, g.reason, g.generation,
           g.access_token, g.expires_at, g.owner, g.failures, g.next_attempt_at, g.last_attempt_at, a.mark, a.state, g.scope,
           g.fence, g.issued_at, g.token_type, g.dpop_key
         from sessions s left join grants g on g.id = s.grant_id
         left join accounts a on a.idp = s.idp and a.subject = s.subject
         where s.id = $1");
    pub(super) static OF_ACCOUNT = both(concat!(
        "select ", session_columns!(), " from sessions s", session_joins!(),
        "where s.idp = $1 and s.subject = $2 and s.id > $3 and ($4 = 1 or s.state = 0) order by s.id limit $5"));
    pub(super) static OF_SID = both(concat!(
        "select ", session_columns!(), " from sessions s", session_joins!(),
        "where s.idp = $1 and s.sid = $2 and s.id > $3 and ($4 = 1 or s.state = 0) order by s.id limit $5"));
    pub(super) static OF_IDP = both(concat!(
        "select ", session_columns!(), " from sessions s", session_joins!(),
        "where s.id > $2 and s.idp = $1 and ($3 = 1 or s.state = 0) order by s.id limit $4"));
    pub(super) static ALL = both(concat!(
        "select ", session_columns!(), " from sessions s", session_joins!(),
        "where s.id > $1 and ($2 = 1 or s.state = 0) order by s.id limit $3"));
    static IDPS = both("select idp, error_class, error_text, error_at from session_idps order by idp");
}

/// Reads one session.
pub(crate) struct Show<'a>(pub(crate) &'a SessionId);

impl PointRead for Show<'_> {
    const NAME: &'static str = "sessions.show";
    type Output = Option<SessionView>;

    fn sql(&self) -> &'static Sql {
        &SHOW
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.0.as_str().into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<Self::Output, StoreError> {
        rows.first(session)
    }
}

/// What a session can be used by.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) state: SessionState,
    pub(crate) reason: Option<crate::Reason>,
    pub(crate) expires_at: Millis,
    pub(crate) account: AccountId,
    pub(crate) born_at: Millis,
    pub(crate) grant: Option<HeldGrant>,
    pub(crate) mark: Mark,
    pub(crate) account_state: State,
}

/// Its grant.
#[derive(Clone, Debug)]
pub(crate) struct HeldGrant {
    pub(crate) id: crate::GrantId,
    pub(crate) state: crate::GrantState,
    pub(crate) reason: Option<crate::Reason>,
    pub(crate) generation: i64,
    pub(crate) access_token: Option<String>,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) is_claimed: bool,
    pub(crate) failures: u32,
    pub(crate) next_attempt_at: Option<Millis>,
    pub(crate) last_attempt_at: Option<Millis>,
    pub(crate) scope: Option<String>,
    pub(crate) issued_at: Millis,
    pub(crate) token_type: TokenType,
    /// Sealed; the key that the access token is bound to, if it is.
    pub(crate) dpop_key: Option<String>,
}

/// Reads it.
pub(crate) struct ReadHeld<'a>(pub(crate) &'a SessionId);

impl PointRead for ReadHeld<'_> {
    const NAME: &'static str = "sessions.held";
    type Output = Option<Held>;

    fn sql(&self) -> &'static Sql {
        &TOKEN
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.0.as_str().into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<Self::Output, StoreError> {
        rows.first(|row| {
            let reason = |column| Ok::<_, StoreError>(row.opt_text(column)?.and_then(crate::Reason::named));
            let grant = match row.opt_text(6)? {
                None => None,
                Some(id) => Some(HeldGrant {
                    id: super::rows::grant_id(id)?,
                    state: crate::GrantState::from_code(row.int(7)?),
                    reason: reason(8)?,
                    generation: row.int(9)?,
                    access_token: row.opt_text(10)?.map(str::to_owned),
                    expires_at: row.opt_int(11)?.map(Millis::new),
                    is_claimed: row.opt_text(12)?.is_some(),
                    failures: super::rows::count(row.int(13)?),
                    next_attempt_at: row.opt_int(14)?.map(Millis::new),
                    last_attempt_at: row.opt_int(15)?.map(Millis::new),
                    scope: row.opt_text(18)?.map(str::to_owned),
                    issued_at: Millis::new(row.int(20)?),
                    token_type: TokenType::kept(row.opt_text(21)?, row.opt_text(22)?.is_some()),
                    dpop_key: row.opt_text(22)?.map(str::to_owned),
                }),
            };
            Ok(Held {
                state: if row.int(0)? == 0 { SessionState::Live } else { SessionState::Ended },
                reason: reason(1)?,
                expires_at: Millis::new(row.int(2)?),
                account: super::rows::account(row.text(3)?, row.text(4)?)?,
                born_at: Millis::new(row.int(5)?),
                grant,
                mark: Mark::at(Millis::new(row.opt_int(16)?.unwrap_or_default())),
                account_state: State::from_code(row.opt_int(17)?.unwrap_or_default()),
            })
        })
    }
}

/// Which sessions to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Everybody's.
    All,
    /// An account's.
    Account(AccountId),
    /// A login's, as its identity provider names it.
    Sid(IdpId, String),
    /// An identity provider's.
    Idp(IdpId),
}

/// Lists them in the order of their ids, which is that of their making.
pub(crate) struct List {
    pub(crate) filter: Filter,
    pub(crate) with_ended: bool,
    pub(crate) after: Option<SessionId>,
    pub(crate) limit: i64,
}

impl Operation for List {
    const NAME: &'static str = "sessions.list";
    type Output = Vec<SessionView>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<SessionView>, StoreError> {
        let after = self.after.as_ref().map_or("", SessionId::as_str);
        let ended = i64::from(self.with_ended);
        let (after, ended, limit): (Value<'_>, Value<'_>, Value<'_>) =
            (after.into(), ended.into(), self.limit.into());
        match &self.filter {
            Filter::All => tx.query(&ALL, &[after, ended, limit], session).await,
            Filter::Account(account) => {
                let (idp, subject) = (account.idp.as_str(), account.subject.as_str());
                let params = [idp.into(), subject.into(), after, ended, limit];
                tx.query(&OF_ACCOUNT, &params, session).await
            }
            Filter::Sid(idp, sid) => {
                tx.query(&OF_SID, &[idp.as_str().into(), sid.into(), after, ended, limit], session).await
            }
            Filter::Idp(idp) => tx.query(&OF_IDP, &[idp.as_str().into(), after, ended, limit], session).await,
        }
    }
}

/// The last thing that went wrong with an identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdpTrouble {
    /// Which.
    pub idp: String,
    /// Of what kind.
    pub class: String,
    /// In words.
    pub text: String,
    /// When; milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub at: Millis,
}

/// Lists them.
pub(crate) struct ListTroubles;

impl Operation for ListTroubles {
    const NAME: &'static str = "sessions.troubles";
    type Output = Vec<IdpTrouble>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<IdpTrouble>, StoreError> {
        tx.query(&IDPS, &[], |row| {
            Ok(IdpTrouble {
                idp: row.text(0)?.to_owned(),
                class: row.text(1)?.to_owned(),
                text: row.text(2)?.to_owned(),
                at: Millis::new(row.int(3)?),
            })
        })
        .await
    }
}
