//! Who had sessions ended or refreshed is on record with what was done.

use super::api::Api;
use super::*;
use crate::worker::sweep;
use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

impl House {
    /// The admin API, as it is through the admin socket.
    fn admin(&self) -> Api {
        Api(crate::http::admin_routes(self.inner()).split_for_parts().0)
    }

    /// Who did what to how many, the latest first; and to which session, where it was about one.
    async fn acts(&self, query: &str) -> Vec<String> {
        let (status, acts) = self.admin().ask("GET", &format!("/session-acts?{query}"), Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{acts}");
        let text = |act: &Value, name: &str| act[name].as_str().unwrap_or("-").to_owned();
        let shown = |act: &Value| {
            let [what, actor, name, subject] = ["act", "actor", "name", "subject"].map(|it| text(act, it));
            let one = if act["session"].is_string() { "one" } else { "all" };
            format!("{what} {actor} {name}: {subject} {one} {}", act["sessions"])
        };
        acts.as_array().expect("a list").iter().map(shown).collect()
    }
}

#[tokio::test]
async fn whoever_ends_or_refreshes_is_on_record_with_what_it_was_done_to() {
    for house in House::on_each_engine().await {
        let service = Api::of(&house, &[]);
        let [first, second, third] =
            [house.logs_in("u").await, house.logs_in("u").await, house.logs_in("v").await];
        house.passes(Duration::from_mins(1)).await;
        let path = |id: &SessionId, what: &str| format!("/sessions/{id}/{what}");
        assert_eq!(service.ask("POST", &path(&third, "refresh"), Value::Null).await.0, StatusCode::OK);
        house.passes(Duration::from_mins(1)).await;
        assert_eq!(
            house.admin().ask("POST", &path(&third, "refresh"), Value::Null).await.0,
            StatusCode::ACCEPTED
        );
        for _ in 0..2 {
            assert_eq!(service.ask("POST", &path(&first, "end"), Value::Null).await.0, StatusCode::OK);
        }
        let all = house.admin().ask("POST", "/accounts/main/u/end-sessions", Value::Null).await;
        assert_eq!(all, (StatusCode::OK, json!({ "sessions": 1 })));
        assert_eq!(house.show(&second).await.reason, Some(crate::Reason::Operator));
        let expected = [
            "end operator admin socket: u all 1",
            "end service web (token 1): u one 1",
            "refresh operator admin socket: v one 1",
            "refresh service web (token 1): v one 1",
        ];
        assert_eq!(house.acts("").await, expected);
        assert_eq!(house.acts(&format!("session={third}")).await, expected[2..]);
        assert_eq!(house.acts("idp=main&subject=u").await, expected[..2]);
        assert_eq!(house.acts("limit=1").await, expected[..1]);
        let (_, acts) = house.admin().ask("GET", "/session-acts", Value::Null).await;
        let now = house.clock.now().get();
        assert_eq!((acts[0]["at"].as_i64(), acts[3]["at"].as_i64()), (Some(now), Some(now - 60_000)));
        assert_eq!(house.acts(&format!("before={}", acts[2]["id"])).await, expected[3..]);
    }
}

#[tokio::test]
async fn what_was_handed_out_or_refreshed_by_itself_and_what_events_end_is_nobodys_act() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(61)).await;
        let service = Api::of(&house, &[]);
        let path = format!("/sessions/{session}/access-token");
        assert_eq!(service.ask("POST", &path, json!({})).await.0, StatusCode::OK);
        house.passes(Duration::from_mins(59)).await;
        assert_eq!(house.refresh().await, 1);
        house.happens("u", house.clock.now(), Change::PasswordChange).await;
        assert_eq!(house.acts("").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_identity_provider_that_signs_somebody_out_is_on_record_and_records_go_after_their_time() {
    for house in House::on_each_engine().await {
        house.logs_in_with("u", |login| login.sid = Some("s1".into())).await;
        house.logs_in("v").await;
        house.passes(Duration::from_secs(1)).await;
        let routes = crate::http::public_routes(house.inner()).split_for_parts().0;
        for token in ["sid+s1".to_owned(), "sid+nobody".to_owned(), format!("user+v+{}", house.clock.now())] {
            let request = Request::post("/backchannel-logout/main")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(format!("logout_token={token}")));
            let answer = routes.clone().oneshot(request.expect("a request")).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
        }
        assert_eq!(house.acts("").await, ["end idp main: v all 1", "end idp main: u all 1"]);
        house.passes(Duration::from_hours(91 * 24)).await;
        while sweep(Arc::clone(house.inner())).await == Tick::More {}
        assert_eq!(house.acts("").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn odd_questions_are_said_to_be_odd() {
    let house = House::new().await;
    for query in [
        "limit=0",
        "session=x",
        "idp=main",
        "subject=u",
        "session=0191f3c2-7b1e-7c3a-9d51-0f4e7a1b2c3d&idp=main",
        "x=1",
    ] {
        let (status, _) = house.admin().ask("GET", &format!("/session-acts?{query}"), Value::Null).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
    }
}
