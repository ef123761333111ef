//! An identity provider that is down while many are due. With ten thousand, a node and the stand-in it is shown by the
//! tests of the process.

use super::pretender::Mode;
use super::*;
use crate::upstream::Class;

const COUNT: usize = 200;

#[tokio::test]
async fn no_session_is_lost_to_an_outage() {
    let settings = Settings { concurrency: 32, ..Settings::default() };
    for house in House::on_each_engine_with(settings).await {
        for number in 0..COUNT {
            house.logs_in(&format!("u{number}")).await;
        }
        house.idp.set(Mode::Fails(Class::KnownFailed, Some(Duration::from_secs(5))));
        house.passes(Duration::from_mins(59)).await;
        for _ in 0..6 {
            house.refresh().await;
            house.passes(Duration::from_secs(10)).await;
        }
        assert_eq!(house.count_of(GrantState::Live).await, COUNT, "a minute of 503 ends nobody's session");
        house.idp.set(Mode::Well);
        let mut rounds = 0;
        while house.count_fresh().await < COUNT {
            house.refresh().await;
            house.passes(Duration::from_secs(10)).await;
            rounds += 1;
            assert!(rounds < 60, "it is made up for within minutes");
        }
        assert_eq!(house.idp.reuses(), 0);
        assert!(house.idp.most_under_way() <= 32, "no herd: {}", house.idp.most_under_way());
    }
}

impl House {
    async fn count_fresh(&self) -> usize {
        let is_fresh = |view: &SessionView| view.grant.as_ref().is_some_and(|it| it.generation > 0);
        self.all().await.iter().filter(|view| is_fresh(view)).count()
    }
}
