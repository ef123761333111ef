//! A delivery as its row has it.

use super::registry::{broken, client_id};
use crate::{ClientId, EventType};
use account::{AccountId, IdpId, Millis, Subject};
use store::{PointRead, Row, Rows, Sql, StoreError, Value};

store::statements! {
    pub(super) static IS_THERE = both("select fence from deliveries where id = $1 and jti = $2");
}

/// Whom a delivery is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum About {
    /// An account.
    Account(AccountId),
    /// The receiver's own stream, by its id.
    Stream(String),
}

impl About {
    /// As rows name it: identity provider and subject. A stream has the empty provider, which no account has.
    pub(crate) fn columns(&self) -> (&str, &str) {
        match self {
            Self::Account(account) => (account.idp.as_str(), account.subject.as_str()),
            Self::Stream(id) => ("", id),
        }
    }

    pub(crate) fn from_columns(idp: &str, subject: &str) -> Result<Self, StoreError> {
        if idp.is_empty() {
            return Ok(Self::Stream(subject.to_owned()));
        }
        let idp = IdpId::new(idp).map_err(|error| broken(&error))?;
        Ok(Self::Account(AccountId::new(idp, Subject::new(subject).map_err(|error| broken(&error))?)))
    }

    pub(crate) fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Account(account) => Some(account),
            Self::Stream(_) => None,
        }
    }
}

/// A pending delivery, with all that is needed to make its token: the same at every attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) id: i64,
    pub(crate) client_id: ClientId,
    pub(crate) about: About,
    pub(crate) kind: String,
    pub(crate) event_type: EventType,
    pub(crate) payload: String,
    pub(crate) jti: String,
    pub(crate) txn: String,
    /// Seconds.
    pub(crate) iat: i64,
    pub(crate) event_at: Millis,
    pub(crate) created_at: Millis,
    pub(crate) failures: u32,
    /// Whose claim it is: an outcome counts only while the row still has it.
    pub(crate) fence: i64,
}

/// The columns that [`delivery`] reads, in its order.
macro_rules! columns {
    ($prefix:literal) => {
        concat!(
            $prefix,
            "id, ",
            $prefix,
            "client_id, ",
            $prefix,
            "idp, ",
            $prefix,
            "subject, ",
            $prefix,
            "kind, ",
            $prefix,
            "event_type, ",
            $prefix,
            "payload, ",
            $prefix,
            "jti, ",
            $prefix,
            "txn, ",
            $prefix,
            "iat, ",
            $prefix,
            "event_at, ",
            $prefix,
            "created_at, ",
            $prefix,
            "failures, ",
            $prefix,
            "fence"
        )
    };
}
pub(crate) use columns;

/// The place of what is selected after them.
pub(crate) const AFTER_COLUMNS: usize = 14;

pub(crate) fn delivery(row: &Row<'_>) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: row.int(0)?,
        client_id: client_id(row.text(1)?)?,
        about: About::from_columns(row.text(2)?, row.text(3)?)?,
        kind: row.text(4)?.to_owned(),
        event_type: event_type(row.text(5)?)?,
        payload: row.text(6)?.to_owned(),
        jti: row.text(7)?.to_owned(),
        txn: row.text(8)?.to_owned(),
        iat: row.int(9)?,
        event_at: Millis::new(row.int(10)?),
        created_at: Millis::new(row.int(11)?),
        failures: u32::try_from(row.int(12)?).unwrap_or(u32::MAX),
        fence: row.int(13)?,
    })
}

pub(crate) fn event_type(uri: &str) -> Result<EventType, StoreError> {
    EventType::try_from(uri.to_owned()).map_err(|error| broken(&error))
}

/// Whether a row is committed: for whoever was told of it by the transaction that made it.
pub(crate) struct IsThere<'a> {
    pub(crate) id: i64,
    pub(crate) jti: &'a str,
}

impl PointRead for IsThere<'_> {
    const NAME: &'static str = "broker.is_there";
    type Output = bool;

    fn sql(&self) -> &'static Sql {
        &IS_THERE
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [self.id.into(), self.jti.into()]
    }

    fn read(&self, rows: Rows<'_>) -> Result<bool, StoreError> {
        Ok(rows.first(|_| Ok(()))?.is_some())
    }
}
