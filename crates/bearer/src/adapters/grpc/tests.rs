use super::messages::{AttributeContext, AttributeRequest, HeaderMap as RawMap, HeaderValue as RawValue};
use super::*;
use proptest::prelude::*;
use prost::Message;

fn question(http: HttpRequest) -> CheckRequest {
    let request = AttributeRequest { http: Some(http) };
    CheckRequest { attributes: Some(AttributeContext { request: Some(request) }) }
}

fn get(path: &str, headers: &[(&str, &str)]) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        path: path.into(),
        host: "API.example".into(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        header_map: None,
    }
}

#[test]
fn the_request_is_read_without_its_query_and_without_http2s_own_headers() {
    let said = [(":path", "/a?b"), (":authority", "API.example"), ("authorization", "Bearer t")];
    let asked = question(get("/a?b=c#d", &said)).asked().expect("readable");
    let Original { method, path, host } = asked.original;
    assert_eq!((method, path.as_str(), host.as_deref()), (Method::GET, "/a", Some("api.example")));
    assert_eq!(asked.headers.len(), 1);
}

#[test]
fn raw_headers_are_read_as_they_came() {
    let raw = |value: &str| RawValue {
        key: "authorization".into(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec(),
    };
    let headers = vec![raw("Bearer a"), raw("Bearer b")];
    let http = HttpRequest { header_map: Some(RawMap { headers }), ..get("/", &[]) };
    let asked = question(http).asked().expect("readable");
    assert_eq!(asked.headers.get_all("authorization").iter().count(), 2);
}

#[test]
fn a_question_without_a_request_is_envoys_fault_and_an_odd_request_its_clients() {
    let fault = |request: CheckRequest| request.asked().expect_err("odd").wire().status.as_u16();
    assert_eq!(fault(CheckRequest::default()), 500);
    assert_eq!(fault(question(HttpRequest::default())), 500);
    assert_eq!(fault(question(get("/", &[("a b", "c")]))), 400);
    assert_eq!(fault(question(get("/", &[("a", "b\nc")]))), 400);
    assert_eq!(fault(question(HttpRequest { method: "G T".into(), ..get("/", &[]) })), 400);
}

#[test]
fn more_headers_than_can_be_held_are_refused_and_not_a_panic() {
    let headers = (0..40_000).map(|at| (format!("h{at}"), String::new())).collect();
    let refusal = question(HttpRequest { headers, ..get("/", &[]) }).asked().expect_err("too many");
    assert_eq!(refusal.wire().status, StatusCode::BAD_REQUEST);
}

#[test]
fn a_pass_sets_every_identity_header_and_takes_the_misspelt_ones_out() {
    let identity = Identity { subject: "u1", ..Identity::default() };
    let CheckResponse { status, answered: Some(Answered::Ok(ok)) } =
        CheckResponse::pass(identity, HeaderMap::new())
    else {
        panic!("it passes")
    };
    assert_eq!(status, Some(Status::default()));
    for name in Identity::header_names() {
        let set: Vec<_> =
            ok.headers.iter().filter(|it| it.header.as_ref().is_some_and(|it| it.key == *name)).collect();
        assert_eq!(set.len(), 1, "{name}");
        assert_eq!((set[0].append_action, set[0].keep_empty_value), (2, true), "{name}");
        assert!(!ok.headers_to_remove.iter().any(|it| it == name), "what is set is not removed");
    }
    assert!(ok.headers_to_remove.iter().any(|it| it == "x_highwater_subject"));
}

#[test]
fn a_refusal_has_its_own_status_and_is_a_no_to_whoever_reads_only_the_code() {
    for (status, code) in [(400, 3), (401, 16), (403, 7), (500, 13), (503, 14)] {
        let status = StatusCode::from_u16(status).expect("a status");
        let said = CheckResponse::refuse(status, &HeaderMap::new(), "why".into());
        let Some(Answered::Denied(denied)) = said.answered else { panic!("a refusal") };
        assert_eq!(denied.status, Some(HttpStatus { code: i32::from(status.as_u16()) }));
        assert_eq!(said.status.map(|it| it.code), Some(code));
    }
}

proptest! {
    #[test]
    fn whatever_bytes_come_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = CheckRequest::decode(bytes.as_slice()) {
            let _ = request.asked();
        }
    }

    #[test]
    fn what_a_client_sends_changes_nothing_that_envoy_says(name in "[!-~]{1,12}", value in "\\PC{0,12}") {
        if let Ok(asked) = question(get("/a", &[(&name, &value)])).asked() {
            prop_assert_eq!(asked.original.path, "/a");
            prop_assert_eq!(asked.original.method, Method::GET);
        }
    }
}
