//! Every trouble of the other side is told as trouble, and never as a refusal.

use crate::{Lane, World, active, config, retry_after, trouble};
use account::Millis;
use idp::{Idp, Introspected, Trouble};
use proptest::prelude::*;
use serde_json::{Value, json};
use standins::{Canned, Health};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn told(canned: Canned) -> Introspected {
    let world = World::new().await;
    world.there.answer_introspection(Some(canned));
    world.ask(&world.token()).await
}

#[tokio::test]
async fn no_status_but_200_says_anything_about_the_token() {
    for status in [201, 204, 302, 400, 401, 403, 404, 408, 422, 429, 500, 502, 503, 504] {
        let body = json!({ "active": false }).to_string();
        let told = told(Canned { body, ..Canned::status(status) }).await;
        assert_eq!(trouble(&told), Trouble::Status, "{status}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_answer_says_nothing_about_the_token() {
    let huge = format!(r#"{{"active":false,"pad":"{}"}}"#, "x".repeat(70_000));
    let odd = [
        "",
        "<html><h1>502 Bad Gateway</h1></html>",
        "[]",
        r#"[{"active":false}]"#,
        "null",
        "{}",
        r#"{"active":"false"}"#,
        r#"{"active":0}"#,
        r#"{"active":null}"#,
        r#"{"active":true}"#,
        r#"{"active":false,"active":false}"#,
        huge.as_str(),
    ];
    for body in odd {
        let told = told(Canned::ok(body)).await;
        if body == r#"{"active":true}"# {
            // No access token, by its own words: that is the token's.
            assert!(matches!(told, Introspected::Inactive(_)));
        } else {
            assert_eq!(trouble(&told), Trouble::Unreadable, "{}", &body[..body.len().min(80)]);
        }
    }
}

/// What Mozilla accounts would say of a token.
fn answer(token: &str) -> Value {
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &hex::decode(token).expect("hexadecimal"));
    json!({
        "active": true, "token_type": "access_token", "sub": "ada", "scope": "profile", "jti": hex::encode(digest),
        "exp": 1_800_000_000_000_i64
    })
}

#[tokio::test]
async fn seconds_in_the_place_of_milliseconds_are_understood() {
    let world = World::new().await;
    let token = world.token();
    for exp in [json!(1_800_000_000_000_i64), json!(1_800_000_000)] {
        let mut answer = answer(&token);
        answer["exp"] = exp;
        world.there.answer_introspection(Some(Canned::ok(answer.to_string())));
        let facts = active(world.ask(&token).await);
        assert_eq!(facts.expires_at, Some(Millis::from_seconds(1_800_000_000)));
    }
}

#[tokio::test]
async fn an_answer_about_another_token_is_none() {
    let world = World::new().await;
    world.there.answer_introspection(Some(Canned::ok(answer(&world.token()).to_string())));
    assert_eq!(trouble(&world.ask(&world.token()).await), Trouble::Unreadable);
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let world = World::with(|config| config.request_timeout = Duration::from_millis(100)).await;
    world.there.set_health(Health::Silent);
    assert_eq!(trouble(&world.ask(&world.token()).await), Trouble::Timeout);
    world.there.set_health(Health::Up);
    active(world.ask(&world.token()).await);
}

#[tokio::test]
async fn whoever_finds_no_place_in_half_of_the_time_does_not_wait_for_the_rest() {
    let world = World::with(|config| {
        (config.request_timeout, config.max_in_flight) = (Duration::from_millis(500), 1);
    })
    .await;
    world.there.set_health(Health::Silent);
    let (first, second) = tokio::join!(world.ask("first"), world.ask("second"));
    assert_eq!((trouble(&first), trouble(&second)), (Trouble::Timeout, Trouble::Busy));
}

/// What somebody does with a connection.
#[derive(Clone, Copy)]
enum Does {
    /// Reads a question and hangs up.
    HangUp,
    /// Says something before anything is said.
    Interrupt,
    /// Answers each question.
    Answer,
    /// Lets it wait.
    Hold,
}

/// Somebody who treats each connection in this way, and how many there were.
async fn somebody(does: Does) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    #[expect(clippy::disallowed_methods, reason = "the outside world is no part of the process's lifecycle")]
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            match does {
                Does::HangUp => drop(stream.read(&mut [0; 4096]).await),
                // No handshake of TLS goes on like this.
                Does::Interrupt => drop(stream.write_all(b"no TLS here\r\n").await),
                Does::Answer => {
                    const NO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"active\":false}";
                    while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                        drop(stream.write_all(NO).await);
                    }
                }
                Does::Hold => held.push(stream),
            }
        }
    });
    (address.to_string(), connections)
}

