//! What a receiver gets, in which order, and what is kept of it.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::{EventType, Format, Secret, Vocabulary};
use account::{DeleteReason, Profile, Subscription};
use jose::{Compact, JwkSet};

fn locale(locale: &str) -> Change {
    Change::ProfileChange(Profile { locale: Some(locale.into()), ..Profile::default() })
}

const DELETE: Change = Change::Delete { reason: Some(DeleteReason::User) };

#[tokio::test]
async fn every_relying_party_of_an_account_is_told_once_and_nobody_else() {
    for house in House::on_each_engine().await {
        let (a, b, all) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
        house.add("aaaa", &a, |_, _| ()).await;
        house.add("bbbb", &b, |_, _| ()).await;
        house.add("rrrr", &all, |config, _| config.resource_server = true).await;
        house.logs_in("u1", "AAAA").await;
        house.logs_in("u1", "cccc").await;
        house.happens("u1", 900, Change::PasswordReset).await;
        house.happens("u2", 901, Change::PasswordChange).await;
        house.deliver().await;
        assert_eq!(a.heard(), ["u1 password-change"]);
        assert_eq!(b.heard(), Vec::<String>::new());
        assert_eq!(all.heard(), ["u1 password-change", "u2 password-change"]);
        assert_eq!(
            house.shown().await,
            [
                "aaaa u1 password-change delivered 0",
                "cccc u1 password-change discarded 0 (no endpoint)",
                "rrrr u1 password-change delivered 0",
                "rrrr u2 password-change delivered 0",
            ]
        );
    }
}

/// A deletion that comes too late is no deletion: who deletes a user for it has lost him for good.
#[tokio::test]
async fn a_late_word_of_a_deletion_deletes_nobody() {
    for house in House::on_each_engine().await {
        let (old, new) = (Receiver::start().await, Receiver::start().await);
        house.add("aaaa", &old, |_, _| ()).await;
        house
            .add("bbbb", &new, |config, _| {
                (config.format, config.vocabulary) = (Format::Push, Vocabulary::Ssf);
            })
            .await;
        for rp in ["aaaa", "bbbb"] {
            house.logs_in("u1", rp).await;
        }
        house.happens("u1", 900, Change::Enable).await;
        house.happens("u1", 800, DELETE).await;
        house.happens("u1", 950, Change::PasswordChange).await;
        house.deliver().await;
        assert_eq!(old.heard(), ["u1 password-change"]);
        assert_eq!(new.heard(), ["u1 session-revoked", "u1 credential-change", "u1 session-revoked"]);
    }
}

#[tokio::test]
async fn what_arrives_is_the_contract_to_the_letter() {
    let house = House::new().await;
    let receiver = Receiver::start().await;
    house.add("5882386c6d801776", &receiver, |_, _| ()).await;
    house.logs_in("u1", "5882386c6d801776").await;
    house.happens("u1", 1_789_000_000_100, Change::PasswordChange).await;
    house.deliver().await;
    let got = &receiver.got()[0];
    assert_eq!((got.method.as_str(), got.body.len()), ("POST", 0));
    assert_eq!(got.headers["content-length"], "0");
    assert!(got.headers.get("content-type").is_none());
    assert!(got.headers["user-agent"].to_str().expect("ASCII").starts_with("highwater/"));
    let claims = got.claims();
    assert_eq!(claims["iat"], house.clock.now().seconds(), "whole seconds, not in the future");
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["sub"]),
        (&ISSUER.into(), &"5882386c6d801776".into(), &"u1".into())
    );
    assert_eq!(claims["events"][EventType::PasswordChange.uri()]["changeTime"], 1_789_000_000_100_i64);
    assert_eq!(claims.as_object().expect("claims").len(), 6, "no exp, no more than there always was");
    let token = got.token();
    let compact = Compact::split(&token).expect("a token");
    let header = compact.header().expect("a header");
    let keys = JwkSet::parse(&house.broker.signer().published()).expect("a set");
    let key = keys.keys.iter().find(|key| key.kid() == header.kid.as_deref()).expect("published");
    assert!(header.typ.is_none() && compact.verify(&header, key.public_key()).is_ok());
}

#[tokio::test]
async fn a_retry_is_the_same_token_and_other_deliveries_have_others() {
    for house in House::on_each_engine().await {
        let (a, b) = (Receiver::start().await, Receiver::start().await);
        a.answers_next([Answer::Status(500)]);
        house.add("aaaa", &a, |_, _| ()).await;
        house.add("bbbb", &b, |_, _| ()).await;
        house.logs_in("u1", "aaaa").await;
        house.logs_in("u1", "bbbb").await;
        house.happens("u1", 900, Change::PasswordChange).await;
        house.deliver().await;
        house.clock.advance(Duration::from_mins(9));
        house.deliver().await;
        let got = a.got();
        assert_eq!(got.len(), 2);
        assert_eq!(got[0].claims(), got[1].claims());
        assert_ne!(got[0].jti(), b.got()[0].jti(), "each relying party has its own");
        assert_eq!(house.shown().await[0], "aaaa u1 password-change delivered 1");
    }
}

