//! Finding the deliveries to list.

use super::list::{DeliveryView, shown, view};
use crate::ClientId;
use account::{IdpId, Millis, Subject};
use std::time::Duration;
use store::{Operation, Row, Sql, StoreError, Tx, Value};

store::statements! {
    // As many rows as there are deliveries may lie before the first that is asked for: each way of asking has its index.
    // `id + 0` keeps the engines from going through all of them by their numbers instead.
    pub(super) static LIST = both(listed!("id > $1", "id"));
    pub(super) static OF_ACCOUNT = both(listed!("idp = $5 and subject = $6 and id + 0 > $1", "id + 0"));
    pub(super) static UNTOLD = both(listed!("state > 1 and client_id = $2 and id > $1", "id"));
    // In their order by line; so their numbers are sorted, and only those rows are read that are listed, or were made about
    // the time that is asked for.
    pub(super) static PENDING = both(listed!(
        "id in (select d.id from deliveries d where d.state = 0 and d.client_id = $2 and d.id + 0 > $1
           and d.idp = coalesce($5, d.idp) and (d.id + 0 > $8 or d.created_at >= $4) order by d.id + 0 limit $7)",
        "id"
    ));
    // Loosely: from one to the next in the index.
    pub(super) static IDPS = both(
        "with recursive each_of(it) as (
           select min(idp) from deliveries
           union all
           select (select min(d.idp) from deliveries d where d.idp > o.it) from each_of o where o.it is not null)
         select it from each_of where it is not null");
    pub(super) static UNTOLD_RPS = both(
        "with recursive each_of(it) as (
           select min(client_id) from deliveries where state > 1
           union all
           select (select min(d.client_id) from deliveries d where d.state > 1 and d.client_id > o.it)
           from each_of o where o.it is not null)
         select it from each_of where it is not null");
    pub(super) static PENDING_RPS = both(
        "with recursive each_of(it) as (
           select min(client_id) from deliveries where state = 0
           union all
           select (select min(d.client_id) from deliveries d where d.state = 0 and d.client_id > o.it)
           from each_of o where o.it is not null)
         select it from each_of where it is not null");
    pub(super) static LAST = both("select coalesce(max(id), 0) from deliveries");
    pub(super) static FIRST_AFTER = both("select id, created_at from deliveries where id > $1 order by id limit 1");
}

/// Those that are found so; every condition besides is optional: null asks for nothing.
macro_rules! listed {
    ($found:literal, $number:literal) => {
        concat!(
            "select ",
            shown!(),
            " from deliveries where ",
            $found,
            " and client_id = coalesce($2, client_id) and state = coalesce($3, state)
             and (id > $8 or created_at >= $4)
             and idp = coalesce($5, idp) and subject = coalesce($6, subject) order by ",
            $number,
            " limit $7"
        )
    };
}
use listed;

/// What to look for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) client_id: Option<ClientId>,
    /// 0 pending, else as [`Terminal::code`](crate::Terminal).
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

impl Operation for ListDeliveries {
    const NAME: &'static str = "broker.list_deliveries";
    type Output = Vec<DeliveryView>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let Filter { client_id, state, since, idp, subject } = &self.filter;
        let (client_id, idp) = (client_id.as_ref().map(ClientId::as_str), idp.as_ref().map(IdpId::as_str));
        let since = since.unwrap_or(Millis::ZERO);
        let after = last_before(tx, since.minus(DISORDER)).await?.max(self.after);
        let made_since = last_before(tx, since.plus(DISORDER)).await?;
        let asked = Asked { list: self, after, made_since, client_id, idp };
        let (sql, given, all) = match (subject, state) {
            (Some(_), _) => (&OF_ACCOUNT, idp, &IDPS),
            (None, Some(0)) => (&PENDING, client_id, &PENDING_RPS),
            (None, Some(2..)) => (&UNTOLD, client_id, &UNTOLD_RPS),
            (None, _) => return tx.query(&LIST, &asked.params(), view).await,
        };
        let mut found = Vec::new();
        for one in given_or_all(tx, given, all).await? {
            let asked = match subject {
                Some(_) => Asked { idp: Some(&one), ..asked },
                None => Asked { client_id: Some(&one), ..asked },
            };
            found.extend(tx.query(sql, &asked.params(), view).await?);
            found.sort_unstable_by_key(|it: &DeliveryView| it.id);
            found.truncate(usize::try_from(self.limit).unwrap_or_default());
        }
        Ok(found)
    }
}

/// What a statement is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    list: &'a ListDeliveries,
    /// Only numbers above this.
    after: i64,
    /// What has a number above this was made since then, whatever its row says.
    made_since: i64,
    client_id: Option<&'a str>,
    idp: Option<&'a str>,
}

impl Asked<'_> {
    fn params(&self) -> [Value<'_>; 8] {
        let Filter { state, since, subject, .. } = &self.list.filter;
        [
            self.after.into(),
            self.client_id.into(),
            (*state).into(),
            since.unwrap_or(Millis::ZERO).into(),
            self.idp.into(),
            subject.as_ref().map(Subject::as_str).into(),
            self.list.limit.into(),
            self.made_since.into(),
        ]
    }
}

/// The one that is asked for, or all that there are.
async fn given_or_all(
    tx: &mut Tx<'_>,
    given: Option<&str>,
    all: &'static Sql,
) -> Result<Vec<String>, StoreError> {
    match given {
        Some(given) => Ok(vec![given.to_owned()]),
        None => tx.query(all, &[], |row| row.text(0).map(str::to_owned)).await,
    }
}

/// Numbers grow with time, but for nodes whose clocks differ, clocks that are set, and transactions that overtook each
/// other: by less than this.
const DISORDER: Duration = Duration::from_mins(10);

/// The last number before what was made then, and 0 if nothing was. By halving.
async fn last_before(tx: &mut Tx<'_>, then: Millis) -> Result<i64, StoreError> {
    if then <= Millis::ZERO.plus(DISORDER) {
        return Ok(0);
    }
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
