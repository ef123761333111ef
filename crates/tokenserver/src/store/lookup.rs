use crate::rules::{Ledgered, Row, ServiceName};
use account::{AccountId, Mark, Millis, State};
use store::{PointRead, Rows, Sql, StoreError, Value};

store::statements! {
    /// The user's newest rows with their nodes, and what the ledger knows; a row even for a user who has none. The
    /// service is looked up each time: its row may be made anew under a running server. A node that has failed is no
    /// node to whoever may move away from it.
    pub(super) static LOOKUP = per_engine {
        // No sub-select: SQLite would make a table of its rows first, for a quarter of the time the look-up takes.
        sqlite: "select a.mark, a.credential_at, a.state,
            u.uid, u.generation, u.client_state, u.created_at, u.replaced_at, u.keys_changed_at, u.nodeid, n.node
        from services s
        left join accounts a on a.idp = $2 and a.subject = $3
        left join users u on u.email = $4 and u.service = s.id
        left join nodes n on n.id = u.nodeid and (n.downed <> 2 or u.generation = 9223372036854775807)
        where s.service = $1
        order by u.created_at desc, u.uid desc limit 20",
        postgres: "select a.mark, a.credential_at, a.state,
            u.uid, u.generation, u.client_state, u.created_at, u.replaced_at, u.keys_changed_at, u.nodeid, n.node
        from services s
        left join accounts a on a.idp = $2 and a.subject = $3
        left join (
            select * from users
            where email = $4 and service + 0 = (select id from services where service = $1)
            order by created_at desc, uid desc limit 20
        ) u on true
        left join nodes n on n.id = u.nodeid and (n.downed <> 2 or u.generation = 9223372036854775807)
        where s.service = $1",
    };
}

/// What is known of a user: one indexed statement.
pub(crate) struct Lookup<'a> {
    /// The service.
    pub service: &'a ServiceName,
    /// The account.
    pub account: &'a AccountId,
    /// As it stands in the rows.
    pub email: &'a str,
}

/// A user's rows, and what the ledger says of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The newest rows, in no order.
    pub rows: Vec<Row>,
    /// What the ledger says.
    pub ledgered: Ledgered,
}

impl Known {
    /// The account was deleted then and is forgotten but for its tombstone. (What the ledger still knows goes before.)
    pub(super) fn forgotten(&mut self, deleted_at: Option<i64>) {
        if let Some(at) = deleted_at {
            self.ledgered =
                Ledgered { mark: Mark::at(Millis::new(at)), credential: Mark::NONE, state: State::Deleted };
        }
    }

    /// Takes what the columns from `at` on say: mark, credential, state, then a row with its node.
    pub(super) fn take(&mut self, row: &store::Row<'_>, at: usize) -> Result<(), StoreError> {
        if let Some(mark) = row.opt_int(at)? {
            self.ledgered = Ledgered {
                mark: Mark::at(Millis::new(mark)),
                credential: Mark::at(Millis::new(row.int(at + 1)?)),
                state: State::from_code(row.int(at + 2)?),
            };
        }
        if let Some(uid) = row.opt_int(at + 3)? {
            self.rows.push(Row {
                uid,
                generation: row.int(at + 4)?,
                client_state: row.text(at + 5)?.to_owned(),
                created_at: Millis::new(row.int(at + 6)?),
                replaced_at: row.opt_int(at + 7)?.map(Millis::new),
                keys_changed_at: row.opt_int(at + 8)?,
                node_id: row.int(at + 9)?,
                node: row.opt_text(at + 10)?.map(str::to_owned),
            });
        }
        Ok(())
    }
}

/// The service's row is missing.
pub(super) fn no_service(service: &ServiceName) -> StoreError {
    let reason = format!(
        "there is no service \"{service}\"; a serving process adds those that are configured, and so does adding a node"
    );
    StoreError::Statement { reason }
}

impl PointRead for Lookup<'_> {
    const NAME: &'static str = "storage.get_users";
    type Output = Known;

    fn sql(&self) -> &'static Sql {
        &LOOKUP
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        [
            self.service.as_str().into(),
            self.account.idp.as_str().into(),
            self.account.subject.as_str().into(),
            self.email.into(),
        ]
    }

    fn read(&self, rows: Rows<'_>) -> Result<Known, StoreError> {
        let mut known = None;
        rows.for_each(|row| known.get_or_insert_with(Known::default).take(row, 0))?;
        known.ok_or_else(|| no_service(self.service))
    }
}
