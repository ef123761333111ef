//! What becomes of deliveries that fail, and of relying parties that do.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::Format;
use crate::store::list::ShowDelivery;
use crate::store::registry::find;
use crate::worker::sweep;
use store::{Operation, StoreError, Tx};

struct ReadStatus(ClientId, keys::Cipher);

impl Operation for ReadStatus {
    const NAME: &'static str = "test.status";
    type Output = Status;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Status, StoreError> {
        Ok(find(tx, &self.0, &self.1).await?.expect("it is there").rp.status)
    }
}

async fn status(house: &House, name: &str) -> Status {
    let read = ReadStatus(client(name), house.inner().snapshots.cipher.clone());
    house.store.run(read).await.expect("the store answers")
}

async fn one_told(answer: Answer, change: impl FnOnce(&mut Config, &mut Secrets)) -> (House, Receiver) {
    let house = House::new().await;
    let receiver = Receiver::answering(answer).await;
    house.add("aaaa", &receiver, change).await;
    house.logs_in("u1", "aaaa").await;
    house.happens("u1", 900, Change::PasswordChange).await;
    house.deliver().await;
    (house, receiver)
}

#[tokio::test]
async fn what_fails_to_the_end_of_its_schedule_is_exhausted_and_lets_the_next_go() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::answering(Answer::Status(404)).await;
        house.add("aaaa", &receiver, |_, _| ()).await;
        house.logs_in("u1", "aaaa").await;
        house.happens("u1", 900, Change::PasswordChange).await;
        house.happens("u1", 901, Change::Disable).await;
        for wait in [0, 20, 200] {
            house.clock.advance(Duration::from_secs(wait));
            house.deliver().await;
        }
        assert_eq!(
            house.shown().await,
            [
                "aaaa u1 password-change exhausted 3 (status 404)",
                "aaaa u1 profile-change pending 1 (status 404)"
            ]
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_counts_as_a_failure() {
    let elsewhere = Receiver::start().await;
    let (house, receiver) = one_told(Answer::Redirect(elsewhere.url()), |_, _| ()).await;
    assert_eq!((receiver.got().len(), elsewhere.got().len()), (1, 0));
    assert_eq!(
        house.shown().await,
        ["aaaa u1 password-change pending 1 (a redirect, which is not followed)"]
    );
}

#[tokio::test]
async fn every_attempt_is_kept_with_the_beginning_of_its_answer_and_without_secrets() {
    let (house, receiver) =
        one_told(Answer::Says(500, "no: eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiI.c2ln of a@b.example"), |_, _| ())
            .await;
    receiver.answers(Answer::Says(200, "ok"));
    house.clock.advance(Duration::from_secs(20));
    house.deliver().await;
    let (shown, attempts) =
        house.store.scan(ShowDelivery(1)).await.expect("the store answers").expect("it is there");
    assert_eq!((shown.state.as_str(), shown.failures), ("delivered", 1));
    let told: Vec<_> =
        attempts.iter().map(|it| (it.status, it.outcome.as_str(), it.answer.as_deref())).collect();
    assert_eq!(
        told,
        [(Some(500), "failed", Some("no: [redacted] of [redacted]")), (Some(200), "delivered", Some("ok"))]
    );
}

#[tokio::test]
async fn who_asks_for_time_gets_it() {
    let (house, receiver) = one_told(Answer::Busy(429, 3_000), |_, _| ()).await;
    receiver.answers(Answer::Status(200));
    house.clock.advance(Duration::from_secs(2_990));
    house.deliver().await;
    assert_eq!(receiver.got().len(), 1);
    house.clock.advance(Duration::from_secs(11));
    house.deliver().await;
    assert_eq!(house.shown().await, ["aaaa u1 password-change delivered 1"]);
}

#[tokio::test]
async fn who_says_gone_is_disabled_and_what_concerns_it_is_discarded_until_it_is_enabled_again() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::answering(Answer::Status(410)).await;
        house.add("aaaa", &receiver, |_, _| ()).await;
        house.logs_in("u1", "aaaa").await;
        house.happens("u1", 900, Change::PasswordChange).await;
        house.happens("u1", 901, Change::Disable).await;
        house.deliver().await;
        assert_eq!(status(&house, "aaaa").await, Status::Disabled { reason: "gone".into() });
        house.happens("u1", 902, Change::Enable).await;
        house.deliver().await;
        while sweep(Arc::clone(house.inner())).await == work::Tick::More {}
        assert_eq!(receiver.got().len(), 1);
        assert_eq!(
            house.shown().await,
            [
                "aaaa u1 password-change rejected 0 (gone)",
                "aaaa u1 profile-change discarded 0 (the relying party is disabled)",
                "aaaa u1 profile-change discarded 0 (the relying party is disabled)",
            ]
        );
    }
}

