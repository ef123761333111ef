//! How much is under way at once to an identity provider that is asked too much.

use super::pretender::Mode;
use super::*;
use crate::upstream::Class;

impl House {
    fn limit(&self) -> u32 {
        let bound = self.inner().settings().concurrency;
        self.inner().lanes.get(&main_idp()).expect("its lane").limit(bound)
    }
}

#[tokio::test]
async fn an_identity_provider_that_throttles_is_asked_less_at_once_until_it_bears_more() {
    for mode in [Mode::Fails(Class::Throttled, None), Mode::LosesAnswers] {
        let settings = Settings { concurrency: 16, ..profile(crate::rules::Rotation::Never, 0) };
        for house in House::on_each_engine_with(settings).await {
            house.idp.rotates(false);
            for number in 0..16 {
                house.logs_in(&format!("u{number}")).await;
            }
            house.passes(Duration::from_mins(59)).await;
            house.idp.set(mode.clone());
            assert_eq!((house.limit(), house.refresh().await), (16, 16));
            assert_eq!(house.limit(), 8, "those that were under way together are one sign, not sixteen");
            house.passes(Duration::from_mins(6)).await;
            assert_eq!(house.refresh().await, 16, "it is asked less at once, and not less");
            assert_eq!(house.limit(), 4);
            house.idp.set(Mode::Well);
            for _ in 0..10 {
                house.passes(Duration::from_mins(59)).await;
                house.refresh().await;
            }
            assert_eq!(house.limit(), 16);
        }
    }
}
