//! Whatever comes in, it is answered, and never by a 5xx.

use super::*;
use http::HeaderValue;
use proptest::prelude::*;

#[test]
fn no_header_and_no_body_is_ever_our_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let node = runtime.block_on(Node::fresh());
    proptest!(|(
        header in prop::collection::vec(any::<u8>(), 0..80),
        parts in "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,3}",
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    )| runtime.block_on(async {
        for header in [header, format!("Bearer {parts}").into_bytes()] {
            let Ok(header) = HeaderValue::from_bytes(&header) else { continue };
            let request = Request::post(HOOK).header(AUTHORIZATION, header).body(Body::empty());
            let status = send(&node.routes, request.expect("a request")).await.status();
            assert_eq!(status, StatusCode::UNAUTHORIZED);
        }
        for body in [bytes, parts.into_bytes()] {
            assert_eq!(push(&node.routes, body).await.status(), StatusCode::BAD_REQUEST);
        }
    }));
}

#[test]
fn whatever_an_authentic_token_claims_is_never_our_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let node = runtime.block_on(Node::fresh());
    proptest!(|(
        name in prop::sample::select(vec!["iss", "aud", "iat", "exp", "sub", "sub_id", "events", "jti"]),
        value in crate::decode::tests::nearly_json(),
        uri in prop::sample::select(vec!["password-change", "delete-user", "subscription-state-change"]),
        payload in crate::decode::tests::nearly_json(),
    )| runtime.block_on(async {
        let mut claims = claims(&format!("{FXA}/{uri}"), payload);
        claims[name] = value;
        let (hook, push) = (node.hook(&claims).await.status(), node.push(&claims).await.status());
        assert!(matches!(hook.as_u16(), 200 | 401), "{hook} {claims}");
        assert!(matches!(push.as_u16(), 202 | 400), "{push} {claims}");
    }));
}
