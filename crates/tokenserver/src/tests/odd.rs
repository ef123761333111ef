//! Whatever is sent: an answer in the shape of the field, and never the server's fault.

use super::*;
use proptest::prelude::*;

fn header() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(prop_oneof![32u8..127, 128u8..], 0..60),
        "[0-9+-]{0,20}-[A-Za-z0-9_-]{0,30}".prop_map(String::into_bytes),
        "[Bb]earer .{0,60}".prop_map(|text| text
            .chars()
            .filter(|c| !c.is_control())
            .collect::<String>()
            .into_bytes()),
        "[a-f0-9]{0,40}".prop_map(String::into_bytes),
    ]
}

#[test]
fn no_request_upsets_the_server() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let house = runtime.block_on(House::new(settings()));
    let good = house.token(&claims("user", 100));
    proptest!(ProptestConfig::with_cases(600), |(
        authorization in prop::option::weighted(0.3, header()), key_id in prop::option::of(header()),
        client_state in prop::option::of(header()), agent in prop::option::of(header()),
        path in "(/1\\.0)?(/sync|/[a-z%0-9]{0,6})(/1\\.5|/[!-~&&[^#?]]{0,8})(\\?[ -~&&[^# <>\"`]]{0,30})?",
    )| {
        let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
        let mut request = Request::builder().uri(uri).body(Body::empty()).expect("a request");
        let authorization = authorization.unwrap_or_else(|| format!("Bearer {good}").into_bytes());
        let headers = [("authorization", Some(authorization)), ("x-keyid", key_id), ("x-client-state", client_state),
            ("user-agent", agent)];
        for (name, value) in headers {
            if let Some(value) = value.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok()) {
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        let under_1_0 = request.uri().path().starts_with("/1.0/");
        let answer = runtime.block_on(answer(&house.public, request));
        prop_assert!(!answer.status.is_server_error(), "{answer:?}");
        if under_1_0 && answer.status != StatusCode::OK {
            answer.refusal();
        }
    });
}
