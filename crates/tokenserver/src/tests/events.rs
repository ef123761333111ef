//! From an account event to a refusal, through the ledger and both ways of refusing: the mark at once, the rows after.

use super::*;
use account::{AccountEvent, AccountId, Change, Millis, Subject};
use ledger::{Received, SourceId};

const BEHIND: &str = "401 invalid-generation | body |  | Unauthorized";

fn event(change: Change, at: Option<i64>) -> Received {
    let account = AccountId::new(IdpId::new("main").expect("valid"), Subject::new("user").expect("valid"));
    let event = AccountEvent { account, at: at.map(Millis::new), change };
    Received { source: SourceId::new("test"), message_id: format!("{event:?}"), event }
}

pub(super) async fn happens(house: &House, change: Change, at: Option<i64>) {
    house.ledger.apply(event(change, at)).await.expect("the ledger answers");
}

/// A ledger that carries nothing into the rows: the moment before the consequences.
fn without_consequences(house: &House) -> Ledger {
    Ledger::new(house.store.clone(), house.ledger.tombstones().clone(), vec![])
}

#[tokio::test]
async fn an_old_device_is_refused_after_a_password_change_and_a_fresh_one_is_served() {
    for house in House::on_each_engine().await {
        let uid = house.exchange("user", 100, KEY_ID).await.uid();
        happens(&house, Change::PasswordChange, Some(5_000)).await;
        assert_eq!(house.exchange("user", 100, KEY_ID).await.refusal(), BEHIND);
        assert_eq!(house.exchange("user", 5_000, KEY_ID).await.uid(), uid);
        let new_key = house.exchange("user", 6_000, "6000-uw").await.uid();
        assert_ne!(new_key, uid);
    }
}

#[tokio::test]
async fn the_mark_alone_refuses_before_any_row_is_touched() {
    for house in House::on_each_engine().await {
        house.exchange("user", 100, KEY_ID).await.uid();
        let ledger = without_consequences(&house);
        ledger.apply(event(Change::PasswordReset, Some(5_000))).await.expect("the ledger answers");
        assert_eq!(house.exchange("user", 100, KEY_ID).await.refusal(), BEHIND);
        assert_eq!(house.exchange("user", 5_000, KEY_ID).await.status, StatusCode::OK);
        ledger.apply(event(Change::Delete { reason: None }, Some(9_000))).await.expect("the ledger answers");
        assert_eq!(house.exchange("user", 5_000, KEY_ID).await.refusal(), BEHIND);
    }
}

