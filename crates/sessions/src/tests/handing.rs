//! Live access tokens: one flight, however many ask.

use super::pretender::Mode;
use super::*;
use crate::NoToken;
use crate::access::Wanted;
use crate::rules::Rotation;
use crate::upstream::Class;
use futures::future::join_all;

const NOW: Wanted = Wanted::Lasting(Duration::ZERO);

impl House {
    pub(super) async fn token(&self, id: &SessionId, wanted: Wanted) -> Result<String, NoToken> {
        let live = self.inner().live_token(id, wanted).await.expect("the store answers");
        live.map(|live| live.access_token.to_string())
    }
}

#[tokio::test]
async fn what_lives_long_enough_is_handed_out_and_what_does_not_is_refreshed_first() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        assert_eq!(house.token(&session, NOW).await.as_deref(), Ok("access-secret-u.1.0"));
        let half = Wanted::Lasting(Duration::from_mins(30));
        assert_eq!(house.token(&session, half).await.as_deref(), Ok("access-secret-u.1.0"));
        house.passes(Duration::from_mins(31)).await;
        assert_eq!(house.token(&session, NOW).await.as_deref(), Ok("access-secret-u.1.0"));
        assert_eq!(house.token(&session, half).await.as_deref(), Ok("access-secret-u.1.1"));
        assert_eq!(house.idp.presentations(), 1);
    }
}

#[tokio::test]
async fn however_many_ask_on_two_nodes_the_token_is_presented_once() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(61)).await;
        let other = house.beside().await;
        let askers = (0..20).map(|n| if n % 2 == 0 { &house } else { &other });
        let tokens = join_all(askers.map(|node| node.token(&session, NOW))).await;
        assert!(tokens.iter().all(|it| it.as_deref() == Ok("access-secret-u.1.1")), "{tokens:?}");
        assert_eq!(house.idp.presentations(), 1);
    }
}

#[tokio::test]
async fn whoever_goes_away_does_not_lose_the_answer() {
    let house = House::new().await;
    let session = house.logs_in("u").await;
    house.passes(Duration::from_mins(61)).await;
    house.idp.set(Mode::Holds);
    let impatient = tokio::time::timeout(Duration::from_millis(20), house.token(&session, NOW)).await;
    assert!(impatient.is_err());
    house.idp.held.add_permits(1);
    assert_eq!(house.token(&session, NOW).await.as_deref(), Ok("access-secret-u.1.1"));
    assert_eq!(house.idp.most_of_one(), 1);
}

#[tokio::test]
async fn an_outage_is_no_verdict_and_what_still_lives_is_handed_out() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(50)).await;
        house.idp.set(Mode::Fails(Class::KnownFailed, None));
        let half = Wanted::Lasting(Duration::from_mins(30));
        assert_eq!(
            house.token(&session, half).await.as_deref(),
            Ok("access-secret-u.1.0"),
            "it has ten minutes"
        );
        house.passes(Duration::from_mins(11)).await;
        assert!(matches!(house.token(&session, NOW).await, Err(NoToken::Unavailable { .. })));
        // The floor: nobody who asks again and again makes us ask again and again.
        let asked = house.idp.presentations();
        assert!(matches!(house.token(&session, NOW).await, Err(NoToken::Unavailable { .. })));
        assert_eq!(house.idp.presentations(), asked);
        house.idp.set(Mode::Well);
        house.passes(Duration::from_mins(6)).await;
        assert_eq!(house.token(&session, NOW).await.as_deref(), Ok("access-secret-u.1.1"));
    }
}

#[tokio::test]
async fn a_retired_grant_is_good_until_its_token_ends_and_then_the_user_must_log_in() {
    for house in House::on_each_engine_with(profile(Rotation::Always, 0)).await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        house.idp.set(Mode::LosesAnswers);
        house.refresh().await;
        assert_eq!(house.token(&session, NOW).await.as_deref(), Ok("access-secret-u.1.0"));
        house.passes(Duration::from_mins(2)).await;
        let need = NoToken::LoginNeeded(crate::Reason::LostReply);
        assert_eq!(house.token(&session, NOW).await, Err(need));
        assert_eq!(house.show(&session).await.state, crate::SessionState::Live);
    }
}

#[tokio::test]
async fn a_refresh_that_is_asked_for_is_made_once() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(1)).await;
        assert_eq!(house.token(&session, Wanted::After(0)).await.as_deref(), Ok("access-secret-u.1.1"));
        assert!(matches!(house.token(&session, Wanted::After(1)).await, Err(NoToken::Unavailable { .. })));
        assert_eq!(house.idp.presentations(), 1);
    }
}

#[tokio::test]
async fn no_token_is_handed_out_after_the_account_changed_or_the_session_ended() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(1)).await;
        house.happens("u", house.clock.now(), Change::PasswordChange).await;
        let ended = Err(NoToken::Ended(crate::Reason::PasswordChange));
        assert_eq!(house.token(&session, NOW).await, ended);

        let other = house.logs_in_with("v", |login| login.lifetime = Some(HOUR / 2)).await;
        house.passes(HOUR / 2).await;
        assert_eq!(house.token(&other, NOW).await, Err(NoToken::Ended(crate::Reason::Expired)));

        let bare = house.logs_in_with("w", |login| login.tokens = None).await;
        assert_eq!(house.token(&bare, NOW).await, Err(NoToken::NoGrant));
        assert_eq!(house.token(&SessionId::fresh(), NOW).await, Err(NoToken::NotThere));
    }
}
