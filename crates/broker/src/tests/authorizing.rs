//! Relying parties that want to see an access token.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::store::list::ShowDelivery;
use crate::{Format, OauthClient, Secret};
use serde_json::json;

const FIRST: Answer = Answer::Says(200, r#"{"access_token":"at-1","token_type":"Bearer","expires_in":3600}"#);
const SECOND: Answer = Answer::Says(200, r#"{"access_token":"at-2","token_type":"bearer"}"#);

async fn add(house: &House, receiver: &Receiver, endpoint: &Receiver) {
    let oauth = OauthClient {
        token_url: endpoint.url(),
        client_id: "high water".into(),
        client_secret: Secret::new("s3:cret"),
        scope: Some("events.write".into()),
        resource: None,
    };
    house
        .add("aaaa", receiver, |config, secrets| {
            (config.format, config.resource_server) = (Format::Push, true);
            secrets.oauth = Some(oauth);
        })
        .await;
}

fn seen(receiver: &Receiver) -> Vec<String> {
    let of = |got: receiver::Got| got.headers["authorization"].to_str().expect("ASCII").to_owned();
    receiver.got().into_iter().map(of).collect()
}

#[tokio::test]
async fn a_token_is_got_once_and_again_when_it_ends_or_is_not_taken() {
    for house in House::on_each_engine().await {
        let (receiver, endpoint) = (Receiver::start().await, Receiver::answering(FIRST).await);
        add(&house, &receiver, &endpoint).await;
        for user in 0..5 {
            house.happens(&format!("u{user}"), 900, Change::PasswordChange).await;
        }
        house.deliver().await;
        assert_eq!(seen(&receiver), ["Bearer at-1"; 5]);
        let asked = &endpoint.got()[0];
        assert_eq!(asked.body, b"grant_type=client_credentials&scope=events.write");
        // RFC 6749 section 2.3.1: `high+water:s3%3Acret`.
        assert_eq!(asked.headers["authorization"], "Basic aGlnaCt3YXRlcjpzMyUzQWNyZXQ=");
        assert_eq!(endpoint.got().len(), 1, "one for all");

        house.clock.advance(Duration::from_mins(49));
        endpoint.answers(SECOND);
        receiver.answers_next([Answer::Says(401, "what is at-2?")]);
        house.happens("u1", 901, Change::PasswordChange).await;
        house.deliver().await;
        assert_eq!(endpoint.got().len(), 2, "it was about to end");
        house.clock.advance(Duration::from_secs(20));
        endpoint.answers(FIRST);
        house.deliver().await;
        assert_eq!(
            seen(&receiver)[5..],
            ["Bearer at-2", "Bearer at-1"],
            "what was not taken is not shown again"
        );
        let shown = house.store.scan(ShowDelivery(6)).await.expect("the store answers").expect("it is there");
        assert_eq!(shown.1[0].answer.as_deref(), Some("what is [redacted]?"));
        assert_eq!(shown.0.state, "delivered");
    }
}

#[tokio::test]
async fn without_a_token_it_is_not_called() {
    let house = House::new().await;
    let (receiver, endpoint) = (Receiver::start().await, Receiver::answering(Answer::Status(500)).await);
    add(&house, &receiver, &endpoint).await;
    house.happens("u1", 900, Change::PasswordChange).await;
    for (answer, why) in [
        (Answer::Status(500), "answered 500 Internal Server Error)"),
        (Answer::Says(200, "<html>"), "cannot be read"),
        (Answer::Says(200, r#"{"access_token":"x","token_type":"mac"}"#), "is no bearer token)"),
    ] {
        endpoint.answers(answer);
        house.deliver().await;
        let shown = house.shown().await.remove(0);
        assert!(shown.contains("(no access token: ") && shown.contains(why), "{shown}");
        house.clock.advance(Duration::from_mins(1));
        house.ask("POST /deliveries/1/retry", None).await;
    }
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn an_access_token_goes_with_no_other_authorization() {
    let house = House::new().await;
    let oauth =
        json!({ "token_url": "https://as.example/token", "client_id": "c", "client_secret": "s3cret" });
    let add = async |format: &str, secrets: serde_json::Value| {
        let config = json!({ "webhook": "https://a.example/", "format": format });
        house
            .ask("POST /rps", Some(json!({ "client_id": "aaaa", "config": config, "secrets": secrets })))
            .await
    };
    for (format, secrets) in [
        ("fxa-header", json!({ "oauth": oauth })),
        ("push", json!({ "oauth": oauth, "authorization": "Bearer x" })),
        (
            "push",
            json!({ "oauth": { "token_url": "http://as.example/", "client_id": "c", "client_secret": "s" } }),
        ),
        (
            "push",
            json!({ "oauth": { "token_url": "https://10.0.0.1/", "client_id": "c", "client_secret": "s" } }),
        ),
        (
            "push",
            json!({ "oauth": { "token_url": "https://as.example/", "client_id": "", "client_secret": "s" } }),
        ),
    ] {
        assert!(add(format, secrets.clone()).await.problem().starts_with("400 "), "{format} {secrets}");
    }
    let added = add("push", json!({ "oauth": oauth })).await;
    assert_eq!(added.json()["secrets"]["oauth"], true, "{}", added.body);
    assert!(!added.body.contains("s3cret"));
}
