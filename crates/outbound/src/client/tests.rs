use super::*;
use crate::{Stage, StatusCode};
use wiremock::matchers::{any, body_json, header_regex, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn client(manners: &Manners) -> Client {
    Client::for_operator_addresses(manners).expect("a client")
}

async fn server(answer: ResponseTemplate) -> (MockServer, Url) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let url = server.uri().parse().expect("a URL");
    (server, url)
}

#[tokio::test]
async fn it_says_who_it_is_and_reads_json() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/verify"))
        .and(body_json(serde_json::json!({"token": "t"})))
        .and(header_regex("user-agent", r"^highwater/\d+\.\d+\.\d+$"))
        .and(header_regex("accept", "^application/json$"))
        .respond_with(ResponseTemplate::new(200).set_body_json(["fine"]))
        .mount(&server)
        .await;
    let url = format!("{}/v1/verify", server.uri()).parse().expect("a URL");
    let request = client(&Manners::default()).post_json(&url, &serde_json::json!({"token": "t"}));
    let answer = request.accept_json().send().await.and_then(Answer::success).expect("an answer");
    assert_eq!(answer.json::<Vec<String>>().expect("JSON"), ["fine"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (server, url) = server(ResponseTemplate::new(302).insert_header("location", "/elsewhere")).await;
    let answer = client(&Manners::default()).get(&url).send().await.expect("an answer");
    assert_eq!(answer.success().expect_err("no success").status(), Some(StatusCode::FOUND));
    assert_eq!(server.received_requests().await.expect("recorded").len(), 1);
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit_and_no_further() {
    let (_server, url) = server(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 101])).await;
    let limited = |max_answer| client(&Manners { max_answer, ..Manners::default() });
    assert_eq!(limited(101).get(&url).send().await.expect("an answer").body().len(), 101);
    let error = limited(100).get(&url).send().await.expect_err("too large");
    assert!(matches!(error, OutboundError::TooLarge { limit: 100, .. }), "{error}");
}

#[tokio::test]
async fn the_same_client_may_take_more() {
    let (_server, url) = server(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 101])).await;
    let limited = client(&Manners { max_answer: 100, ..Manners::default() });
    assert!(limited.get(&url).send().await.is_err());
    assert_eq!(limited.taking(101).get(&url).send().await.expect("an answer").body().len(), 101);
}

#[tokio::test]
async fn an_endless_answer_without_a_length_is_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("a URL");
    let endless = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        while stream.write_all(b"4\r\nabcd\r\n").await.is_ok() {}
    };
    let client = client(&Manners::default());
    tokio::select! {
        () = endless => panic!("the client must have gone first"),
        result = client.get(&url).send() => {
            assert!(matches!(result, Err(OutboundError::TooLarge { .. })), "{result:?}");
        }
    }
}