#[tokio::test]
async fn what_a_push_receiver_will_never_take_is_rejected_at_once() {
    let answer = Answer::Says(400, r#"{"err":"invalid_audience","description":"who?"}"#);
    let (house, receiver) = one_told(answer, |config, _| config.format = Format::Push).await;
    assert_eq!(receiver.got().len(), 1);
    assert_eq!(house.shown().await, ["aaaa u1 password-change rejected 0 (invalid_audience)"]);
    assert_eq!(status(&house, "aaaa").await, Status::Enabled);
}

#[tokio::test]
async fn who_does_nothing_but_fail_for_days_is_disabled_and_who_takes_something_is_not() {
    let (house, receiver) = one_told(Answer::Status(404), |config, _| {
        config.retry = RetryPolicy { delays_seconds: vec![86_400; 20] };
    })
    .await;
    for day in 0..4 {
        house.clock.advance(Duration::from_hours(30));
        receiver.answers(Answer::Status(if day == 1 { 200 } else { 404 }));
        house.happens("u1", 1_000 + day, Change::PasswordChange).await;
        house.deliver().await;
    }
    assert_eq!(status(&house, "aaaa").await, Status::Enabled, "it took something on the second day");
    for _ in 0..5 {
        house.clock.advance(Duration::from_hours(30));
        house.deliver().await;
    }
    assert_eq!(status(&house, "aaaa").await, Status::Disabled { reason: "failing".into() });
}

#[tokio::test]
async fn what_nobody_tried_for_as_long_as_the_schedule_lasts_is_given_up() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        house.add("aaaa", &receiver, |_, _| ()).await;
        house.logs_in("u1", "aaaa").await;
        house.happens("u1", 900, Change::PasswordChange).await;
        house.happens("u1", 901, Change::Disable).await;
        assert_eq!(sweep(Arc::clone(house.inner())).await, work::Tick::Idle);
        house.clock.advance(Duration::from_hours(2));
        while sweep(Arc::clone(house.inner())).await == work::Tick::More {}
        assert_eq!(
            house.shown().await,
            [
                "aaaa u1 password-change exhausted 0 (not taken in time)",
                "aaaa u1 profile-change exhausted 0 (not taken in time)"
            ]
        );
    }
}

#[tokio::test]
async fn operators_are_told_when_a_relying_party_is_disabled_and_when_it_is_not_any_more() {
    for house in House::on_each_engine().await {
        let (operators, receiver) = (Receiver::start().await, Receiver::answering(Answer::Status(410)).await);
        house
            .add("ops", &operators, |config, secrets| {
                config.format = Format::WebhookHmac;
                config.events = Some([crate::EventType::RelyingPartyStatus].into());
                secrets.webhook = vec![crate::Secret::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")];
            })
            .await;
        house.add("aaaa", &receiver, |config, _| config.resource_server = true).await;
        house.happens("u1", 900, Change::PasswordChange).await;
        house.deliver().await;
        house.ask("POST /rps/aaaa/enable", None).await;
        house.ask("POST /rps/ops/pause", None).await;
        house.ask("POST /rps/aaaa/pause", None).await;
        house.deliver().await;
        house.ask("POST /rps/ops/resume", None).await;
        house.deliver().await;
        let told = operators.got().into_iter().map(|got| {
            let body: serde_json::Value = serde_json::from_slice(&got.body).expect("JSON");
            assert_eq!(
                (&body["type"], &body["data"]["sub"]),
                (&"highwater.relying_party_status".into(), &"aaaa".into())
            );
            assert_eq!(body["data"]["event"]["client_id"], "aaaa");
            let of = |name: &str| body["data"]["event"][name].as_str().unwrap_or("-").to_owned();
            format!("{} {}", of("status"), of("reason"))
        });
        assert_eq!(told.collect::<Vec<_>>(), ["disabled gone", "enabled -", "paused -"]);
    }
}
