use super::*;
use crate::token::tests::{account, delivery, issuers};
use crate::{ClientId, Config, EventType, Haste, Secrets, Signer, SigningAlgorithm, Status};
use aws_lc_rs::signature::{ED25519, KeyPair, UnparsedPublicKey};
use jose::Compact;
use keys::RootKey;

const NOW: Millis = Millis::new(1_789_000_009_999);

fn rp(format: Format, secrets: Secrets) -> RelyingParty {
    let config = Config { format, algorithm: SigningAlgorithm::EdDsa, ..Config::default() };
    config.check(&secrets).expect("it can be");
    RelyingParty {
        client_id: ClientId::new("5882386c6d801776").expect("valid"),
        config,
        secrets,
        status: Status::Enabled,
        status_at: Millis::ZERO,
    }
}

async fn signer() -> Signer {
    let test = store::testing::sqlite(&[crate::MIGRATIONS]).await;
    let signer = Signer::new(test.store.clone(), &RootKey::generate(), &[]).expect("no files");
    signer.ensure().await.expect("the store answers");
    signer
}

fn made(rp: &RelyingParty, signer: &Signer) -> Outgoing {
    let delivery = delivery(account(), EventType::PasswordChange, r#"{"changeTime":5}"#);
    outgoing(rp, &delivery, signer, &issuers(), NOW).expect("it can be made")
}

fn shown(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn the_fxa_format_is_a_post_without_a_body_whose_authorization_is_the_token() {
    let signer = signer().await;
    let mut rp = rp(Format::FxaHeader, Secrets::default());
    for (explicit_type, typ) in [(false, None), (true, Some("secevent+jwt"))] {
        rp.config.explicit_type = explicit_type;
        let Outgoing { headers, body } = made(&rp, &signer);
        assert!(body.is_empty());
        assert_eq!(headers.len(), 1, "no content type either");
        let authorization = &headers[AUTHORIZATION];
        assert!(authorization.is_sensitive());
        let token = authorization.to_str().expect("ASCII").strip_prefix("Bearer ").expect("a bearer token");
        let compact = Compact::split(token).expect("a token");
        assert_eq!(compact.header().expect("a header").typ.as_deref(), typ);
        assert!(compact.payload().expect("claims").starts_with(br#"{"aud":"5882386c6d801776","events":"#));
    }
}

#[tokio::test]
async fn a_push_is_the_token_as_a_body_of_its_type() {
    let secrets = Secrets {
        authorization: Some(Secret::new("Bearer theirs")),
        headers: [("x-key".to_owned(), Secret::new("k"))].into(),
        ..Secrets::default()
    };
    let Outgoing { headers, body } = made(&rp(Format::Push, secrets), &signer().await);
    assert_eq!(
        shown(&headers),
        [
            "accept: application/json",
            "authorization: Bearer theirs",
            "content-type: application/secevent+jwt",
            "x-key: k"
        ]
    );
    let token = std::str::from_utf8(&body).expect("ASCII");
    let header = Compact::split(token).expect("a token").header().expect("a header");
    assert_eq!(header.typ.as_deref(), Some("secevent+jwt"));
}

#[tokio::test]
async fn a_webhook_is_signed_by_each_secret_over_id_time_and_body() {
    let signer = signer().await;
    let texts = [[7_u8; 24], [8; 24]].map(|key| format!("whsec_{}", STANDARD.encode(key)));
    let secrets = Secrets { webhook: texts.map(Secret::new).to_vec(), ..Secrets::default() };
    let Outgoing { headers, body } = made(&rp(Format::WebhookHmac, secrets), &signer);
    assert_eq!(headers[&WEBHOOK_ID], "0b8c0d0e-6d1c-4c57-9f6e-3b4a5a0d9e11");
    assert_eq!(headers[&WEBHOOK_TIMESTAMP], "1789000009", "the attempt's, in seconds");
    let covered = [b"0b8c0d0e-6d1c-4c57-9f6e-3b4a5a0d9e11.1789000009.".as_slice(), &body].concat();
    let expected = [[7_u8; 24], [8; 24]].map(|key| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &covered);
        format!("v1,{}", STANDARD.encode(tag))
    });
    assert_eq!(headers[&WEBHOOK_SIGNATURE], expected.join(" "));

    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a seed");
    let secret = Secret::new(format!("whsk_{}", STANDARD.encode([9; 32])));
    let secrets = Secrets { webhook: vec![secret], ..Secrets::default() };
    let Outgoing { headers, body } = made(&rp(Format::WebhookEd25519, secrets), &signer);
    let signature = headers[&WEBHOOK_SIGNATURE].to_str().expect("ASCII").strip_prefix("v1a,").expect("v1a");
    let signature = STANDARD.decode(signature).expect("base64");
    let covered = [b"0b8c0d0e-6d1c-4c57-9f6e-3b4a5a0d9e11.1789000009.".as_slice(), &body].concat();
    let key = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
    assert!(key.verify(&covered, &signature).is_ok());
}

#[tokio::test]
async fn the_standards_own_example_is_signed_as_there() {
    // The example of the Standard Webhooks specification.
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let signed = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
    assert_eq!(
        hmac_sha256(&secret, signed).as_deref(),
        Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    );
}

#[tokio::test]
async fn every_attempt_says_the_same() {
    let signer = signer().await;
    let rp = rp(Format::Push, Secrets::default());
    let (first, second) = (made(&rp, &signer), made(&rp, &signer));
    assert_eq!(first.body, second.body, "Ed25519 signs the same bytes alike");
    signer.rotate(SigningAlgorithm::EdDsa, Haste::AtOnce).await.expect("the store answers");
    let third = made(&rp, &signer);
    let payload = |body: &Bytes| {
        let token = std::str::from_utf8(body).expect("ASCII").to_owned();
        Compact::split(&token).expect("a token").payload().expect("claims")
    };
    assert_ne!(first.body, third.body, "signed by another key");
    assert_eq!(payload(&first.body), payload(&third.body));
}
