//! An identity provider that is down while the access tokens of ten thousand people run out.

use crate::kept::{LOGINS, Service};
use crate::world::{PATIENCE, World};
use serde_json::json;
use standins::{Endpoint, Fault, How, Rotation};
use std::io::{Write, stderr};
use std::time::{Duration, Instant};
use testkit::{Postgres, wait_until};
use tokio::time::sleep;

const MANY: u16 = 10_000;
const RENEWED: &str = "highwater_sessions_renewed";
const ENDED: &str = "highwater_sessions_ended";
/// What people get when they log in is good for so long, and what is got for it until the test is over.
const AT_FIRST: Duration = Duration::from_mins(1);
const THEN: Duration = Duration::from_hours(6);
/// All of them are due for so long before it answers again.
const DOWN: Duration = Duration::from_mins(1);
/// Within this everybody has new tokens: the longest wait after failures, and the work itself.
const MADE_UP_FOR: Duration = Duration::from_mins(8);
const CONCURRENCY: u64 = 32;

async fn nobody_is_logged_out(settings: &[(&str, &str)]) {
    let concurrency = CONCURRENCY.to_string();
    let settings = [&LOGINS[..], &[("SESSIONS__CONCURRENCY", &concurrency)], settings].concat();
    let world = World::new(&settings).await;
    let service = Service::with(&world, Rotation::Strict, Duration::ZERO);
    let logins = world.idp.logins();
    logins.access_tokens_last(AT_FIRST);
    logins.fail(Endpoint::Token, Some(Fault::before(How::Status(503))));
    let made = service.log_in(&world, &world.node, MANY.into());
    logins.access_tokens_last(THEN);
    sleep(AT_FIRST).await;
    let asked = logins.requests(Endpoint::Token);
    sleep(DOWN).await;
    let asked = logins.requests(Endpoint::Token) - asked;
    assert!(asked > 0, "it is looked after");
    assert!(asked < u64::from(MANY) / 10, "whoever is down is spared: {asked} questions in a minute");
    let counted = |name| service.counted(&world.node, name);
    assert!(counted(RENEWED) < 1.0, "it answers nobody");

    logins.fail(Endpoint::Token, None);
    let (back, all) = (Instant::now(), f64::from(MANY));
    wait_until("all have new tokens", MADE_UP_FOR, async || counted(RENEWED) >= all).await;
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(stderr(), "asked {asked} times in a minute, all made up for in {:?}", back.elapsed());
    assert!(counted(RENEWED) < all + 1.0, "each once");
    assert!(counted(ENDED) < 1.0, "nobody was logged out");
    assert_eq!(logins.reuses_detected(), 0);
    let most = logins.most_at_once(Endpoint::Token);
    assert!(most <= CONCURRENCY, "no herd: {most} at once");

    let (id, _) = &made[0];
    let ended = service.ask(&world.node, "POST", &format!("/sessions/{id}/end"), &json!({}));
    assert_eq!(ended.status, 200, "{ended:?}");
    wait_until("who is logged out is counted", PATIENCE, async || counted(ENDED) >= 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `./test --soak`"]
async fn while_an_identity_provider_is_down_ten_thousand_stay_logged_in_on_a_file() {
    nobody_is_logged_out(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `./test --soak`"]
async fn while_an_identity_provider_is_down_ten_thousand_stay_logged_in_on_postgres() {
    let postgres = Postgres::start();
    let url = postgres.fresh_database().await;
    nobody_is_logged_out(&[("STORE__URL", &url)]).await;
}
