//! What operators see and mend.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::capability_list::{Source, refresh};
use crate::worker::sweep;
use crate::{CapabilityList, Format, Secret, Vocabulary};
use account::Subscription;
use http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn a_relying_party_is_added_shown_changed_and_removed_and_its_secrets_are_not_shown() {
    for house in House::on_each_engine().await {
        let new = json!({
            "client_id": "AAAA",
            "config": { "name": "A", "webhook": "https://a.example/", "format": "push", "capabilities": ["x"] },
            "secrets": { "authorization": "Bearer s3cret", "headers": { "x-key": "s3cret" } },
        });
        let added = house.ask("POST /rps", Some(new.clone())).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
        assert!(!added.body.contains("s3cret"));
        let again = house.ask("POST /rps", Some(new)).await;
        assert_eq!(again.problem(), "409 the relying party aaaa is there already; update it instead");
        let change = json!({ "config": { "name": "B", "rate": 5, "capabilities": null }, "secrets": { "headers": null } });
        let changed = house.ask("PATCH /rps/aaaa", Some(change)).await.json();
        assert_eq!(changed["config"]["name"], "B");
        assert_eq!((&changed["config"]["rate"], changed["config"].get("capabilities")), (&json!(5), None));
        assert_eq!(
            changed["secrets"],
            json!({ "authorization": true, "headers": [], "oauth": false, "client_certificate": false, "webhook": 0 })
        );
        let shown = house.ask("GET /rps/aaaa", None).await;
        assert_eq!(shown.json()["status"], "enabled");
        assert!(!shown.body.contains("s3cret"));
        assert_eq!(house.ask("GET /rps", None).await.json().as_array().expect("a list").len(), 1);
        assert_eq!(house.ask("DELETE /rps/aaaa", None).await.status, StatusCode::NO_CONTENT);
        assert_eq!(house.ask("DELETE /rps/aaaa", None).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn what_cannot_be_is_told_plainly_and_changes_nothing() {
    let house = House::new().await;
    let add = async |config: Value, secrets: Value| {
        let new = json!({ "client_id": "aaaa", "config": config, "secrets": secrets });
        house.ask("POST /rps", Some(new)).await.problem()
    };
    let plain = json!({});
    assert_eq!(
        add(json!({ "webhook": "http://a.example/" }), plain.clone()).await,
        "400 the webhook is plain http; that is for private addresses, which must be allowed"
    );
    assert!(add(json!({ "webhok": "x" }), plain.clone()).await.contains("unknown field `webhok`"));
    assert!(add(json!({ "events": ["delete"] }), plain.clone()).await.contains("no event type known here"));
    assert!(add(json!({ "format": "pigeon" }), plain.clone()).await.starts_with("400 "));
    assert!(add(json!({ "capabilities": vec!["x"; 1_001] }), plain.clone()).await.starts_with("400 "));
    assert!(
        add(json!({ "stream": { "id": "x", "events_requested": [], "created_at": 0 } }), plain.clone())
            .await
            .starts_with("400 ")
    );
    assert!(add(json!({}), json!({ "headers": { "host": "x" } })).await.starts_with("400 "));
    let odd = house.ask("POST /rps", Some(json!({ "client_id": "a b" }))).await;
    assert!(odd.problem().starts_with("400 "), "{}", odd.body);
    for (path, body) in [
        ("PATCH /rps/aaaa", Some(json!({ "config": {} }))),
        ("POST /rps/aaaa/pause", None),
        ("POST /rps/aaaa/disable", Some(json!({ "reason": "x" }))),
        ("POST /rps/aaaa/tokens", Some(json!({}))),
        ("GET /deliveries/7", None),
        ("POST /deliveries/7/retry", None),
    ] {
        assert_eq!(house.ask(path, body).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(house.ask("GET /deliveries?state=odd", None).await.problem().starts_with("400 "));
    for odd in ["rp=a%20b", "subject=%00", "idp=%00", "idp=", "limit=x", "since=x", "odd=1"] {
        let refused = house.ask(&format!("GET /deliveries?{odd}"), None).await;
        assert!(refused.problem().starts_with("400 "), "{odd}: {}", refused.body);
    }
    let nobodys = json!({ "client_id": "aaaa", "config": { "idp": "mian" } });
    let refused = house.ask("POST /rps", Some(nobodys)).await.problem();
    assert!(refused.contains("no identity provider mian is configured; there are: main"), "{refused}");
    assert!(house.ask("POST /rps/import?idp=mian", None).await.problem().starts_with("400 "));
    assert_eq!(house.ask("GET /rps", None).await.json(), json!([]));
}

#[tokio::test]
async fn a_paused_relying_party_is_told_in_order_when_it_is_resumed() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        house.add("aaaa", &receiver, |_, _| ()).await;
        house.logs_in("u1", "aaaa").await;
        assert_eq!(house.ask("POST /rps/aaaa/pause", None).await.json()["status"], "paused");
        house.happens("u1", 900, Change::PasswordChange).await;
        house.happens("u1", 901, Change::Disable).await;
        house.deliver().await;
        assert!(receiver.got().is_empty());
        let shown = house.ask("GET /rps/aaaa", None).await.json();
        let bound = json!({ "deliveries": 1_000_000, "days": 30 });
        let pending = json!({ "deliveries": 2, "oldest_at": house.clock.now(), "bound": bound });
        assert_eq!(shown["pending"], pending);
        assert!(house.ask("POST /rps/aaaa/enable", None).await.problem().starts_with("409 "));
        assert_eq!(house.ask("POST /rps/aaaa/resume", None).await.json()["status"], "enabled");
        house.deliver().await;
        assert_eq!(receiver.heard(), ["u1 password-change", "u1 profile-change"]);
    }
}

#[tokio::test]
async fn what_is_held_for_a_paused_one_is_bounded_and_deletions_are_not_dropped() {
    let house = House::new().await;
    let receiver = Receiver::start().await;
    house.add("aaaa", &receiver, |config, _| config.resource_server = true).await;
    house.ask("POST /rps/aaaa/pause", None).await;
    house.happens("u1", 900, Change::PasswordChange).await;
    house.happens("u2", 900, Change::Delete { reason: None }).await;
    house.clock.advance(Duration::from_hours(24 * 31));
    while sweep(Arc::clone(house.inner())).await == work::Tick::More {}
    assert_eq!(
        house.shown().await,
        ["aaaa u1 password-change discarded 0 (held too long while paused)", "aaaa u2 delete-user pending 0"]
    );
}

#[tokio::test]
async fn a_paused_one_is_held_so_many_and_the_oldest_go_first() {
    for test in engines(TABLES).await {
        let house = House::over_with(test, Settings { paused_rows: 3, ..settings() }).await;
        let receiver = Receiver::start().await;
        house.add("aaaa", &receiver, |config, _| config.resource_server = true).await;
        house.ask("POST /rps/aaaa/pause", None).await;
        house.happens("u0", 900, Change::Delete { reason: None }).await;
        for number in 1..=5 {
            house.happens(&format!("u{number}"), 900 + number, Change::PasswordChange).await;
        }
        while sweep(Arc::clone(house.inner())).await == work::Tick::More {}
        let states: Vec<_> =
            house.deliveries().await.into_iter().map(|it| format!("{} {}", it.subject, it.state)).collect();
        assert_eq!(
            states,
            ["u0 pending", "u1 discarded", "u2 discarded", "u3 discarded", "u4 pending", "u5 pending"]
        );
        assert_eq!(house.deliveries().await[1].reason.as_deref(), Some("too many held while paused"));
    }
}

#[tokio::test]
async fn what_has_ended_is_kept_so_long_and_a_receipt_for_good() {
    for test in engines(TABLES).await {
        let kept =
            Settings { attempts_days: 10, deliveries_days: 20, deleted_accounts_days: 20, ..settings() };
        let house = House::over_with(test, kept).await;
        let receiver = Receiver::start().await;
        receiver.answers_next([Answer::Status(404)]);
        house.add("aaaa", &receiver, |config, _| config.resource_server = true).await;
        house.happens("u1", 900, Change::Delete { reason: None }).await;
        house.deliver().await;
        house.clock.advance(Duration::from_secs(20));
        house.deliver().await;
        let attempts = async || {
            let shown = house.ask("GET /deliveries/1", None).await.json();
            shown["attempts"].as_array().map(Vec::len)
        };
        let mut seen = Vec::new();
        for _ in 0..3 {
            while sweep(Arc::clone(house.inner())).await == work::Tick::More {}
            seen.push(attempts().await);
            house.clock.advance(Duration::from_hours(11 * 24));
        }
        assert_eq!(seen, [Some(2), Some(0), None], "attempts go first, then the delivery");
        let receipts = house.ask("GET /accounts/main/u1/deletion-receipts", None).await.json();
        assert_eq!(receipts[0]["state"], "delivered");
    }
}

#[tokio::test]
async fn who_was_deleted_is_forgotten_when_everybody_has_confirmed_it() {
    for house in House::on_each_engine().await {
        let (good, bad) = (Receiver::start().await, Receiver::start().await);
        house.add("aaaa", &good, |config, _| config.resource_server = true).await;
        house.add("bbbb", &bad, |config, _| config.retry = RetryPolicy { delays_seconds: vec![] }).await;
        house.logs_in("u1", "cccc").await;
        house.logs_in("u2", "bbbb").await;
        for subject in ["u1", "u2"] {
            house.happens(subject, 900, Change::PasswordChange).await;
        }
        house.happens("u3", 900, Change::PasswordChange).await;
        house.deliver().await;
        bad.answers(Answer::Status(404));
        for subject in ["u1", "u2"] {
            house.happens(subject, 901, Change::Delete { reason: None }).await;
        }
        house.deliver().await;
        let after = async |days: u64| {
            house.clock.advance(Duration::from_hours(24 * days));
            while sweep(Arc::clone(house.inner())).await == work::Tick::More {}
            let subjects: std::collections::BTreeSet<String> =
                house.deliveries().await.into_iter().map(|it| it.subject).collect();
            subjects.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(after(6).await, "u1 u2 u3");
        assert_eq!(after(2).await, "u2 u3", "one has not confirmed that u2 is gone");
        bad.answers(Answer::Status(200));
        let replay = json!({ "rp": "bbbb", "since": 0 });
        assert_eq!(house.ask("POST /deliveries/replay", Some(replay)).await.json()["deliveries"], 1);
        house.deliver().await;
        assert_eq!(after(8).await, "u3");
        for (subject, receipts) in [("u1", 2), ("u2", 2)] {
            let kept = house.ask(&format!("GET /accounts/main/{subject}/deletion-receipts"), None).await;
            assert_eq!(kept.json().as_array().map(Vec::len), Some(receipts), "{}", kept.body);
        }
    }
}

#[tokio::test]
async fn a_login_is_forgotten_so_long_after_the_last_one() {
    for test in engines(TABLES).await {
        let house = House::over_with(test, Settings { logins_days: 10, ..settings() }).await;
        house.logs_in("u1", "aaaa").await;
        house.logs_in("u1", "bbbb").await;
        let days = |count: u64| Duration::from_hours(24 * count);
        house.clock.advance(days(6));
        house.logs_in("u1", "aaaa").await;
        house.clock.advance(days(6));
        while sweep(Arc::clone(house.inner())).await == work::Tick::More {}
        let logins = house.ask("GET /accounts/main/u1/logins", None).await.json();
        assert_eq!(logins.as_array().expect("a list").len(), 1);
        let login = &logins[0];
        assert_eq!(login["client_id"], "aaaa");
        let between =
            login["last_at"].as_i64().expect("a time") - login["first_at"].as_i64().expect("a time");
        assert_eq!(between, 6 * 86_400_000);
    }
}

#[tokio::test]
async fn an_account_that_disconnects_has_no_sessions_there_and_is_told_of_no_more() {
    for house in House::on_each_engine().await {
        let (plain, standard) = (Receiver::start().await, Receiver::answering(Answer::Status(202)).await);
        house.add("aaaa", &plain, |_, _| ()).await;
        house
            .add("bbbb", &standard, |config, _| {
                (config.format, config.vocabulary) = (Format::Push, Vocabulary::Ssf);
            })
            .await;
        for rp in ["aaaa", "bbbb"] {
            house.logs_in("u1", rp).await;
        }
        let logins = house.ask("GET /accounts/main/u1/logins", None).await.json();
        assert_eq!(logins[0]["client_id"], "aaaa");
        house.happens("u1", 900, Change::Disable).await;
        let leave =
            async |rp: &str| house.ask(&format!("DELETE /accounts/main/u1/logins/{rp}"), None).await.status;
        for rp in ["AAAA", "bbbb"] {
            assert_eq!(leave(rp).await, StatusCode::NO_CONTENT);
            assert_eq!(leave(rp).await, StatusCode::NOT_FOUND);
        }
        house.happens("u1", 901, Change::PasswordChange).await;
        house.deliver().await;
        assert_eq!(plain.heard(), ["u1 profile-change"], "Mozilla's vocabulary has no word for it");
        assert_eq!(standard.heard(), ["u1 account-disabled", "u1 session-revoked"], "in this order");
        // A second leave, after another login, is another one.
        house.clock.advance(Duration::from_secs(1));
        house.logs_in("u1", "bbbb").await;
        assert_eq!(leave("bbbb").await, StatusCode::NO_CONTENT);
        house.deliver().await;
        assert_eq!(standard.heard().len(), 3);
    }
}

#[tokio::test]
async fn the_keys_are_published_and_rotated() {
    let house = House::new().await;
    let published = house.receiver_asks("", "GET /.well-known/jwks.json", None).await;
    assert_eq!(published.headers["content-type"], "application/jwk-set+json");
    assert!(published.headers["cache-control"].to_str().expect("ASCII").contains("max-age=300"));
    assert_eq!(published.json()["keys"].as_array().expect("keys").len(), 6);
    assert!(!published.body.contains("\"d\""), "no private half");
    house.clock.advance(Duration::from_secs(1));
    let rotated = house.ask("POST /keys/rotate", Some(json!({ "algorithm": "ES256" }))).await.json();
    let states: Vec<_> = rotated
        .as_array()
        .expect("keys")
        .iter()
        .filter(|key| key["algorithm"] == "ES256")
        .map(|key| key["state"].as_str().expect("a text").to_owned())
        .collect();
    assert_eq!(states.len(), 3);
    for state in ["next", "current", "retired"] {
        assert!(states.iter().any(|it| it == state), "{states:?}");
    }
    let soon = house.ask("POST /keys/rotate", Some(json!({ "algorithm": "ES256" }))).await.problem();
    assert!(soon.starts_with("409 the next key was published moments ago"), "{soon}");
    let at_once =
        house.ask("POST /keys/rotate", Some(json!({ "algorithm": "ES256", "at_once": true }))).await;
    assert_eq!(at_once.status, StatusCode::OK);
    assert!(
        house
            .ask("POST /keys/rotate", Some(json!({ "algorithm": "HS256" })))
            .await
            .problem()
            .starts_with("400 ")
    );
}

#[tokio::test]
async fn before_the_keys_are_known_nobody_is_told_that_there_are_none() {
    let test = sqlite(TABLES).await;
    let house = House::on(test.store.clone(), test.clock.clone(), &RootKey::generate());
    let published = house.receiver_asks("", "GET /.well-known/jwks.json", None).await;
    assert_eq!(published.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(published.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn what_the_old_broker_kept_is_taken_over_and_nobody_who_was_deleted_comes_back() {
    const OLD: &str = r#"{"path":"fxa-eb-clients/AAAA","fields":{"webhookUrl":"https://a.example/"}}
{"path":"fxa-eb-clients/rrrr","fields":{"webhookUrl":"https://r.example/","isResourceServer":true}}
{"path":"fxa-eb-users/u1","fields":{"oauth_clients":{"aaaa":true,"bbbb":true}}}

{"path":"fxa-eb-users/u2","fields":{"oauth_clients":{"aaaa":true}}}
not a document
"#;
    for house in House::on_each_engine().await {
        house.happens("u2", 900, Change::Delete { reason: None }).await;
        for _ in 0..2 {
            let report = house.import(OLD).await;
            let counts =
                ["relying_parties", "logins", "deleted_accounts", "refused"].map(|it| report[it].as_i64());
            assert_eq!(counts, [2, 2, 1, 1].map(Some));
            assert_eq!(report["refusals"][0]["line"], 6);
        }
        house.happens("u1", 901, Change::PasswordChange).await;
        house.happens("u2", 902, Change::PasswordChange).await;
        let told: Vec<_> = house
            .shown()
            .await
            .iter()
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(told, ["aaaa u1", "bbbb u1", "rrrr u1"]);
    }
}

#[tokio::test]
async fn the_fetched_capabilities_are_replaced_as_a_whole_and_the_last_good_ones_hold() {
    for house in House::on_each_engine().await {
        let list = Receiver::start().await;
        let source = CapabilityList { url: list.url(), token: Secret::new("s3cret"), interval_seconds: 300 };
        let source = Arc::new(Source::new(&source).expect("settings that work"));
        let nobody = Receiver::start().await;
        house.add("aaaa", &nobody, |_, _| ()).await;
        house.logs_in("u1", "aaaa").await;
        let mut at = 900;
        let mut told = async || {
            at += 1;
            let capabilities = vec!["x".to_owned()];
            house
                .happens("u1", at, Change::SubscriptionChange(Subscription { active: true, capabilities }))
                .await;
            house.deliveries().await.iter().filter(|it| it.event_at.get() == at).count()
        };
        assert_eq!(told().await, 0, "nothing is known yet");
        let fetch = async |answer: Answer| {
            list.answers(answer);
            refresh(Arc::clone(house.inner()), Arc::clone(&source)).await
        };
        let good = r#"[{"clientId":"AAAA","capabilities":["X"]},{"clientId":"a b","capabilities":[]}]"#;
        assert_eq!(fetch(Answer::Says(200, good)).await, work::Tick::Idle);
        assert_eq!(list.got()[0].headers["authorization"], "s3cret", "as it is, without a scheme");
        assert_eq!(told().await, 1);
        for bad in [Answer::Status(500), Answer::Says(200, "<html>"), Answer::Says(200, "{}")] {
            assert_eq!(fetch(bad).await, work::Tick::Failed);
            assert_eq!(told().await, 1, "the last good one holds");
        }
        assert_eq!(fetch(Answer::Says(200, "[]")).await, work::Tick::Idle);
        assert_eq!(told().await, 0, "what is no longer listed is gone");
    }
}

#[tokio::test]
async fn health_says_what_somebody_should_look_at() {
    let list = Receiver::answering(Answer::Status(500)).await;
    let capability_list = CapabilityList { url: list.url(), ..CapabilityList::default() };
    let settings = Settings { capability_list: Some(capability_list), ..settings() };
    let house = House::over_with(sqlite(TABLES).await, settings).await;
    let receiver = Receiver::answering(Answer::Status(404)).await;
    let found = async || {
        let found = house.broker.findings().await.into_iter();
        let line = |it: crate::Finding| {
            format!("{}{}: {}", it.name, if it.is_degraded { "!" } else { "" }, it.detail)
        };
        found.map(line).collect::<Vec<_>>()
    };
    let source = Arc::clone(house.inner().capability_list.as_ref().expect("configured"));
    let fetch = async || refresh(Arc::clone(house.inner()), Arc::clone(&source)).await;
    house.add("aaaa", &receiver, |config, _| config.resource_server = true).await;
    fetch().await;
    assert_eq!(
        found().await,
        [
            "keys: every algorithm has a key that signs",
            "capabilities!: not fetched since the start, 0 s ago; the last list that is kept holds",
            "deliveries: 0 pending",
            "relying_parties: 1 known",
        ]
    );
    list.answers(Answer::Says(200, "[]"));
    fetch().await;
    house.happens("u1", 900, Change::PasswordChange).await;
    house.deliver().await;
    house.clock.advance(Duration::from_mins(100));
    assert_eq!(
        found().await[1..3],
        ["capabilities!: fetched 6000 s ago", "deliveries!: 1 pending, to aaaa for 1 h"]
    );
    fetch().await;
    receiver.answers(Answer::Status(410));
    house.deliver().await;
    assert_eq!(
        found().await[1..],
        ["capabilities: fetched 0 s ago", "deliveries: 0 pending", "relying_parties!: disabled: aaaa (gone)"]
    );
}
