//! That sessions are used: kept apart from them, so that it changes no version and nobody who watches hears of it.

use crate::SessionId;
use account::Millis;
use serde::Serialize;
use std::time::Duration;
use store::{Operation, RowSet, StoreError, Tx};

/// A grant's last use is kept no finer than this: it is only asked whether it is long ago.
const COARSE: Duration = Duration::from_mins(5);

store::statements! {
    pub(super) static TOUCH = both(concat!(
        "insert into session_touches (session_id, touched_at)
         select r.id, r.at from ",
        few!("{rows $1: id text, at bigint}"),
        " as r join sessions s on s.id = r.id where s.state = 0
         on conflict (session_id) do update set touched_at = excluded.touched_at
           where session_touches.touched_at < excluded.touched_at"));
    // One that was left alone because nobody used it is refreshed again.
    pub(super) static USED = both(concat!(
        "update grants set used_at = $2,
           next_attempt_at = case when grants.state = 0 and grants.owner is null then coalesce(grants.next_attempt_at, $2)
             else grants.next_attempt_at end
         from ",
        few!("{rows $1: id text, at bigint}"),
        " as r join sessions s on s.id = r.id
         where grants.id = s.grant_id and grants.state < 3 and (grants.used_at < $3 or grants.next_attempt_at is null)"));
}

/// Keeps that sessions were used.
pub(crate) struct Touch {
    pub(crate) touches: Vec<(SessionId, Millis)>,
    pub(crate) now: Millis,
}

impl Operation for Touch {
    const NAME: &'static str = "sessions.touch";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: &'a str,
            at: Millis,
        }
        let rows = RowSet::of(self.touches.iter().map(|(id, at)| Row { id: id.as_str(), at: *at }));
        tx.execute(&TOUCH, &[(&rows).into()]).await?;
        let coarse = self.now.minus(COARSE);
        tx.execute(&USED, &[(&rows).into(), self.now.into(), coarse.into()]).await.map(drop)
    }
}
