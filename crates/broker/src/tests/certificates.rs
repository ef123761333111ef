//! Relying parties that ask who calls by mutual TLS.

use super::*;
use serde_json::json;
use store::{Operation, StoreError, Tx};
use testkit::{Authority, MutualTls};

store::statements! {
    static SEALED = both("select config, secrets from relying_parties where client_id = 'aaaa'");
}

struct ReadRow;

impl Operation for ReadRow {
    const NAME: &'static str = "test.row";
    type Output = (String, Vec<u8>);
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        tx.query_one(&SEALED, &[], |row| Ok((row.text(0)?.to_owned(), row.bytes(1)?.to_vec()))).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_certificate_is_shown_the_current_one_and_nobody_else_sees_its_key() {
    for house in House::on_each_engine().await {
        let authority = Authority::new();
        let server = MutualTls::start(&authority);
        let (first, second) = (authority.papers("first"), authority.papers("second"));
        let new = json!({
            "client_id": "aaaa",
            "config": {
                "webhook": server.url(), "allow_private": true, "resource_server": true, "algorithm": "EdDSA",
                "certificate_authorities": authority.certificate(),
            },
            "secrets": { "client_certificate": first.together() },
        });
        let added = house.ask("POST /rps", Some(new)).await;
        assert_eq!(added.json()["secrets"]["client_certificate"], true, "{}", added.body);
        assert!(!added.body.contains("PRIVATE"));
        let (config, secrets) = house.store.run(ReadRow).await.expect("the store answers");
        assert!(!config.contains("PRIVATE") && !String::from_utf8_lossy(&secrets).contains("PRIVATE"));

        house.happens("u1", 900, Change::PasswordChange).await;
        house.deliver().await;
        let change = json!({ "secrets": { "client_certificate": second.together() } });
        assert_eq!(house.ask("PATCH /rps/aaaa", Some(change)).await.status, http::StatusCode::OK);
        house.happens("u1", 901, Change::PasswordChange).await;
        house.deliver().await;
        let heard = server.heard();
        assert_eq!(heard.len(), 2);
        assert!(heard[0].certificate != heard[1].certificate, "the current one");
        assert!(heard.iter().all(|it| it.head.to_lowercase().contains("\r\nauthorization: bearer ey")));

        let none = json!({ "secrets": { "client_certificate": null } });
        assert_eq!(house.ask("PATCH /rps/aaaa", Some(none)).await.status, http::StatusCode::OK);
        house.happens("u1", 902, Change::PasswordChange).await;
        house.deliver().await;
        assert!(server.has_refused());
        let states: Vec<_> = house.deliveries().await.into_iter().map(|it| it.state).collect();
        assert_eq!(states, ["delivered", "delivered", "pending"]);
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_refused_and_not_repeated() {
    let house = House::new().await;
    let authority = Authority::new();
    let (one, other) = (authority.papers("a"), authority.papers("b"));
    let mixed = format!("{}{}", one.certificate, other.key);
    for odd in ["", "x", &one.certificate, &one.key, &mixed, &"x".repeat(100_000)] {
        let new = json!({ "client_id": "aaaa", "secrets": { "client_certificate": odd } });
        let refused = house.ask("POST /rps", Some(new)).await.problem();
        assert!(refused.starts_with("400 the client certificate"), "{refused}");
        assert!(!refused.contains("PRIVATE"));
    }
    for odd in ["", "x", &one.key] {
        let new = json!({ "client_id": "aaaa", "config": { "certificate_authorities": odd } });
        let refused = house.ask("POST /rps", Some(new)).await.problem();
        assert!(refused.starts_with("400 the certificate authorities"), "{refused}");
    }
    assert_eq!(house.ask("GET /rps", None).await.json(), json!([]));
}
