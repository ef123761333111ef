//! What happens by the clock, in one place at a time.

use super::*;
use crate::worker::sweep;

async fn swept(house: &House) {
    while sweep(Arc::clone(house.inner())).await == Tick::More {}
}

#[tokio::test]
async fn sessions_end_when_their_time_is_over_and_go_days_later() {
    for house in House::on_each_engine().await {
        let short = house.logs_in_with("u", |login| login.lifetime = Some(HOUR)).await;
        let long = house.logs_in("u").await;
        house.passes(HOUR).await;
        swept(&house).await;
        assert_eq!(house.shown(&short).await, "ended(expired) ended(expired) g0 f0");
        assert_eq!(house.shown(&long).await, "live live g0 f0");
        house.passes(Duration::from_hours(8 * 24)).await;
        swept(&house).await;
        assert_eq!(house.all().await.len(), 1, "the first is forgotten, the second has just ended");
    }
}

#[tokio::test]
async fn one_node_sweeps_at_a_time_and_another_takes_over_when_it_is_gone() {
    for house in House::on_each_engine().await {
        let other = house.beside().await;
        swept(&house).await;
        let session = house.logs_in_with("u", |login| login.lifetime = Some(Duration::from_secs(1))).await;
        house.clock.advance(Duration::from_secs(2));
        swept(&other).await;
        let rows = house.all().await;
        assert_eq!(rows[0].state, crate::SessionState::Live, "it is not the other's turn");
        house.clock.advance(Duration::from_secs(29));
        swept(&other).await;
        assert_eq!(house.shown(&session).await, "ended(expired) ended(expired) g0 f0");
    }
}