fn at(server_url: String) -> Idp {
    let mut config = config("https://idp.example");
    config.server_url = Some(server_url);
    Idp::new(&config).expect("valid")
}

async fn asked(server_url: String) -> Introspected {
    at(server_url).introspect("token", Lane::Known, Millis::ZERO).await
}

#[tokio::test]
async fn in_a_crowd_no_more_are_on_their_way_than_allowed_and_known_tokens_find_a_place() {
    let (address, connections) = somebody(Does::Hold).await;
    let mut config = config("https://idp.example");
    (config.server_url, config.max_in_flight) = (Some(format!("http://{address}")), 8);
    config.introspection.burst = 1_000;
    let idp = Idp::new(&config).expect("valid");
    let crowd =
        |lane| futures::future::join_all((0..100).map(|_| idp.introspect("token", lane, Millis::ZERO)));
    let reach = async |count| {
        while connections.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(connections.load(Ordering::SeqCst), count);
    };
    let (mut a, mut b, mut known) =
        (crowd(Lane::Unknown { caller: "a" }), crowd(Lane::Unknown { caller: "b" }), crowd(Lane::Known));
    tokio::select! {
        _ = &mut a => panic!("none was to be answered"),
        () = reach(3) => {}
    }
    tokio::select! {
        _ = futures::future::join(&mut a, &mut b) => panic!("none was to be answered"),
        () = reach(6) => {}
    }
    tokio::select! {
        _ = futures::future::join3(&mut a, &mut b, &mut known) => panic!("none was to be answered"),
        () = reach(8) => {}
    }
}

#[tokio::test]
async fn one_connection_serves_many_questions() {
    let (address, connections) = somebody(Does::Answer).await;
    let idp = at(format!("http://{address}"));
    for _ in 0..10 {
        let told = idp.introspect("token", Lane::Known, Millis::ZERO).await;
        assert!(matches!(told, Introspected::Inactive(_)), "{told:?}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_tried_once_more() {
    let (address, connections) = somebody(Does::Interrupt).await;
    assert_eq!(trouble(&asked(format!("https://{address}")).await), Trouble::Unreachable);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_may_have_arrived_is_not_said_again() {
    let (address, connections) = somebody(Does::HangUp).await;
    assert_eq!(trouble(&asked(format!("http://{address}")).await), Trouble::Unreachable);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn trouble_that_says_nothing_of_its_length_may_be_over_in_a_second() {
    assert_eq!(retry_after(&told(Canned::status(502)).await), Duration::from_secs(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn nothing_but_a_plain_answer_is_a_refusal_or_a_yes(
        status in 200_u16..600,
        body in prop_oneof![
            "[ -~]*",
            r#"\{"(active|sub|token_type)":(true|false|"true"|1|null)(,"(active|sub|exp)":("u"|true|1))?\}"#,
        ]
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let told = runtime.block_on(told(Canned { body: body.clone(), ..Canned::status(status) }));
        let said = serde_json::from_str::<Value>(&body).ok().and_then(|it| it.get("active")?.as_bool());
        let is_plain = status == 200 && said.is_some();
        prop_assert!(is_plain || matches!(told, Introspected::Unavailable { .. }), "{:?}", told);
        prop_assert!(!matches!(told, Introspected::Active(_)), "it names neither token nor kind");
    }
}
