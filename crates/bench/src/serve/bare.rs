use axum::Router;
use axum::http::{HeaderValue, header};
use axum::routing::get;

/// A body of the size and the shape of a token answer.
pub(crate) const BODY: &str = concat!(
    r#"{"id":""#,
    "eyJub2RlIjoiaHR0cHM6Ly9leGFtcGxlLmNvbSIsImZ4YV9raWQiOiIwMDAwMDAwMDAxMjM0LXFxbyIsImZ4YV91aWQiOiIwMTIzNDU2Nzg5YWJj",
    "ZGVmMDEyMzQ1Njc4OWFiY2RlZiIsImhhc2hlZF9kZXZpY2VfaWQiOiJjZmE4ZDQ3OGQyMTQ0ZmI0ZGU3Y2M3NzBmOGExNzMzNCIsImhhc2hlZF9m",
    "eGFfdWlkIjoiZGJmOWU2MmY0ZWQ0OGMxOTM5MjFkZDUxOGYwNDU5ZjMiLCJleHBpcmVzIjoxNzAwMDAzNjAwLCJ1aWQiOjQyLCJ0b2tlbnNlcnZl",
    "cl9vcmlnaW4iOiJydXN0Iiwic2FsdCI6ImExYjJjMyJ9gs_3ktUWtt42PDoSki6AI0KQBIUIY89NJ9mkSiyx9uc=",
    r#"","key":"Fw4DpCg2TwrWq8k-dxG9Qty9L9AE4V1pzxPRZnilB88=","uid":42,"#,
    r#""api_endpoint":"https://example.com/1.5/42","duration":3600,"#,
    r#""hashed_fxa_uid":"dbf9e62f4ed48c193921dd518f0459f3","hashalg":"sha256","node_type":"mysql"}"#,
);

/// The bare handler: one route that answers a constant.
pub(super) fn router() -> Router {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Router::new().route("/", get(move || std::future::ready((json.clone(), BODY))))
}
