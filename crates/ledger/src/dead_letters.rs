//! Junk is kept with its reason, so that nothing is lost and the line moves on.

use crate::receipts::bounded;
use crate::{Ledger, SourceId};
use account::Millis;
use serde::{Deserialize, Serialize};
use store::{Operation, Row, StoreError, Tx};
use utoipa::ToSchema;

/// What is kept of a body; no source sends more.
const LARGEST_BODY: usize = 256 * 1024;

store::statements! {
    static BURY = both(
        "insert into dead_letters (source, message_id, reason, detail, body, received_at) values ($1, $2, $3, $4, $5, $6)
         on conflict (source, message_id) do nothing");
    // The messages' beginnings (4 KiB): a thousand whole ones would be hundreds of megabytes.
    static LIST = both(
        "select id, source, message_id, reason, detail, substr(body, 1, 4096), received_at from dead_letters
         where id > $1 order by id limit $2");
    static SHOW = both(
        "select id, source, message_id, reason, detail, body, received_at from dead_letters where id = $1");
    static DROP = both("delete from dead_letters where id = $1");
    // By their numbers, latest first: a bounded look, however many there are.
    static RECENT = both(
        "select count(*) from (select received_at from dead_letters order by id desc limit $2) as latest
         where received_at >= $1");
    static COUNT = both("select count(*) from dead_letters");
}

/// A message that could not be understood, or not be accepted.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Where it came from.
    pub source: SourceId,
    /// What the source calls it.
    pub message_id: String,
    /// Why, in a word that can be counted.
    pub reason: &'static str,
    /// Why, for people.
    pub detail: String,
    /// The message itself, as it came.
    pub body: Vec<u8>,
}

/// A dead letter as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptLetter {
    /// Its number.
    pub id: i64,
    /// Where it came from.
    pub source: String,
    /// What the source calls it.
    pub message_id: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, for people.
    pub detail: String,
    /// The message: as text where it is UTF-8, what is not being replaced. In a list its beginning, at most 4 KiB.
    pub body: String,
    /// Milliseconds since the epoch.
    #[schema(value_type = i64)]
    pub received_at: Millis,
    /// The message as it came; in a list its beginning.
    #[serde(skip)]
    pub raw: Vec<u8>,
}

impl Ledger {
    /// Keeps dead letters. When this returns they are committed; the same message is kept once.
    pub async fn bury(&self, letters: Vec<DeadLetter>) -> Result<(), crate::LedgerError> {
        if letters.is_empty() {
            return Ok(());
        }
        Ok(Box::pin(self.store.run(Bury { letters, now: self.store.clock().now() })).await?)
    }

    /// Dead letters with a number above `after`, oldest first; of their messages the beginnings.
    pub async fn dead_letters(&self, after: i64, limit: i64) -> Result<Vec<KeptLetter>, StoreError> {
        self.store.scan(List { after, limit }).await
    }

    /// One dead letter.
    pub async fn dead_letter(&self, id: i64) -> Result<Option<KeptLetter>, StoreError> {
        self.store.scan(Show(id)).await
    }

    /// Drops one dead letter; false when there is none of that number.
    pub async fn drop_dead_letter(&self, id: i64) -> Result<bool, StoreError> {
        self.store.run(Drop(id)).await
    }

    /// How many of the latest `most` dead letters have come in since then.
    pub async fn recent_dead_letters(&self, since: Millis, most: u32) -> Result<i64, StoreError> {
        self.store.scan(Recent { since, most }).await
    }

    /// How many dead letters there are. Counts every one: not for what is asked often.
    pub async fn count_dead_letters(&self) -> Result<i64, StoreError> {
        self.store.scan(Count).await
    }
}

struct Bury {
    letters: Vec<DeadLetter>,
    now: Millis,
}

impl Operation for Bury {
    const NAME: &'static str = "dead_letters.bury";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for letter in &self.letters {
            let (source, reason) = (letter.source.as_str().to_owned(), letter.reason);
            let counter = metrics::counter!("ledger.dead_letters", "source" => source, "reason" => reason);
            tx.after_commit(move || counter.increment(1));
            let (message_id, detail) = (bounded(&letter.message_id), clean(&letter.detail, 2_000));
            let body = &letter.body[..letter.body.len().min(LARGEST_BODY)];
            let params = [
                letter.source.as_str().into(),
                (&message_id).into(),
                letter.reason.into(),
                (&detail).into(),
                body.into(),
                self.now.into(),
            ];
            tx.execute(&BURY, &params).await?;
        }
        Ok(())
    }
}

/// Text that every store can hold: no control characters, bounded.
fn clean(text: &str, limit: usize) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(limit).collect()
}

fn kept(row: &Row<'_>) -> Result<KeptLetter, StoreError> {
    let raw = row.bytes(5)?.to_vec();
    Ok(KeptLetter {
        id: row.int(0)?,
        source: row.text(1)?.to_owned(),
        message_id: row.text(2)?.to_owned(),
        reason: row.text(3)?.to_owned(),
        detail: row.text(4)?.to_owned(),
        body: String::from_utf8_lossy(&raw).into_owned(),
        received_at: Millis::new(row.int(6)?),
        raw,
    })
}

struct List {
    after: i64,
    limit: i64,
}

impl Operation for List {
    const NAME: &'static str = "dead_letters.list";
    type Output = Vec<KeptLetter>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query(&LIST, &[self.after.into(), self.limit.into()], kept).await
    }
}

struct Show(i64);

impl Operation for Show {
    const NAME: &'static str = "dead_letters.show";
    type Output = Option<KeptLetter>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query_opt(&SHOW, &[self.0.into()], kept).await
    }
}

struct Drop(i64);

impl Operation for Drop {
    const NAME: &'static str = "dead_letters.drop";
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        Ok(tx.execute(&DROP, &[self.0.into()]).await? == 1)
    }
}

struct Recent {
    since: Millis,
    most: u32,
}

impl Operation for Recent {
    const NAME: &'static str = "dead_letters.recent";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        tx.query_one(&RECENT, &[self.since.into(), i64::from(self.most).into()], |row| row.int(0)).await
    }
}

struct Count;

impl Operation for Count {
    const NAME: &'static str = "dead_letters.count";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        tx.query_one(&COUNT, &[], |row| row.int(0)).await
    }
}
