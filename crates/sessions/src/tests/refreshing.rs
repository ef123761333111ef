//! The decision table, through the worker, on both engines.

use super::pretender::Mode;
use super::*;
use crate::rules::Rotation;
use crate::upstream::Class;

#[tokio::test]
async fn a_token_is_refreshed_before_it_ends_and_each_is_presented_once() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(30)).await;
        assert_eq!(house.refresh().await, 0, "not before it is time");
        for generation in 1..=10 {
            house.passes(Duration::from_mins(58)).await;
            assert_eq!(house.refresh().await, 1);
            assert_eq!(house.shown(&session).await, format!("live live g{generation} f0"));
        }
        assert_eq!((house.idp.presentations(), house.idp.most_of_one(), house.idp.reuses()), (10, 1, 0));
    }
}

/// What the identity provider does, whether it gives a new refresh token, what is known of it, and what becomes of the
/// session.
#[tokio::test]
async fn the_decision_table_row_by_row() {
    let wait = Some(Duration::from_mins(5));
    let rows = [
        (Mode::Well, Rotation::Always, 0, "live live g1 f0"),
        (
            Mode::Fails(Class::Terminal, None),
            Rotation::Always,
            0,
            "ended(refused_by_idp) ended(refused_by_idp) g0 f0",
        ),
        (Mode::Fails(Class::Mismatch, None), Rotation::Always, 0, "ended(mismatch) ended(mismatch) g0 f0"),
        (Mode::Fails(Class::Misconfigured, None), Rotation::Always, 0, "live live g0 f1"),
        (Mode::Fails(Class::Throttled, wait), Rotation::Always, 0, "live live g0 f1"),
        (Mode::Fails(Class::KnownFailed, None), Rotation::Always, 0, "live live g0 f1"),
        (Mode::Fails(Class::NotAsked, None), Rotation::Always, 0, "live live g0 f0"),
        (Mode::LosesAnswers, Rotation::Always, 0, "live retired(lost_reply) g0 f1"),
        (Mode::LosesAnswers, Rotation::Always, 30, "live suspect g0 f1"),
        (Mode::LosesAnswers, Rotation::Never, 0, "live suspect g0 f1"),
        (Mode::LosesRequests, Rotation::Unknown, 0, "live retired(lost_reply) g0 f1"),
    ];
    for (mode, rotation, grace, expected) in rows {
        for house in House::on_each_engine_with(profile(rotation, grace)).await {
            let session = house.logs_in("u").await;
            house.passes(Duration::from_mins(59)).await;
            house.idp.set(mode.clone());
            house.refresh().await;
            assert_eq!(house.shown(&session).await, expected, "{mode:?} {rotation:?} {grace}");
        }
    }
}

#[tokio::test]
async fn what_failed_is_tried_again_with_the_same_token_and_what_was_lost_in_the_grace_too() {
    for house in House::on_each_engine_with(profile(Rotation::Always, 30)).await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        house.idp.set(Mode::Fails(Class::KnownFailed, None));
        house.refresh().await;
        house.idp.set(Mode::LosesRequests);
        house.passes(Duration::from_secs(21)).await;
        house.refresh().await;
        assert_eq!(house.shown(&session).await, "live suspect g0 f2");
        house.idp.set(Mode::Well);
        house.passes(Duration::from_millis(29_999)).await;
        house.refresh().await;
        assert_eq!(house.shown(&session).await, "live live g1 f0");
    }
}

#[tokio::test]
async fn a_grace_that_is_over_is_not_tried() {
    for house in House::on_each_engine_with(profile(Rotation::Always, 30)).await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        house.idp.set(Mode::LosesAnswers);
        house.refresh().await;
        house.idp.set(Mode::Well);
        house.passes(Duration::from_secs(31)).await;
        house.refresh().await;
        assert_eq!(house.shown(&session).await, "live retired(lost_reply) g0 f1");
        assert_eq!((house.idp.most_of_one(), house.idp.reuses()), (1, 0));
    }
}