#[tokio::test]
async fn what_went_wrong_has_a_name_and_tells_no_secret() {
    let (_server, url) = server(ResponseTemplate::new(200).set_delay(Duration::from_mins(1))).await;
    let secret = url.join("/path?secret=s3cret").expect("a URL");
    let hasty = client(&Manners { deadline: Duration::from_millis(50), ..Manners::default() });
    let error = hasty.get(&secret).send().await.expect_err("no answer");
    assert!(matches!(error, OutboundError::Timeout { stage: Stage::Asking, .. }), "{error}");
    assert!(!error.never_arrived());
    assert!(!format!("{error} {error:?}").contains("s3cret"));

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody: Url =
        format!("http://{}/?s3cret", listener.local_addr().expect("bound")).parse().expect("a URL");
    drop(listener);
    let error = hasty.get(&nobody).send().await.expect_err("nobody there");
    assert!(matches!(error, OutboundError::Connect { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn what_never_arrived_can_be_told_from_what_may_have() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url: Url = format!("https://{}/", mute.local_addr().expect("bound")).parse().expect("a URL");
    let connect_timeout = Duration::from_millis(50);
    let hasty = client(&Manners { connect_timeout, ..Manners::default() });
    let error = hasty.get(&url).send().await.expect_err("no agreement on TLS in time");
    assert!(matches!(error, OutboundError::Timeout { stage: Stage::Connecting, .. }), "{error}");
    assert!(error.never_arrived());
}

#[tokio::test]
async fn an_unreadable_body_is_told_by_its_place_not_its_text() {
    let (_server, url) = server(ResponseTemplate::new(200).set_body_string(r#"{"token":"s3cret"}"#)).await;
    let answer = client(&Manners::default()).get(&url).send().await.expect("an answer");
    let error = answer.json::<Vec<u8>>().expect_err("not an array");
    assert!(matches!(error, OutboundError::Unreadable { .. }));
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn retry_after_is_read_in_seconds_and_bounded() {
    for (value, read) in [("7", Some(7)), ("999999", Some(3600)), ("-1", None), ("soon", None)] {
        let (_server, url) = server(ResponseTemplate::new(503).insert_header("retry-after", value)).await;
        let answer = client(&Manners::default()).get(&url).send().await.expect("an answer");
        let error = answer.success().expect_err("no success");
        assert_eq!(error.retry_after(), read.map(Duration::from_secs), "{value}");
    }
}

#[tokio::test]
async fn an_empty_post_says_that_it_is_empty_and_once() {
    let (server, url) = server(ResponseTemplate::new(202)).await;
    let answer = client(&Manners::default()).post(&url, Bytes::new()).glance().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let requests = server.received_requests().await.expect("recorded");
    let lengths: Vec<_> = requests[0].headers.get_all("content-length").iter().collect();
    assert_eq!(lengths, ["0"]);
    assert!(requests[0].headers.get("content-type").is_none() && requests[0].body.is_empty());
}

#[tokio::test]
async fn a_form_is_written_so_that_every_value_arrives() {
    let (server, url) = server(ResponseTemplate::new(200)).await;
    let fields = [("token", "a+b/c="), ("odd", "ä & ö")];
    client(&Manners::default()).post_form(&url, &fields).send().await.expect("an answer");
    let request = &server.received_requests().await.expect("recorded")[0];
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(request.body, b"token=a%2Bb%2Fc%3D&odd=%C3%A4+%26+%C3%B6");
}

#[tokio::test]
async fn a_glance_takes_the_beginning_and_lets_the_rest_go() {
    let (_server, url) = server(ResponseTemplate::new(200).set_body_string("abcdef")).await;
    let brief = client(&Manners { max_answer: 4, ..Manners::default() });
    let answer = brief.post(&url, Bytes::new()).glance().await.expect("an answer");
    assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::OK, b"abcd".as_slice()));
}

#[tokio::test]
async fn outsiders_lead_us_to_no_address_of_our_own() {
    let (server, url) = server(ResponseTemplate::new(200)).await;
    let port = url.port().expect("a port");
    let outsiders = Client::for_outsiders(&Manners::default(), Reach::Public).expect("a client");
    // `localhost` goes through the system's resolver, the others are written out.
    for host in ["127.0.0.1", "localhost", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let url: Url = format!("http://{host}:{port}/").parse().expect("a URL");
        let refused = outsiders.post(&url, Bytes::new()).send().await.expect_err("refused");
        assert!(matches!(refused, OutboundError::Refused { .. }), "{host}: {refused}");
    }
    assert_eq!(server.received_requests().await.expect("recorded").len(), 0);
    let everywhere = Client::for_outsiders(&Manners::default(), Reach::Everywhere).expect("a client");
    assert!(everywhere.post(&url, Bytes::new()).send().await.is_ok());
}

/// Answers in turn, and counts how often it was asked.
struct Turns(std::sync::Mutex<Vec<Vec<std::net::IpAddr>>>);

impl Lookup for Turns {
    fn lookup(
        &self,
        _: String,
    ) -> futures::future::BoxFuture<'static, std::io::Result<Vec<std::net::IpAddr>>> {
        let next = self.0.lock().expect("unpoisoned").remove(0);
        Box::pin(async move { Ok(next) })
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_after_the_check_is_reached_at_the_checked_one_or_not_at_all() {
    let (server, url) = server(ResponseTemplate::new(200)).await;
    // Here 127.0.0.1 counts as public, and nothing else does.
    let here: std::net::IpAddr = std::net::Ipv4Addr::LOCALHOST.into();
    let elsewhere: std::net::IpAddr = [127, 0, 0, 2].into();
    let is_here = |address| address == std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST);
    let turns = std::sync::Mutex::new(vec![vec![here], vec![elsewhere], vec![here, elsewhere]]);
    let turns = std::sync::Arc::new(Turns(turns));
    let resolver = || Guarded::new(Shared(std::sync::Arc::clone(&turns)), is_here);
    let rebound: Url =
        format!("http://rebinding.example:{}/", url.port().expect("a port")).parse().expect("a URL");
    let ask = async || {
        // A client of its own each time, so that each opens a connection.
        let client = Client::guarded(&Manners::default(), &Papers::default(), resolver).expect("a client");
        client.post(&rebound, Bytes::new()).send().await
    };
    assert!(ask().await.is_ok(), "the one address that was looked up was the one that was reached");
    for _ in 0..2 {
        let refused = ask().await.expect_err("refused");
        assert!(matches!(refused, OutboundError::Refused { .. }), "{refused}");
    }
    assert_eq!(turns.0.lock().expect("unpoisoned").len(), 0, "asked once a connection");
    assert_eq!(server.received_requests().await.expect("recorded").len(), 1);
}

struct Shared(std::sync::Arc<Turns>);

impl Lookup for Shared {
    fn lookup(
        &self,
        host: String,
    ) -> futures::future::BoxFuture<'static, std::io::Result<Vec<std::net::IpAddr>>> {
        self.0.lookup(host)
    }
}
