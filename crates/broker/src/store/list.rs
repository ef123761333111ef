//! Looking at deliveries: none of it is on the hot path.

use super::registry::client_id;
use super::rows::event_type;
use crate::delivery::Terminal;
use crate::{ClientId, EventType};
use account::{IdpId, Millis, Subject};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Operation, Row, StoreError, Tx, Value};
use utoipa::ToSchema;

store::statements! {
    // As many rows as there are deliveries may lie before the first that is asked for: each way of asking has its index,
    // and `id + 0` keeps the engines from going through all of them by their numbers instead.
    pub(super) static LIST = both(listed!("id > $1", "id"));
    pub(super) static OF_ACCOUNT = both(listed!("idp = $5 and subject = $6 and id + 0 > $1", "id + 0"));
    // Of what is not listed, nothing but the index is read.
    pub(super) static PENDING = both(listed!(
        "id in (select d.id from deliveries d where d.state = 0 and d.id + 0 > $1
           and d.client_id = coalesce($2, d.client_id) and d.idp = coalesce($5, d.idp)
           and (cast($4 as bigint) = 0 or d.created_at >= $4) order by d.id + 0 limit $7)",
        "id"
    ));
    pub(super) static UNTOLD = both(listed!("state > 1 and id + 0 > $1", "id + 0"));
    // Loosely: from one to the next, in the index by account.
    pub(super) static IDPS = both(
        "with recursive of(idp) as (
           select min(idp) from deliveries
           union all
           select (select min(d.idp) from deliveries d where d.idp > of.idp) from of where of.idp is not null)
         select idp from of where idp is not null");
    pub(super) static LAST = both("select coalesce(max(id), 0) from deliveries");
    pub(super) static FIRST_AFTER = both("select id, created_at from deliveries where id > $1 order by id limit 1");
    pub(super) static SHOW = both(concat!("select ", shown!(), " from deliveries where id = $1"));
    // The one that is part of the delivery's own row is the last.
    pub(super) static ATTEMPTS = both(
        "select a.at, a.duration_ms, a.status, a.outcome, a.detail, a.answer from
           (select id, at, duration_ms, status, outcome, detail, answer from delivery_attempts where delivery = $1
            union all
            select 9223372036854775807, attempt_at, attempt_ms, attempt_status, 'delivered', null, null
            from deliveries where id = $1 and attempt_at is not null) as a
         order by a.id");
    // Numbers grow with time, and are in the index that has what is pending: a million of them are not looked up.
    pub(super) static BACKLOG = both(
        "select g.client_id, g.pending, d.created_at
         from (select client_id, count(*) as pending, min(id) as oldest from deliveries where state = 0
               group by client_id) as g
         join deliveries d on d.id = g.oldest order by g.client_id");
    pub(super) static HEALTH = both("select client_id, failing_since from rp_health where failing_since is not null");
}

macro_rules! shown {
    () => {
        "id, client_id, idp, subject, kind, event_type, payload, jti, txn, iat, event_at, created_at, state, due_at, \
         failures, reason, settled_at"
    };
}
use shown;

/// Those that are found so; every condition besides is optional: null asks for nothing.
macro_rules! listed {
    ($found:literal, $number:literal) => {
        concat!(
            "select ",
            shown!(),
            " from deliveries where ",
            $found,
            " and client_id = coalesce($2, client_id) and state = coalesce($3, state) and created_at >= $4
             and idp = coalesce($5, idp) and subject = coalesce($6, subject) order by ",
            $number,
            " limit $7"
        )
    };
}
use listed;

/// A delivery, as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    /// Its number.
    pub id: i64,
    /// Who is told.
    #[schema(value_type = String)]
    pub client_id: ClientId,
    /// Of whose account: the identity provider; empty when it is about the stream itself.
    pub idp: String,
    /// The subject there, or the stream's id.
    pub subject: String,
    /// The kind of change.
    pub kind: String,
    /// The type of event.
    #[schema(value_type = String)]
    pub event_type: EventType,
    /// What the token says of it.
    #[schema(value_type = Object)]
    pub payload: serde_json::Value,
    /// The token's id, the same at every attempt.
    pub jti: String,
    /// What all tokens of one event have in common.
    pub txn: String,
    /// The token's time, seconds since the epoch.
    pub iat: i64,
    /// The change time, milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub event_at: Millis,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Millis,
    /// `pending`, `delivered`, `exhausted`, `rejected` or `discarded`.
    pub state: String,
    /// When a pending one is due.
    #[schema(value_type = Option<i64>)]
    pub due_at: Option<Millis>,
    /// How often it failed.
    pub failures: i64,
    /// Why it is as it is.
    pub reason: Option<String>,
    /// When it ended.
    #[schema(value_type = Option<i64>)]
    pub settled_at: Option<Millis>,
}

/// An attempt, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// When it began, milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub at: Millis,
    /// How long it took.
    pub duration_ms: i64,
    /// The answer's status, if there was an answer.
    pub status: Option<i64>,
    /// `delivered`, `failed`, `rejected` or `gone`.
    pub outcome: String,
    /// What went wrong.
    pub detail: Option<String>,
    /// The beginning of the answer, redacted.
    pub answer: Option<String>,
}

