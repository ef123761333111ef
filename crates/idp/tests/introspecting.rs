//! Asking an identity provider to look into tokens, in its good and its bad hours. Time is virtual: the question carries it.

mod introspecting {
    mod manners;
    mod proofs;
    mod troubles;
}

use account::{Birth, IdpId, Millis};
use idp::{Idp, IdpConfig, Inactive, Introspected, Introspection, Lane, Trouble};
use serde_json::json;
use standins::{AccessClaims, Canned, Now, StandInIdp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const AT: i64 = 1_700_000_000;
const UNKNOWN: Lane<'_> = Lane::Unknown { caller: "tests" };

/// An identity provider, one who asks it, and the time.
struct World {
    there: StandInIdp,
    idp: Idp,
    now: Arc<AtomicI64>,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut IdpConfig)) -> Self {
        let now = Arc::new(AtomicI64::new(AT * 1000));
        let clock: Now = {
            let now = Arc::clone(&now);
            Arc::new(move || Millis::new(now.load(Ordering::SeqCst)))
        };
        let there = StandInIdp::start(clock).await.expect("it starts");
        let mut config = config(&there.url());
        config.server_url = Some(there.url());
        change(&mut config);
        there.sign_up("ada");
        let idp = Idp::new(&config).expect("a good configuration");
        Self { there, idp, now }
    }

    fn now(&self) -> Millis {
        Millis::new(self.now.load(Ordering::SeqCst))
    }

    fn wait(&self, duration: Duration) {
        self.now.store(self.now().plus(duration).get(), Ordering::SeqCst);
    }

    fn token(&self) -> String {
        self.there.sign_in_opaque("ada").expect("signed up").access_token
    }

    async fn ask(&self, token: &str) -> Introspected {
        self.idp.introspect(token, Lane::Known, self.now()).await
    }

    async fn ask_for(&self, caller: &str, token: &str) -> Introspected {
        self.idp.introspect(token, Lane::Unknown { caller }, self.now()).await
    }
}

fn config(issuer: &str) -> IdpConfig {
    IdpConfig::new(IdpId::new("idp").expect("valid"), issuer, "idp.example")
}

fn active(told: Introspected) -> Introspection {
    match told {
        Introspected::Active(facts) => facts,
        other => panic!("not active: {other:?}"),
    }
}

fn trouble(told: &Introspected) -> Trouble {
    match told {
        Introspected::Unavailable { trouble, .. } => *trouble,
        other => panic!("no trouble: {other:?}"),
    }
}

fn retry_after(told: &Introspected) -> Duration {
    match told {
        Introspected::Unavailable { retry_after, .. } => *retry_after,
        other => panic!("no trouble: {other:?}"),
    }
}

#[tokio::test]
async fn the_facts_of_a_good_token_are_told() {
    let world = World::new().await;
    let facts = active(world.idp.introspect(&world.token(), UNKNOWN, world.now()).await);
    assert_eq!((facts.subject.as_str(), facts.client_id.as_deref()), ("ada", Some("5882386c6d801776")));
    assert_eq!(&*facts.scope, standins::SYNC_SCOPE);
    assert_eq!(facts.issued_at, Some(Birth::exactly(Millis::from_seconds(AT))));
    assert_eq!(facts.auth_time, Some(Birth::within_second(AT)));
    assert_eq!(facts.expires_at, Some(Millis::from_seconds(AT + 6 * 60 * 60)));
    assert_eq!((facts.acr.as_deref(), facts.amr.as_ref()), (Some("AAL1"), ["pwd".into()].as_slice()));
}

#[tokio::test]
async fn what_has_ended_is_taken_back_or_never_was_is_no_good() {
    let world = World::new().await;
    let (ended, revoked, changed) = (world.token(), world.token(), world.token());
    world.there.revoke(&revoked);
    let refresh = world.there.sign_in_for_refresh("ada").expect("signed up");
    for token in [revoked.as_str(), &refresh, &"0".repeat(64)] {
        assert_eq!(world.ask(token).await, Introspected::Inactive(Inactive::Unknown));
    }
    world.there.change_password("ada");
    assert_eq!(world.ask(&changed).await, Introspected::Inactive(Inactive::Unknown));
    world.wait(Duration::from_hours(7));
    assert_eq!(world.ask(&ended).await, Introspected::Inactive(Inactive::Unknown));
}

#[tokio::test]
async fn a_refresh_token_is_no_good_although_it_is_active() {
    let world = World::new().await;
    let told = json!({ "active": true, "token_type": "refresh_token", "sub": "ada", "scope": "profile" });
    world.there.answer_introspection(Some(Canned::ok(told.to_string())));
    assert_eq!(world.ask(&world.token()).await, Introspected::Inactive(Inactive::OtherKind));
}

#[tokio::test]
async fn what_is_told_shows_neither_the_token_nor_its_digest() {
    let world = World::new().await;
    let token = world.token();
    let told = world.ask(&token).await;
    world.there.answer_introspection(Some(Canned::ok(format!(r#"{{"active":"{token}"}}"#))));
    let trouble = world.ask(&token).await;
    let digest = hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        &hex::decode(&token).expect("hexadecimal"),
    ));
    let shown = format!("{told:?} {trouble:?} {:?}", world.idp);
    assert!(!shown.contains(&token) && !shown.contains(&digest), "{shown}");
}

#[tokio::test]
async fn where_there_is_nobody_to_ask_nothing_is_good() {
    let mut config = config("https://idp.example");
    config.jwks_url = Some("http://127.0.0.1:9/jwks".to_owned());
    let idp = Idp::new(&config).expect("valid");
    assert!(!idp.can_introspect() && idp.introspection_state(Millis::ZERO).is_none());
    let told = idp.introspect("token", UNKNOWN, Millis::ZERO).await;
    assert_eq!(told, Introspected::Inactive(Inactive::NotAsked));
}

#[tokio::test]
async fn a_jwt_can_be_looked_into_too() {
    let world = World::new().await;
    let claims = AccessClaims::new("ada", AT * 1000, AT);
    assert_eq!(active(world.ask(&world.there.mint(&claims)).await).subject.as_str(), "ada");
    let unheard_of = world.there.mint_unremembered(&claims);
    assert_eq!(world.ask(&unheard_of).await, Introspected::Inactive(Inactive::Unknown));
}
