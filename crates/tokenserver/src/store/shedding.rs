//! What operators ask of clients, for a time.

use crate::Shedding;
use account::Millis;
use store::{Operation, StoreError, Tx};

store::statements! {
    static PUT = both(
        "insert into shedding (id, backoff_seconds, refuse_percent, until) values (1, $1, $2, $3)
        on conflict (id) do update set backoff_seconds = excluded.backoff_seconds,
            refuse_percent = excluded.refuse_percent, until = excluded.until"
    );
    static END = both("delete from shedding where id = 1");
    static FIND = both("select backoff_seconds, refuse_percent, until from shedding where id = 1 and until > $1");
}

/// What is asked, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// What.
    pub shedding: Shedding,
    /// Until when.
    pub until: Millis,
}

/// Asks.
pub(crate) struct Shed(pub Order);

/// Asks for no more than the settings do; whether more was asked.
pub(crate) struct EndShedding;

/// What is asked at that time.
pub(crate) struct FindShedding(pub Millis);

impl Operation for Shed {
    const NAME: &'static str = "tokenserver.shed";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Order { shedding: Shedding { backoff_seconds, refuse_percent }, until } = self.0;
        let given = [i64::from(backoff_seconds).into(), i64::from(refuse_percent).into(), until.into()];
        tx.execute(&PUT, &given).await.map(drop)
    }
}

impl Operation for EndShedding {
    const NAME: &'static str = "tokenserver.end_shedding";
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        Ok(tx.execute(&END, &[]).await? > 0)
    }
}

impl Operation for FindShedding {
    const NAME: &'static str = "tokenserver.find_shedding";
    type Output = Option<Order>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query_opt(&FIND, &[self.0.into()], |row| {
            let shedding = Shedding {
                backoff_seconds: u32::try_from(row.int(0)?).unwrap_or(u32::MAX),
                refuse_percent: u8::try_from(row.int(1)?).unwrap_or(100),
            };
            Ok(Order { shedding, until: Millis::new(row.int(2)?) })
        })
        .await
    }
}
