//! How long a healthy relying party waits, alone and beside sick ones. It is measured, so it is not for every run.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::EventType;
use std::time::Instant;
use testkit::wait_until;
use work::Lifecycle;

const EVENTS: usize = 600;
const PACE: Duration = Duration::from_millis(8);
const ROUNDS: usize = 3;
/// What the machine does meanwhile is not ours: delays below this are as good as none.
const NOISE: Duration = Duration::from_millis(4);

/// The sick ones: nobody there, never an answer, always 500, always to a login page.
struct Ward {
    _hanging: Receiver,
    _failing: Receiver,
    _redirecting: Receiver,
}

impl Ward {
    async fn beside(house: &House) -> Self {
        let (hanging, failing) =
            (Receiver::answering(Answer::Hangs).await, Receiver::answering(Answer::Status(500)).await);
        let login = Receiver::start().await;
        let redirecting = Receiver::answering(Answer::Redirect(login.url())).await;
        let dead = Receiver::start().await;
        for (name, receiver) in
            [("hanging", &hanging), ("failing", &failing), ("redirecting", &redirecting), ("dead", &dead)]
        {
            house
                .add(name, receiver, |config, _| {
                    (config.resource_server, config.deadline_seconds) = (true, 1);
                })
                .await;
        }
        Self { _hanging: hanging, _failing: failing, _redirecting: redirecting }
    }
}

/// From the event's coming in to its arrival at the healthy one: the 99th of a hundred.
async fn p99(test: TestStore, is_beside: bool) -> Duration {
    let house = House::over(test).await;
    let healthy = Receiver::start().await;
    house.add("healthy", &healthy, |config, _| config.resource_server = true).await;
    let ward = if is_beside { Some(Ward::beside(&house).await) } else { None };
    let life = Lifecycle::new();
    let (inner, stop) = (Arc::clone(house.inner()), life.stopping());
    life.spawn_short(async move { crate::worker::run(inner, stop).await });
    // Ten times as quick as the world's, so that breakers open and close, and retries come due, while it lasts.
    let (clock, stop) = (house.clock.clone(), life.stopping());
    life.spawn_short(async move {
        while stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(20))).await.is_some() {
            clock.advance(Duration::from_millis(200));
        }
    });
    wait_until("the worker is there", Duration::from_mins(1), async || house.inner().handover.is_open())
        .await;
    let mut began = Vec::new();
    for number in 0..EVENTS {
        began.push(Instant::now());
        let at = 1_000 + i64::try_from(number).expect("small");
        house.happens(&format!("u{}", number % 50), at, Change::PasswordChange).await;
        tokio::time::sleep(PACE).await;
    }
    wait_until("everything is told", Duration::from_mins(1), async || healthy.got().len() >= EVENTS).await;
    let mut delays: Vec<Duration> = healthy
        .got()
        .iter()
        .map(|got| {
            let at = got.claims()["events"][EventType::PasswordChange.uri()]["changeTime"].as_u64();
            let number = usize::try_from(at.expect("a time") - 1_000).expect("small");
            got.at.saturating_duration_since(began[number])
        })
        .collect();
    delays.sort();
    drop(ward);
    life.stop();
    life.ended(Duration::from_mins(1)).await.expect("no task died");
    delays[delays.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, for some minutes: `./test --soak`"]
async fn beside_sick_ones_a_healthy_one_waits_no_more_than_twice_as_long() {
    for engine in [store::Engine::Sqlite, store::Engine::Postgres] {
        let fresh = async || {
            let [sqlite, postgres] = engines(TABLES).await;
            if engine == store::Engine::Sqlite { sqlite } else { postgres }
        };
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let alone = p99(fresh().await, false).await.max(NOISE);
            let beside = p99(fresh().await, true).await.max(NOISE);
            ratios.push((beside.as_secs_f64() / alone.as_secs_f64(), alone, beside));
        }
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (middle, ..) = ratios[ROUNDS / 2];
        assert!(middle <= 2.0, "{engine:?}: the middle of {ratios:?}");
    }
}
