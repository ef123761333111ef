//! The services themselves: their rows, and which of their secrets signs.

use crate::rules::{Rotation, ServiceName};
use account::Millis;
use store::{Operation, StoreError, Tx};

store::statements! {
    static ADD = both("insert into services (service, pattern) values ($1, $2) on conflict do nothing");
    static ROTATE = both(
        "insert into signing_secrets (service, first, signs, at) values ($1, $2, $3, $4)
        on conflict (service) do update set first = excluded.first, signs = excluded.signs, at = excluded.at"
    );
    static ROTATION = both("select first, signs, at from signing_secrets where service = $1");
}

/// Adds the row of a service, unless there is one; whether there was none.
pub(crate) struct AddService {
    /// Its name.
    pub service: ServiceName,
    /// How endpoints are made, for those who read the table.
    pub pattern: String,
}

/// Has another secret of the list sign.
pub(crate) struct Rotate {
    /// Whose.
    pub service: ServiceName,
    /// Which.
    pub rotation: Rotation,
}

/// Which secret an operator has said is to sign.
pub(crate) struct FindRotation(pub ServiceName);

impl Operation for AddService {
    const NAME: &'static str = "tokenserver.add_service";
    type Output = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let given = [self.service.as_str().into(), self.pattern.as_str().into()];
        Ok(tx.execute(&ADD, &given).await? > 0)
    }
}

impl Operation for Rotate {
    const NAME: &'static str = "tokenserver.rotate";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Rotation { first, signs, at } = &self.rotation;
        let given =
            [self.service.as_str().into(), first.as_str().into(), signs.as_str().into(), (*at).into()];
        tx.execute(&ROTATE, &given).await.map(drop)
    }
}

impl Operation for FindRotation {
    const NAME: &'static str = "tokenserver.find_rotation";
    type Output = Option<Rotation>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query_opt(&ROTATION, &[self.0.as_str().into()], |row| {
            let (first, signs) = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
            Ok(Rotation { first, signs, at: Millis::new(row.int(2)?) })
        })
        .await
    }
}