#[tokio::test]
async fn the_order_of_an_account_is_kept_while_others_go_ahead() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        house.add("aaaa", &receiver, |_, _| ()).await;
        for subject in ["u1", "u2"] {
            house.logs_in(subject, "aaaa").await;
        }
        receiver.answers_next([Answer::Status(400)]);
        house.happens("u1", 900, Change::PasswordChange).await;
        house.deliver().await;
        house.happens("u1", 901, locale("fi")).await;
        house.happens("u1", 902, locale("sv")).await;
        house.happens("u2", 903, Change::PasswordChange).await;
        house.deliver().await;
        assert_eq!(receiver.heard(), ["u1 password-change", "u2 password-change"], "u1 waits for its first");
        house.clock.advance(Duration::from_secs(20));
        house.deliver().await;
        let locales: Vec<_> = receiver.got()[3..]
            .iter()
            .map(|got| got.claims()["events"][EventType::ProfileChange.uri()]["locale"].clone())
            .collect();
        assert_eq!(receiver.heard()[2..], ["u1 password-change", "u1 profile-change", "u1 profile-change"]);
        assert_eq!(locales, ["fi", "sv"]);
    }
}

#[tokio::test]
async fn a_deletion_goes_first_and_makes_void_what_waits() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        receiver.answers(Answer::Status(500));
        house.add("aaaa", &receiver, |_, _| ()).await;
        house.logs_in("u1", "aaaa").await;
        house.happens("u1", 900, Change::PasswordChange).await;
        house.happens("u1", 901, locale("fi")).await;
        house.deliver().await;
        receiver.answers(Answer::Status(200));
        house.happens("u1", 902, DELETE).await;
        house.deliver().await;
        assert_eq!(receiver.heard(), ["u1 password-change", "u1 delete-user"], "held behind nothing");
        house.clock.advance(Duration::from_secs(20));
        house.deliver().await;
        assert_eq!(
            house.shown().await,
            [
                "aaaa u1 password-change delivered 1",
                "aaaa u1 profile-change discarded 0 (overtaken by the deletion)",
                "aaaa u1 delete-user delivered 0",
            ]
        );
    }
}

#[tokio::test]
async fn a_deleted_account_is_forgotten_and_a_late_login_does_not_bring_it_back() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        house.add("aaaa", &receiver, |_, _| ()).await;
        house.logs_in("u1", "aaaa").await;
        house.happens("u1", 900, DELETE).await;
        house.logs_in("u1", "aaaa").await;
        house.happens("u1", 950, Change::PasswordChange).await;
        house.deliver().await;
        assert_eq!(receiver.heard(), ["u1 delete-user"]);
        let logins = house.store.scan(crate::store::logins::ShowLogins(account("u1"))).await;
        assert_eq!(logins.expect("the store answers"), []);
        let hash = house.ledger.tombstones().hash(&account("u1"));
        let receipts =
            house.store.scan(crate::store::receipts::ShowReceipts(hash)).await.expect("the store answers");
        assert_eq!(receipts.len(), 1);
        assert_eq!((receipts[0].client_id.as_str(), receipts[0].state.as_str()), ("aaaa", "delivered"));
        assert_eq!(receipts[0].settled_at, Some(house.clock.now()));
    }
}

#[tokio::test]
async fn undelivered_profile_changes_are_told_as_one_to_who_wants_that() {
    for house in House::on_each_engine().await {
        let (together, apart) = (Receiver::start().await, Receiver::start().await);
        house.add("aaaa", &together, |config, _| config.coalesce = true).await;
        house.add("bbbb", &apart, |_, _| ()).await;
        for rp in ["aaaa", "bbbb"] {
            house.logs_in("u1", rp).await;
        }
        house.happens("u1", 900, locale("fi")).await;
        house.happens("u1", 901, Change::PrimaryEmailChange { email: Some("n@e".into()) }).await;
        house.happens("u1", 902, locale("sv")).await;
        house.deliver().await;
        assert_eq!(apart.heard().len(), 3);
        let got = together.got();
        assert_eq!(got.len(), 1);
        let told = &got[0].claims()["events"][EventType::ProfileChange.uri()];
        assert_eq!(*told, serde_json::json!({ "email": "n@e", "locale": "sv" }));
    }
}

