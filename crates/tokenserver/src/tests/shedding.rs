//! Load that is shed by an operator's word.

use super::admin::{ask, problem};
use super::*;
use crate::Shedding;
use work::Tick;

async fn come(house: &House) -> (u16, String, String) {
    let answer = house.exchange("user", 100, KEY_ID).await;
    let header = |name| answer.header(name).to_owned();
    (answer.status.as_u16(), header("x-backoff"), header("retry-after"))
}

fn told(status: u16, backoff: &str, retry_after: &str) -> (u16, String, String) {
    (status, backoff.to_owned(), retry_after.to_owned())
}

#[tokio::test]
async fn clients_are_asked_to_stay_away_for_as_long_as_an_operator_says() {
    for house in House::on_each_engine().await {
        let clock = house.test.as_ref().expect("kept").clock.clone();
        assert_eq!(come(&house).await, told(200, "", ""));
        let order = json!({ "backoff_seconds": 600, "for_seconds": 60 });
        let asked = ask(&house, Method::PUT, "/shedding", &order).await;
        assert_eq!(asked.json()["until"], START.get() + 60_000, "{}", asked.body);
        assert_eq!(house.server.follow().await, Tick::Idle);
        assert_eq!(come(&house).await, told(200, "600", ""));
        let refused = house.get(SYNC, &[]).await;
        assert_eq!((refused.status, refused.header("x-backoff")), (StatusCode::UNAUTHORIZED, "600"));
        let order = json!({ "backoff_seconds": 30, "refuse_percent": 100, "for_seconds": 60 });
        ask(&house, Method::PUT, "/shedding", &order).await;
        house.server.follow().await;
        assert_eq!(come(&house).await, told(503, "30", "30"));
        clock.advance(Duration::from_mins(1));
        house.server.follow().await;
        assert_eq!(come(&house).await, told(200, "", ""), "its time is over");
    }
}

#[tokio::test]
async fn what_the_settings_ask_for_holds_when_no_operator_asks() {
    let shedding = Shedding { backoff_seconds: 5, refuse_percent: 0 };
    let house = House::new(Settings { shedding, ..settings() }).await;
    assert_eq!(come(&house).await, told(200, "5", ""));
    ask(&house, Method::PUT, "/shedding", &json!({ "refuse_percent": 100, "for_seconds": 60 })).await;
    house.server.follow().await;
    assert_eq!(come(&house).await, told(503, "", "60"));
    assert_eq!(ask(&house, Method::DELETE, "/shedding", &Value::Null).await.json()["backoff_seconds"], 5);
    house.server.follow().await;
    assert_eq!(come(&house).await, told(200, "5", ""));
    assert_eq!(house.json_of("/shedding").await, json!({ "backoff_seconds": 5, "refuse_percent": 0 }));
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_plainly() {
    let house = House::new(settings()).await;
    let put = async |body| problem(&house, Method::PUT, "/shedding", body).await;
    assert_eq!(
        put(json!({ "for_seconds": 60 })).await,
        "400 there is nothing to ask for; set backoff_seconds or refuse_percent"
    );
    assert_eq!(
        put(json!({ "refuse_percent": 101, "for_seconds": 60 })).await,
        "400 refuse_percent is 101; it must be from 0 to 100"
    );
    assert_eq!(
        put(json!({ "backoff_seconds": 9, "for_seconds": 0 })).await,
        "400 for_seconds is 0; it must be from 1 to 2592000"
    );
    let nothing = problem(&house, Method::DELETE, "/shedding", Value::Null).await;
    assert_eq!(nothing, "409 no operator sheds load just now");
}
