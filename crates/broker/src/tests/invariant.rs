//! Whatever happens, in whatever order: of the pending rows of a line exactly one is its head.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::worker::sweep;
use account::Profile;
use serde_json::json;
use store::{Operation, Sql, StoreError, Tx};

struct Count(&'static Sql);

impl Operation for Count {
    const NAME: &'static str = "test.count";
    type Output = i64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        tx.query_one(self.0, &[], |row| row.int(0)).await
    }
}

async fn every_line_has_one_head(house: &House, after: &str) {
    static LINES: Sql = Sql::both(
        "select count(*) from (select sum(head) as heads from deliveries where state = 0
           group by client_id, idp, subject) as lines where heads <> 1",
    );
    static ENDED: Sql = Sql::both("select count(*) from deliveries where state <> 0 and head <> 0");
    for sql in [&LINES, &ENDED] {
        let wrong = house.store.run(Count(sql)).await.expect("the store answers");
        assert_eq!(wrong, 0, "{:?}, after {after}: {:?}", house.store.engine(), house.shown().await);
    }
}

/// Numbers that look random, and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn change(dice: &mut Dice) -> Change {
    match dice.roll(8) {
        0..4 => Change::PasswordChange,
        4..7 => Change::ProfileChange(Profile { locale: Some("fi".into()), ..Profile::default() }),
        _ => Change::Delete { reason: None },
    }
}

#[tokio::test]
async fn whatever_happens_every_line_has_one_head() {
    for house in House::on_each_engine().await {
        let receiver = Receiver::start().await;
        house
            .add("aaaa", &receiver, |config, _| (config.resource_server, config.coalesce) = (true, true))
            .await;
        house.add("bbbb", &receiver, |config, _| config.resource_server = true).await;
        let mut dice = Dice(11);
        for step in 0..120_i64 {
            let what = dice.roll(16);
            match what {
                0..7 => {
                    // New subjects from time to time: a deleted account is told of no more.
                    let subject = format!("u{}-{}", step / 30, dice.roll(3));
                    house.happens(&subject, 1_000 + step, change(&mut dice)).await;
                }
                7 => receiver.answers(Answer::Status(404)),
                8 | 9 => receiver.answers(Answer::Status(200)),
                10..13 => house.deliver().await,
                13 => {
                    house.clock.advance(Duration::from_secs(200));
                    house.deliver().await;
                }
                14 => {
                    house.clock.advance(Duration::from_hours(2));
                    while sweep(Arc::clone(house.inner())).await == work::Tick::More {}
                }
                _ => {
                    house.ask("POST /deliveries/replay", Some(json!({ "rp": "aaaa", "since": 0 }))).await;
                }
            }
            every_line_has_one_head(&house, &format!("step {step}, {what}")).await;
        }
        receiver.answers(Answer::Status(200));
        for _ in 0..3 {
            house.clock.advance(Duration::from_secs(200));
            house.deliver().await;
        }
        let pending = house.deliveries().await.iter().filter(|it| it.state == "pending").count();
        assert_eq!(pending, 0, "nothing is stuck");
    }
}