#[tokio::test]
async fn a_user_who_was_never_here_is_refused_by_the_mark() {
    for house in House::on_each_engine().await {
        happens(&house, Change::PasswordChange, Some(5_000)).await;
        assert_eq!(house.exchange("user", 4_000, KEY_ID).await.refusal(), BEHIND);
        assert_eq!(house.exchange("user", 5_000, KEY_ID).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_deleted_account_is_retired_and_gives_its_place_up() {
    for house in House::on_each_engine().await {
        let uid = house.exchange("user", 100, KEY_ID).await.uid();
        happens(&house, Change::Delete { reason: None }, None).await;
        assert_eq!(house.exchange("user", 100, KEY_ID).await.refusal(), BEHIND);
        assert_eq!(house.exchange("user", Value::Null, KEY_ID).await.refusal(), BEHIND);
        assert_eq!(
            house.exchange("user", i64::MAX, KEY_ID).await.uid(),
            uid,
            "the one that counts as the highest"
        );
        let nodes = house.store.run(crate::store::ListNodes(sync())).await.expect("the store answers");
        assert_eq!((nodes[0].current_load, nodes[0].available), (0, 1000));
    }
}

#[tokio::test]
async fn a_disabled_account_is_refused_until_it_is_enabled_and_a_new_token_granted() {
    for house in House::on_each_engine().await {
        let before = claims("user", 100);
        house.exchange("user", 100, KEY_ID).await.uid();
        let at = START.get() + 10_500;
        happens(&house, Change::Disable, Some(at)).await;
        let refused = "401 invalid-credentials | body |  | Unauthorized";
        assert_eq!(house.exchange("user", i64::MAX, KEY_ID).await.refusal(), refused);
        happens(&house, Change::Enable, Some(at + 1)).await;
        let token = house.token(&before);
        let headers =
            |token: String| [("authorization", format!("Bearer {token}")), ("x-keyid", KEY_ID.to_owned())];
        assert_eq!(
            house.get(SYNC, &headers(token)).await.refusal(),
            BEHIND,
            "granted before it was disabled"
        );
        let mut since = before;
        since["iat"] = json!(START.seconds() + 11);
        assert_eq!(house.get(SYNC, &headers(house.token(&since))).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_token_without_generation_is_judged_by_when_it_was_granted() {
    for house in House::on_each_engine().await {
        let granted = async |second: i64| {
            let mut claims = claims("user", Value::Null);
            claims["iat"] = json!(START.seconds() + second);
            let token = house.token(&claims);
            let headers = [("authorization", format!("Bearer {token}")), ("x-keyid", KEY_ID.to_owned())];
            house.get(SYNC, &headers).await.status
        };
        happens(&house, Change::PasswordChange, Some(START.get() + 20_500)).await;
        assert_eq!(granted(19).await, StatusCode::UNAUTHORIZED);
        assert_eq!(granted(20).await, StatusCode::UNAUTHORIZED, "too coarse to tell, and nobody to ask");
        assert_eq!(granted(21).await, StatusCode::OK);
    }
}

/// A deletion that came too late leaves a served user served: only what it ended is refused, by the mark.
#[tokio::test]
async fn a_late_word_of_a_deletion_retires_nobody() {
    for house in House::on_each_engine().await {
        let mut claims = claims("user", 100);
        claims["iat"] = json!(START.seconds() + 11);
        let granted = house.token(&claims);
        let headers = [("authorization", format!("Bearer {granted}")), ("x-keyid", KEY_ID.to_owned())];
        let uid = house.get(SYNC, &headers).await.uid();
        happens(&house, Change::Enable, Some(START.get() + 10_900)).await;
        happens(&house, Change::Disable, Some(START.get() + 10_700)).await;
        happens(&house, Change::Delete { reason: None }, Some(START.get() + 10_800)).await;
        assert_eq!(house.get(SYNC, &headers).await.uid(), uid, "granted after it");
        let before = house.exchange("user", 100, KEY_ID).await;
        assert_eq!(before.refusal(), BEHIND, "granted before it");
        let nodes = house.store.run(crate::store::ListNodes(sync())).await.expect("the store answers");
        assert_eq!(nodes[0].current_load, 1, "it lives where it did");
    }
}

/// However many rows a user has left behind, each transaction is bounded and the effect is settled in the end.
#[tokio::test]
async fn a_user_of_very_many_rows_is_carried_in_turns() {
    struct LeaveRows;
    impl store::Operation for LeaveRows {
        const NAME: &'static str = "test.leave_rows";
        type Output = ();

        async fn run(&self, tx: &mut store::Tx<'_>) -> Result<(), store::StoreError> {
            static LEAVE: store::Sql = store::Sql::both(
                "insert into users (service, email, generation, client_state, created_at, nodeid)
                values (1, 'user@accounts.example', 5, 'aaaa', 1, 1)",
            );
            for _ in 0..1_100 {
                tx.execute(&LEAVE, &[]).await?;
            }
            Ok(())
        }
    }
    for house in House::on_each_engine().await {
        house.store.run(LeaveRows).await.expect("the store answers");
        happens(&house, Change::PasswordChange, Some(5_000)).await;
        let mut turns = 0;
        while house.ledger.clone().carry_out_due().await == work::Tick::More {
            turns += 1;
        }
        assert_eq!(turns, 3, "500, 500 and the rest");
        assert!(house.ledger.pending_effects().await.expect("the store answers").is_empty());
        assert_eq!(house.exchange("user", 4_000, KEY_ID).await.refusal(), BEHIND);
    }
}
