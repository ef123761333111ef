//! Users who are assigned by an operator, before they come.

use super::moves::{Copy, Target, User, insert, replace, rows_of};
use super::rooms::Rooms;
use super::{Placement, nodes};
use crate::rules::{Allocating, Row, allocating};
use account::Millis;
use std::sync::Arc;
use store::{Operation, StoreError, Tx};

/// Assigns a user before the first request, or one who was unassigned.
pub(crate) struct Allocate {
    /// Who.
    pub user: User,
    /// Where to.
    pub to: Target,
    /// How users are placed.
    pub placement: Arc<Placement>,
    /// The time.
    pub now: Millis,
}

/// What allocating came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Allocated {
    /// A row was made: its id and its node.
    New(i64, String),
    /// The user lives there: the row, its node's id, its node.
    Lives(i64, i64, String),
    /// The account was deleted.
    Retired,
    /// No node has room.
    NoRoom,
}

impl Operation for Allocate {
    const NAME: &'static str = "tokenserver.allocate";
    type Output = Allocated;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Allocated, StoreError> {
        let accounts: Vec<_> = self.user.account.iter().cloned().collect();
        tx.lock_accounts(&accounts).await?;
        let service = nodes::service_id(tx, &self.placement.service).await?;
        let rows = rows_of(tx, service, &[&self.user.email]).await?.remove(0);
        let newest = rows.iter().map(|row| row.created_at).max().unwrap_or_default();
        let row = match allocating(rows) {
            Allocating::Retired => return Ok(Allocated::Retired),
            Allocating::Lives(row) => {
                return Ok(Allocated::Lives(row.uid, row.node_id, row.node.unwrap_or_default()));
            }
            Allocating::Anew(row) => row,
            Allocating::New => unknown_yet(),
        };
        let mut rooms = Rooms::of(tx, service, &self.placement, &[self.user.email.as_str()]).await?;
        let taken = match &self.to {
            Target::Node(id, url) => {
                rooms.take_at(*id);
                Some((*id, url.clone()))
            }
            Target::Anywhere => rooms.take(tx, &self.user.email).await?,
        };
        let Some((node_id, node)) = taken else { return Ok(Allocated::NoRoom) };
        let email = &self.user.email;
        let copies = [Copy { email, row, node_id, node, created_at: self.now.max(newest) }];
        let uids = insert(tx, service, &copies).await?;
        for node_id in replace(tx, service, &copies, &uids).await? {
            rooms.leave(node_id);
        }
        rooms.count(tx).await?;
        let [Copy { node, .. }] = copies;
        Ok(Allocated::New(uids[email], node))
    }
}

/// What is known of a user who never came: nothing, so that the first request may bring any credentials.
fn unknown_yet() -> Row {
    Row {
        uid: 0,
        generation: 0,
        client_state: String::new(),
        created_at: Millis::ZERO,
        replaced_at: None,
        keys_changed_at: Some(0),
        node_id: 0,
        node: None,
    }
}