#[tokio::test]
async fn a_refresh_token_that_stays_the_same_goes_on() {
    for house in House::on_each_engine().await {
        house.idp.rotates(false);
        let session = house.logs_in("u").await;
        for generation in 1..=3 {
            house.passes(Duration::from_mins(59)).await;
            house.refresh().await;
            assert_eq!(house.shown(&session).await, format!("live live g{generation} f0"));
        }
        // It was refreshed before and stayed the same: one answer that is lost costs nothing.
        house.passes(Duration::from_mins(59)).await;
        house.idp.set(Mode::LosesAnswers);
        house.refresh().await;
        assert_eq!(house.shown(&session).await, "live suspect g3 f1");
        house.idp.set(Mode::Well);
        house.passes(Duration::from_mins(1)).await;
        house.refresh().await;
        assert_eq!(house.shown(&session).await, "live live g4 f0");
    }
}

#[tokio::test]
async fn a_token_that_comes_expired_is_not_refreshed_without_end() {
    let house = House::new().await;
    let session = house.logs_in("u").await;
    house.idp.tokens_live(Some(Duration::ZERO));
    house.passes(Duration::from_mins(59)).await;
    house.refresh().await;
    let next = house.show(&session).await.grant.expect("a grant").next_attempt_at.expect("due some time");
    assert!(next.since(house.clock.now()) >= Duration::from_mins(20), "{next}");
}

#[tokio::test]
async fn a_grant_that_nobody_uses_rests_until_somebody_does() {
    let settings = Settings { idle_hours: 2, session_hours: 100, ..Settings::default() };
    for house in House::on_each_engine_with(settings).await {
        let session = house.logs_in("u").await;
        for _ in 0..4 {
            house.passes(Duration::from_mins(59)).await;
            house.refresh().await;
        }
        let resting = house.idp.presentations();
        assert_eq!(resting, 2, "it was used two hours ago");
        assert_eq!(house.show(&session).await.grant.expect("a grant").next_attempt_at, None);

        house.inner().touches.touch(&session, house.clock.now());
        assert_eq!(crate::touches::flush(Arc::clone(house.inner())).await, Tick::Idle);
        assert_eq!(house.refresh().await, 1);
        assert_eq!(house.shown(&session).await, "live live g3 f0");
        assert_eq!(house.show(&session).await.version, 1, "no touch changes what is watched");
    }
}

#[tokio::test]
async fn two_browsers_of_one_user_have_grants_of_their_own_and_two_sessions_of_one_login_share_one() {
    for house in House::on_each_engine().await {
        let first = house.logs_in("u").await;
        let second = house.logs_in("u").await;
        let grant = house.show(&first).await.grant.expect("a grant").id;
        let third = house
            .logs_in_with("u", |login| {
                (login.tokens, login.grant) = (None, Some(grant.clone()));
            })
            .await;
        assert_eq!(house.show(&third).await.grant.expect("a grant").id, grant);
        assert_ne!(house.show(&second).await.grant.expect("a grant").id, grant);
        house.passes(Duration::from_mins(59)).await;
        assert_eq!(house.refresh().await, 2);
        assert_eq!(house.shown(&third).await, "live live g1 f0");
    }
}

#[tokio::test]
async fn claims_of_an_id_token_are_replaced_and_those_who_watch_hear_of_it_only_then() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        let refreshed = async |says: serde_json::Value| {
            house.idp.says(&says);
            house.passes(Duration::from_mins(59)).await;
            house.refresh().await;
            let view = house.show(&session).await;
            (view.version, view.claims.id_token.expect("claims"))
        };
        let (version, claims) = refreshed(serde_json::json!({"groups": ["a", "b"], "name": "U"})).await;
        assert_eq!((version, claims.len()), (2, 2));
        assert_eq!(refreshed(serde_json::json!({"groups": ["a", "b"], "name": "U"})).await.0, 2);
        let (version, claims) = refreshed(serde_json::json!({"name": "U"})).await;
        assert_eq!((version, claims.contains_key("groups")), (3, false), "what is said no longer is gone");
    }
}

#[tokio::test]
async fn what_went_wrong_is_kept_with_the_grant_and_with_its_identity_provider() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        house.idp.set(Mode::Fails(Class::Misconfigured, None));
        house.refresh().await;
        let error = house.show(&session).await.grant.and_then(|grant| grant.last_error).expect("an error");
        assert_eq!((error.class.as_str(), error.text.as_str()), ("misconfigured", "as it was told to"));
        let troubles = house.store.scan(crate::store::find::ListTroubles).await.expect("the store answers");
        assert_eq!((troubles[0].idp.as_str(), troubles[0].class.as_str()), ("main", "misconfigured"));
    }
}
