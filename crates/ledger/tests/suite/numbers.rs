//! On SQLite an account, and what is owed of it, say where the event is: that is where it is looked for.

use crate::told::{Execute, account, at, known, ledger, login, news, told};
use account::Change;
use ledger::{CarryOut, Ledger, MIGRATIONS, News, Outcome};
use std::sync::{Arc, Mutex};
use store::testing::{TestStore, sqlite};
use store::{Sql, StoreError, Tx};
use work::Tick;

/// Remembers the events that it is told of, as `subject version`; takes none at once.
#[derive(Default)]
struct Later(Arc<Mutex<Vec<String>>>);

impl CarryOut for Later {
    fn capability(&self) -> &'static str {
        "later"
    }

    async fn carry_out(&self, _: &mut Tx<'_>, news: &[News], inline: bool) -> Result<Outcome, StoreError> {
        if inline {
            return Ok(Outcome::Deferred);
        }
        let told = news.iter().map(|it| format!("{} {}", it.account.subject.as_str(), it.version));
        self.0.lock().expect("nobody panics").extend(told);
        Ok(Outcome::Done)
    }
}

/// How many accounts, or effects, do not lead to the event that they are about. As an update, that it may be executed.
async fn astray(test: &TestStore) -> (u64, u64) {
    static ACCOUNTS: Sql = Sql::both(
        "update accounts set mark = mark where version > 0 and not exists (select 1 from events v
           where v.position = latest_event and v.idp = accounts.idp and v.subject = accounts.subject
             and v.version = accounts.version)",
    );
    static EFFECTS: Sql = Sql::both(
        "update effects set state = state where not exists (select 1 from events v
           where v.position = effects.event and v.idp = effects.idp and v.subject = effects.subject
             and v.version = effects.version)",
    );
    let count = async |sql| test.store.run(Execute(sql)).await.expect("counted");
    (count(&ACCOUNTS).await, count(&EFFECTS).await)
}

async fn with_later(test: &TestStore) -> (Ledger, Later) {
    let later = Later::default();
    let ledger = ledger(test, vec![Arc::new(Later(Arc::clone(&later.0)))]);
    ledger.register_capabilities().await.expect("registered");
    (ledger, later)
}

/// Carries out what is owed; what was told, sorted.
async fn work(ledger: &Ledger, later: Later) -> Vec<String> {
    while ledger.clone().carry_out_due().await == Tick::More {}
    let mut told = later.0.lock().expect("nobody panics").clone();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn they_lead_to_their_events_whatever_a_batch_has_in_it() {
    let test = sqlite(&[MIGRATIONS]).await;
    let (ledger, later) = with_later(&test).await;
    let [a, b] = [account("a"), account("b")];
    assert_eq!(news(&ledger, told(0, &a, at(1), login())).await, 1);
    let batch = vec![
        told(1, &b, at(2), login()),
        told(2, &a, at(3), Change::PasswordChange),
        told(0, &a, at(1), login()),
        told(3, &a, at(4), login()),
        told(4, &b, at(5), Change::Disable),
    ];
    ledger.apply_batch(batch).await.expect("applied");
    assert_eq!(astray(&test).await, (0, 0));
    // Nothing new, and yet the account is written: it was disabled already, and is so for longer now.
    known(&ledger, told(5, &b, at(6), Change::Disable)).await;
    // Of this one nothing is known but what is no news.
    known(&ledger, told(6, &account("c"), at(6), Change::Enable)).await;
    assert_eq!(astray(&test).await, (0, 0));
    assert_eq!(work(&ledger, later).await, ["a 1", "a 2", "a 3", "b 1", "b 2"]);
    assert!(ledger.pending_effects().await.expect("read").is_empty());
}

/// The ninth step finds rows that were written without those numbers.
#[tokio::test]
async fn what_was_there_before_is_led_to_its_events() {
    static ROWS: [Sql; 5] = [
        Sql::both("insert into capabilities (name) values ('later')"),
        Sql::both(
            "insert into accounts (idp, subject, version, mark, credential_at, state, state_at, first_seen_at, updated_at)
             values ('main', 'a', 2, 0, 0, 0, 0, 0, 0), ('main', 'b', 1, 0, 0, 0, 0, 0, 0), ('main', 'c', 0, 0, 0, 0, 0, 0, 0)",
        ),
        Sql::both(
            r#"insert into events (idp, subject, version, kind, at, received_at, source, change, mark, state)
             values ('main', 'a', 1, 'password_change', 1, 1, 's', '{"kind":"password_change"}', 1, 0),
                    ('main', 'b', 1, 'password_change', 1, 1, 's', '{"kind":"password_change"}', 1, 0),
                    ('main', 'a', 2, 'password_change', 2, 2, 's', '{"kind":"password_change"}', 2, 0)"#,
        ),
        Sql::both(
            "insert into effects (idp, subject, version, capability, state, attempts, next_attempt_at)
             values ('main', 'a', 1, 'later', 0, 0, 0), ('main', 'b', 1, 'later', 0, 0, 0)",
        ),
        // One that had lost its event already.
        Sql::both(
            "insert into effects (idp, subject, version, capability, state, attempts, next_attempt_at)
             values ('main', 'd', 7, 'later', 0, 0, 0)",
        ),
    ];
    let test = sqlite(&[&MIGRATIONS[..8]]).await;
    for sql in &ROWS {
        test.store.run(Execute(sql)).await.expect("written");
    }
    test.store.migrate(&[MIGRATIONS]).await.expect("migrated");
    assert_eq!(astray(&test).await, (0, 1));
    let (ledger, later) = with_later(&test).await;
    assert_eq!(work(&ledger, later).await, ["a 1", "b 1"]);
    let owed = ledger.pending_effects().await.expect("read");
    assert_eq!((owed[0].count, owed[0].most_attempts), (1, 1), "the one that nothing can be done about");
    assert_eq!(news(&ledger, told(1, &account("a"), at(3), Change::PasswordChange)).await, 3);
    assert_eq!(news(&ledger, told(2, &account("c"), at(3), Change::PasswordChange)).await, 1);
    assert_eq!(astray(&test).await, (0, 1));
}