#[tokio::test]
async fn an_event_may_be_several_tokens_with_one_txn() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::answering(Answer::Status(202)).await;
        house
            .add("aaaa", &receiver, |config, secrets| {
                (config.format, config.vocabulary) = (Format::Push, Vocabulary::Ssf);
                secrets.authorization = Some(Secret::new("Bearer theirs"));
            })
            .await;
        house.logs_in("u1", "aaaa").await;
        house.happens("u1", 900, Change::PasswordChange).await;
        house.deliver().await;
        assert_eq!(receiver.heard(), ["u1 credential-change", "u1 session-revoked"]);
        let got = receiver.got();
        assert_eq!(got[0].claims()["txn"], got[1].claims()["txn"]);
        assert_ne!(got[0].jti(), got[1].jti());
        assert_eq!(got[0].headers["content-type"], "application/secevent+jwt");
        assert_eq!(got[0].headers["authorization"], "Bearer theirs");
        let claims = got[0].claims();
        assert_eq!(claims["sub_id"]["iss"], "https://idp.example");
        assert!(claims.get("sub").is_none() && claims.get("exp").is_none());
    }
}

#[tokio::test]
async fn each_receiver_of_a_subscription_hears_of_its_own_capabilities() {
    let house = House::new().await;
    let (a, b) = (Receiver::start().await, Receiver::start().await);
    house.add("aaaa", &a, |config, _| config.capabilities = vec!["x".into(), "Y".into()]).await;
    house.add("bbbb", &b, |config, _| config.capabilities = vec!["w".into()]).await;
    for rp in ["aaaa", "bbbb"] {
        house.logs_in("u1", rp).await;
    }
    let capabilities = ["y", "x", "z"].map(String::from).to_vec();
    house.happens("u1", 7_000, Change::SubscriptionChange(Subscription { active: true, capabilities })).await;
    house.deliver().await;
    let told = a.got()[0].claims()["events"][EventType::SubscriptionStateChange.uri()].clone();
    assert_eq!(
        told,
        serde_json::json!({ "capabilities": ["y", "x"], "changeTime": 7_000, "isActive": true })
    );
    assert!(b.got().is_empty());
}

#[tokio::test]
async fn an_event_for_more_receivers_than_fit_inline_is_told_by_the_workers() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        for number in 0..60 {
            house.add(&format!("rp{number}"), &receiver, |config, _| config.resource_server = true).await;
        }
        house.happens("u1", 900, Change::PasswordChange).await;
        house.happens("u1", 901, DELETE).await;
        assert_eq!(house.deliveries().await.len(), 0);
        while house.ledger.clone().carry_out_due().await == work::Tick::More {}
        house.deliver().await;
        assert_eq!(house.deliveries().await.len(), 120);
        assert_eq!(receiver.got().len(), 120);
    }
}

#[tokio::test]
async fn an_event_for_very_many_is_told_in_parts_and_its_logins_are_forgotten_with_the_last() {
    for house in House::on_each_engine().await {
        let nobody = Receiver::start().await;
        for number in 0..1_050 {
            house.add(&format!("rp{number:04}"), &nobody, |_, _| ()).await;
        }
        let logins = (0..1_050).map(|number| {
            let login = Login { client_id: Some(format!("rp{number:04}")), ..Login::default() };
            let event = AccountEvent {
                account: account("u1"),
                at: Some(Millis::new(1)),
                change: Change::Login(login),
            };
            Received { source: SourceId::new("test"), message_id: number.to_string(), event }
        });
        for batch in logins.collect::<Vec<_>>().chunks(250) {
            house.ledger.apply_batch(batch.to_vec()).await.expect("the ledger answers");
        }
        house.happens("u1", 900, DELETE).await;
        let mut written = Vec::new();
        while house.ledger.clone().carry_out_due().await == work::Tick::More {
            let logins = house.store.scan(crate::store::logins::ShowLogins(account("u1"))).await;
            written.push((house.deliveries().await.len(), logins.expect("the store answers").len()));
            house.ask("DELETE /rps/rp0007", None).await;
        }
        assert_eq!(written, [(500, 1_050), (1_000, 1_050), (1_050, 0)]);
        let told = house.deliveries().await;
        assert!(told.iter().all(|it| it.txn == told[0].txn), "one event");
        let receivers: std::collections::BTreeSet<_> = told.iter().map(|it| &it.client_id).collect();
        assert_eq!(receivers.len(), 1_050, "each once");
        let receipts = house.ask("GET /accounts/main/u1/deletion-receipts", None).await.json();
        assert_eq!(receipts.as_array().expect("a list").len(), 1_050);
    }
}