fn view(row: &Row<'_>) -> Result<DeliveryView, StoreError> {
    let ended = Terminal::from_code(row.int(12)?);
    Ok(DeliveryView {
        id: row.int(0)?,
        client_id: client_id(row.text(1)?)?,
        idp: row.text(2)?.to_owned(),
        subject: row.text(3)?.to_owned(),
        kind: row.text(4)?.to_owned(),
        event_type: event_type(row.text(5)?)?,
        payload: serde_json::from_str(row.text(6)?).unwrap_or_default(),
        jti: row.text(7)?.to_owned(),
        txn: row.text(8)?.to_owned(),
        iat: row.int(9)?,
        event_at: Millis::new(row.int(10)?),
        created_at: Millis::new(row.int(11)?),
        state: ended.map_or("pending", Terminal::as_str).to_owned(),
        due_at: if ended.is_none() { Some(Millis::new(row.int(13)?)) } else { None },
        failures: row.int(14)?,
        reason: row.opt_text(15)?.map(str::to_owned),
        settled_at: row.opt_int(16)?.map(Millis::new),
    })
}

/// What to look for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) client_id: Option<ClientId>,
    /// 0 pending, else as [`Terminal::code`].
    pub(crate) state: Option<i64>,
    pub(crate) since: Option<Millis>,
    pub(crate) idp: Option<IdpId>,
    pub(crate) subject: Option<Subject>,
}

/// Deliveries with a number above `after`, oldest first.
pub(crate) struct ListDeliveries {
    pub(crate) filter: Filter,
    pub(crate) after: i64,
    pub(crate) limit: i64,
}

impl ListDeliveries {
    /// What the statements ask for.
    fn asked<'a>(&'a self, after: i64, idp: Option<&'a str>) -> [Value<'a>; 7] {
        let Filter { client_id, state, since, subject, .. } = &self.filter;
        [
            after.into(),
            client_id.as_ref().map(ClientId::as_str).into(),
            (*state).into(),
            since.unwrap_or(Millis::ZERO).into(),
            idp.into(),
            subject.as_ref().map(Subject::as_str).into(),
            self.limit.into(),
        ]
    }
}

impl Operation for ListDeliveries {
    const NAME: &'static str = "broker.list_deliveries";
    type Output = Vec<DeliveryView>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Filter { state, since, idp, subject, .. } = &self.filter;
        let after = last_before(tx, since.unwrap_or(Millis::ZERO)).await?.max(self.after);
        let found = match (subject, state) {
            (Some(_), _) => &OF_ACCOUNT,
            (None, Some(0)) => &PENDING,
            (None, Some(2..)) => &UNTOLD,
            (None, _) => &LIST,
        };
        if subject.is_none() || idp.is_some() {
            return tx.query(found, &self.asked(after, idp.as_ref().map(IdpId::as_str)), view).await;
        }
        // Accounts are found by both: one subject may be known to several identity providers.
        let mut listed = Vec::new();
        for idp in tx.query(&IDPS, &[], |row| row.text(0).map(str::to_owned)).await? {
            listed.extend(tx.query(found, &self.asked(after, Some(&idp)), view).await?);
        }
        listed.sort_unstable_by_key(|it: &DeliveryView| it.id);
        listed.truncate(usize::try_from(self.limit).unwrap_or_default());
        Ok(listed)
    }
}

/// A number that all of what was made then or later lies above, and little else. Numbers grow with time, but for
/// nodes whose clocks differ, and transactions that overtook each other: by less than ten minutes.
async fn last_before(tx: &mut Tx<'_>, then: Millis) -> Result<i64, StoreError> {
    if then == Millis::ZERO {
        return Ok(0);
    }
    let then = then.minus(Duration::from_mins(10));
    let (mut before, mut end) = (0, tx.query_one(&LAST, &[], |row| row.int(0)).await?);
    while before < end {
        let middle = before + (end - before) / 2;
        let read = |row: &Row<'_>| Ok((row.int(0)?, Millis::new(row.int(1)?)));
        match tx.query_opt(&FIRST_AFTER, &[middle.into()], read).await? {
            Some((id, made)) if made < then => before = id,
            _ => end = middle,
        }
    }
    Ok(before)
}

/// One delivery and its attempts.
pub(crate) struct ShowDelivery(pub(crate) i64);

impl Operation for ShowDelivery {
    const NAME: &'static str = "broker.show_delivery";
    type Output = Option<(DeliveryView, Vec<AttemptView>)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Some(shown) = tx.query_opt(&SHOW, &[self.0.into()], view).await? else { return Ok(None) };
        let attempts = tx
            .query(&ATTEMPTS, &[self.0.into()], |row| {
                Ok(AttemptView {
                    at: Millis::new(row.int(0)?),
                    duration_ms: row.int(1)?,
                    status: row.opt_int(2)?,
                    outcome: row.text(3)?.to_owned(),
                    detail: row.opt_text(4)?.map(str::to_owned),
                    answer: row.opt_text(5)?.map(str::to_owned),
                })
            })
            .await?;
        Ok(Some((shown, attempts)))
    }
}

/// What is outstanding of a relying party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) client_id: ClientId,
    pub(crate) count: i64,
    pub(crate) oldest_at: Millis,
}

/// What is outstanding, by relying party. Reads every pending row: for a scan.
pub(crate) struct ReadBacklog;

impl Operation for ReadBacklog {
    const NAME: &'static str = "broker.backlog";
    type Output = Vec<Backlog>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&BACKLOG, &[], |row| {
            let oldest_at = Millis::new(row.int(2)?);
            Ok(Backlog { client_id: client_id(row.text(0)?)?, count: row.int(1)?, oldest_at })
        })
        .await
    }
}

/// Since when each relying party that fails does so.
pub(crate) struct ReadFailing;

impl Operation for ReadFailing {
    const NAME: &'static str = "broker.failing";
    type Output = Vec<(ClientId, Millis)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&HEALTH, &[], |row| Ok((client_id(row.text(0)?)?, Millis::new(row.int(1)?)))).await
    }
}
