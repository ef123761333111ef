//! What one relying party does is nothing to the others.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::Format;
use ledger::{CarryOut, News, Outcome};
use store::{StoreError, Tx};
use work::Lifecycle;

/// Runs the broker's worker as `serve` does, until it is dropped.
struct Running(Lifecycle);

impl Running {
    fn start(house: &House) -> Self {
        let life = Lifecycle::new();
        let (inner, stop) = (Arc::clone(house.inner()), life.stopping());
        life.spawn_short(async move { crate::worker::run(inner, stop).await });
        Self(life)
    }

    /// The soft stop: what is under way is finished and settled.
    async fn stop(self) {
        self.0.stop();
        self.0.ended(Duration::from_mins(1)).await.expect("no task died");
    }
}

async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    testkit::wait_until(what, Duration::from_mins(1), holds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_one_hears_everything_in_order_beside_all_that_can_go_wrong() {
    const ACCOUNTS: i64 = 10;
    const EVENTS: i64 = 10;
    for house in House::on_each_engine().await {
        let healthy = Receiver::start().await;
        let hanging = Receiver::answering(Answer::Hangs).await;
        let failing = Receiver::answering(Answer::Status(500)).await;
        let redirecting = Receiver::answering(Answer::Redirect(healthy.url())).await;
        let dead = Receiver::start().await;
        for (name, receiver) in [
            ("healthy", &healthy),
            ("hanging", &hanging),
            ("failing", &failing),
            ("redirecting", &redirecting),
            ("dead", &dead),
        ] {
            house
                .add(name, receiver, |config, _| {
                    (config.resource_server, config.deadline_seconds) = (true, 30);
                })
                .await;
        }
        drop(dead);
        let running = Running::start(&house);
        for event in 0..EVENTS {
            for user in 0..ACCOUNTS {
                house.happens(&format!("u{user}"), 1_000 + event, Change::PasswordChange).await;
            }
        }
        let wanted = usize::try_from(ACCOUNTS * EVENTS).expect("small");
        until("the healthy one has heard everything", async || healthy.got().len() >= wanted).await;
        let heard = healthy.got();
        assert_eq!(heard.len(), wanted, "once each, and nothing by way of the redirect");
        for user in 0..ACCOUNTS {
            let subject = format!("u{user}");
            let uri = crate::EventType::PasswordChange.uri();
            let times: Vec<_> = heard
                .iter()
                .filter(|got| got.subject() == subject)
                .map(|got| got.claims()["events"][uri]["changeTime"].as_i64().expect("a time"))
                .collect();
            assert_eq!(times, (1_000..1_000 + EVENTS).collect::<Vec<_>>());
        }
        drop(hanging);
        running.stop().await;
        let states = house.deliveries().await;
        let delivered = |name: &str| {
            let own = states.iter().filter(|it| it.client_id == client(name));
            own.filter(|it| it.state == "delivered").count()
        };
        assert_eq!(delivered("healthy"), wanted);
        for name in ["hanging", "failing", "redirecting", "dead"] {
            assert_eq!(delivered(name), 0, "{name}");
        }
        assert!(failing.got().len() < 20, "spared by its breaker: {}", failing.got().len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_commit_leaves_goes_out_without_a_claim() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        house.add("aaaa", &receiver, |config, _| config.resource_server = true).await;
        let running = Running::start(&house);
        until("the worker is there", async || house.inner().handover.is_open()).await;
        let is_idle = async || house.inner().lanes.get(&client("aaaa")).is_some_and(|lane| lane.is_idle());
        until("the first look is over", is_idle).await;
        house.happens("u1", 900, Change::PasswordChange).await;
        let made = &house.deliveries().await[0];
        assert!(
            made.state == "delivered" || made.due_at > Some(house.clock.now()),
            "claimed by the transaction that made it: {made:?}"
        );
        until("it is told", async || receiver.got().len() == 1).await;
        running.stop().await;
        assert_eq!(house.shown().await, ["aaaa u1 password-change delivered 0"]);
    }
}

/// Comes after the broker in a transaction, and ends it every time.
struct Stumbles;

impl CarryOut for Stumbles {
    fn capability(&self) -> &'static str {
        "stumbles"
    }

    async fn carry_out(&self, _: &mut Tx<'_>, _: &[News], inline: bool) -> Result<Outcome, StoreError> {
        Ok(if inline { Outcome::Deferred } else { Outcome::Done })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_capabilitys_trouble_takes_no_room_from_a_relying_party() {
    for mut house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        house
            .add("aaaa", &receiver, |config, _| (config.resource_server, config.concurrency) = (true, 1))
            .await;
        let consequences: Vec<Arc<dyn Consequence>> =
            vec![Arc::new(house.broker.consequence()), Arc::new(Stumbles)];
        house.ledger = Ledger::new(house.store.clone(), house.ledger.tombstones().clone(), consequences);
        house.ledger.register_capabilities().await.expect("the store answers");
        let running = Running::start(&house);
        until("the worker is there", async || house.inner().handover.is_open()).await;
        let is_idle = async || house.inner().lanes.get(&client("aaaa")).is_some_and(|lane| lane.is_idle());
        until("the first look is over", is_idle).await;
        for user in ["u1", "u2", "u3"] {
            house.happens(user, 900, Change::PasswordChange).await;
        }
        until("all are told", async || receiver.got().len() == 3).await;
        until("its room is free again", is_idle).await;
        running.stop().await;
        assert_eq!(house.shown().await.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_stop_settles_what_is_under_way() {
    let house = House::new().await;
    let receiver = Receiver::start().await;
    house.add("aaaa", &receiver, |config, _| config.resource_server = true).await;
    for user in 0..50 {
        house.happens(&format!("u{user}"), 900, Change::PasswordChange).await;
    }
    let running = Running::start(&house);
    until("some are told", async || receiver.got().len() > 5).await;
    running.stop().await;
    let delivered = house.deliveries().await.iter().filter(|it| it.state == "delivered").count();
    assert_eq!(delivered, receiver.got().len(), "whatever was sent is settled");
    assert!(house.deliveries().await.iter().all(|it| it.failures == 0));
}

#[tokio::test]
async fn a_receiver_on_an_address_of_our_own_is_never_reached() {
    let house = House::new().await;
    let receiver = Receiver::start().await;
    let port = receiver.url().rsplit(':').next().expect("a port").trim_end_matches("/hook").to_owned();
    for (number, host) in
        ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254"]
            .into_iter()
            .enumerate()
    {
        let name = format!("rp{number}");
        let (config, secrets) = House::rp_at(&receiver, |config, _| {
            config.webhook = Some(format!("https://{host}:{port}/hook"));
            (config.allow_private, config.format) = (false, Format::Push);
        });
        // An address that is written out is refused when it is given; what a name leads to is found out when it is asked.
        assert_eq!(config.check(&secrets).is_ok(), host == "localhost", "{host}");
        house.put(&name, config, secrets).await;
        house.logs_in("u1", &name).await;
    }
    house.happens("u1", 900, Change::PasswordChange).await;
    house.deliver().await;
    assert!(receiver.got().is_empty());
    let shown = house.shown().await;
    assert_eq!(shown.len(), 6);
    assert!(shown.iter().all(|it| it.ends_with("pending 1 (not a public address)")), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_before_there_is_a_key_to_sign_with() {
    let test = sqlite(TABLES).await;
    let house = House::on(test.store.clone(), test.clock.clone(), &RootKey::generate());
    house.ledger.register_capabilities().await.expect("the store answers");
    let receiver = Receiver::start().await;
    house.add("aaaa", &receiver, |config, _| config.resource_server = true).await;
    let running = Running::start(&house);
    house.happens("u1", 900, Change::PasswordChange).await;
    // An RSA key takes a while to find: the worker has looked by then.
    house.inner().signer.ensure().await.expect("the store answers");
    until("it is told", async || receiver.got().len() == 1).await;
    running.stop().await;
    assert_eq!(house.shown().await, ["aaaa u1 password-change delivered 0"]);
}
