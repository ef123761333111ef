use super::*;
use crate::adapters::{Identity, Proxy};

/// Second 0 of the tests.
const NOW: i64 = START.seconds();

fn all_empty(answer: &Answer) -> bool {
    Identity::header_names()
        .iter()
        .all(|name| answer.headers.get(*name).is_some_and(http::HeaderValue::is_empty))
}

#[tokio::test]
async fn a_good_token_passes_and_says_whose_it_is() {
    for house in House::on_each_engine().await {
        let claims = json!({ "sub": "u1", "iat": NOW - 10, "auth_time": NOW - 20, "acr": "AAL2" });
        let answer = house.passes(&house.token_with(&claims)).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""));
        for (name, value) in [
            ("x-highwater-subject", "u1"),
            ("x-highwater-idp", "main"),
            ("x-highwater-client-id", "5882386c6d801776"),
            ("x-highwater-scope", "profile https://identity.mozilla.com/apps/relay"),
            ("x-highwater-acr", "AAL2"),
            ("x-highwater-status", "200"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        assert_eq!(answer.header("x-highwater-auth-time"), (NOW - 20).to_string());
    }
}

#[tokio::test]
async fn each_proxy_is_answered_in_its_own_words() {
    let house = House::new().await;
    let token = format!("Bearer {}", house.token("u1", NOW));
    let nginx = [("x-original-method", "GET"), ("x-original-uri", "/a")];
    let forwarded = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/a")];
    for (route, said) in [
        ("/verify", &nginx[..]),
        ("/verify/nginx", &nginx),
        ("/verify/traefik", &forwarded),
        ("/verify/caddy", &forwarded),
        ("/verify/envoy/", &[]),
        ("/verify/envoy/a/b?c=d", &[]),
    ] {
        let good = house.verify(route, &[said, &[("authorization", &token)]].concat()).await;
        assert_eq!(good.status, StatusCode::OK, "{route}: {}", good.body);
        let without = house.verify(route, said).await;
        assert_eq!(without.code(), refused(401, "no_credentials"), "{route}");
        assert_eq!(without.header("www-authenticate"), "Bearer realm=\"api\"", "{route}");
        assert!(all_empty(&without), "{route}");
    }
    assert_eq!(house.verify("/verify/apache", &nginx).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_nginx_cannot_be_told_is_in_a_header() {
    let house = House::new().await;
    let malformed = [("x-original-method", "GET"), ("x-original-uri", "/"), ("authorization", "Bearer a b")];
    let answer = house.verify("/verify/nginx", &malformed).await;
    assert_eq!(answer.code(), refused(403, "bad_authorization"));
    assert_eq!(answer.header("x-highwater-status"), "400");
    let unset = house.verify("/verify/nginx", &[("authorization", "Bearer a")]).await;
    assert_eq!(unset.code(), refused(403, "proxy_not_set_up"));
    assert_eq!(unset.header("x-highwater-status"), "500");
    let to_envoy = house.verify("/verify/envoy/a/../b", &[("authorization", "Bearer a")]).await;
    assert_eq!(to_envoy.code(), refused(400, "ambiguous_path"));
}

/// 5xx is for what is wrong here, or between a proxy and us.
#[tokio::test]
async fn no_request_of_a_client_is_an_error_of_the_server() {
    let house = House::new().await;
    let long = "a".repeat(20_000);
    let token = format!("Bearer {}", house.token("u1", NOW));
    for path in ["/\u{7f}x", "/%ff", "/%", "*", "http://h/x", "?", "//", "/a b", "/ä", &long] {
        for authorization in ["", "Bearer", "Bearer ", "bearer ä", "Bearer a,b", &long, &token] {
            for (route, names) in [
                ("/verify/nginx", ["x-original-method", "x-original-uri"]),
                ("/verify/caddy", ["x-forwarded-method", "x-forwarded-uri"]),
            ] {
                let said = [(names[0], "PROPFIND"), (names[1], path), ("authorization", authorization)];
                let mut request = Request::get(route);
                for (name, value) in said {
                    // As it may come over the wire, which is not always text.
                    let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) else { continue };
                    request = request.header(name, value);
                }
                let request = request.body(Body::empty()).expect("a request");
                if !request.headers().contains_key(names[1]) {
                    continue;
                }
                let answer = house.service(&["verify"], request).await;
                let status = answer.header("x-highwater-status").to_owned();
                assert!(!status.starts_with('5'), "{route} {path} {authorization}: {status} {}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_says_itself_whose_it_is_does_not_pass() {
    let house = House::new().await;
    let token = format!("Bearer {}", house.token("u1", NOW));
    let said = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/a"), ("authorization", &*token)];
    for spoofed in ["X-Highwater-Subject", "x_highwater_subject", "X_Highwater-Scope"] {
        let answer = house.verify("/verify/caddy", &[&said[..], &[(spoofed, "root")]].concat()).await;
        assert_eq!(answer.code(), refused(400, "identity_header_in_request"), "{spoofed}");
        assert!(all_empty(&answer), "{spoofed}");
    }
}

#[tokio::test]
async fn only_a_caller_that_may_verify_is_answered() {
    let house = House::new().await;
    let request = || Request::get("/verify").body(Body::empty()).expect("a request");
    let with_another_scope = house.service(&["introspect"], request()).await;
    assert_eq!(with_another_scope.code(), refused(403, "caller_not_allowed"));
    let unguarded = answer(house.service.clone(), request()).await;
    assert_eq!(unguarded.code(), refused(403, "caller_not_allowed"));
}

#[tokio::test]
async fn the_policy_is_for_the_request_that_the_proxy_asks_about() {
    let house = House::with(|settings| {
        let routes = json!([
            { "path": "/open", "anonymous": true },
            { "path": "/mail/{*rest}", "methods": ["GET"], "scopes": ["profile"] },
            { "path": "/mail/{*rest}", "methods": ["POST"], "scopes": ["profile", "mail"] },
        ]);
        settings.policy.routes = serde_json::from_value(routes).expect("routes");
    })
    .await;
    let token = format!("Bearer {}", house.token("u1", NOW));
    let ask = async |method: &str, uri: &str, authorization: &[(&str, &str)]| {
        let said = [("x-forwarded-method", method), ("x-forwarded-uri", uri)];
        house.verify("/verify/caddy", &[&said[..], authorization].concat()).await
    };
    let with = [("authorization", token.as_str())];
    let open = ask("GET", "/open?a", &[]).await;
    assert_eq!((open.status, open.header("x-highwater-check")), (StatusCode::OK, "anonymous"));
    assert!(all_empty(&open), "nobody is somebody");
    assert_eq!(ask("GET", "/open", &with).await.header("x-highwater-subject"), "u1");
    assert_eq!(ask("GET", "/mail/1", &with).await.status, StatusCode::OK);
    let needs = ask("POST", "/mail/1", &with).await;
    assert_eq!(needs.code(), refused(403, "insufficient_scope"));
    assert!(needs.header("www-authenticate").ends_with("scope=\"profile mail\""), "{:?}", needs.headers);
    assert_eq!(ask("GET", "/other", &with).await.code(), refused(403, "not_served"));
    assert_eq!(ask("GET", "/open/../mail", &with).await.code(), refused(400, "ambiguous_path"));
}

#[tokio::test]
async fn a_token_of_before_the_change_is_refused_and_one_of_after_it_is_not() {
    for house in House::on_each_engine().await {
        house.happens("u1", Millis::from_seconds(NOW - 50), Change::PasswordChange).await;
        let of = |issued_at| house.token("u1", issued_at);
        assert_eq!(house.passes(&of(NOW - 60)).await.code(), refused(401, "token_ended"));
        assert_eq!(house.passes(&of(NOW - 40)).await.status, StatusCode::OK);
        assert_eq!(
            house.passes(&house.token("u2", NOW - 60)).await.status,
            StatusCode::OK,
            "another account"
        );
    }
}

#[tokio::test]
async fn only_the_identity_provider_knows_of_a_token_of_the_very_second_of_the_change() {
    let house = House::new().await;
    house.happens("u1", Millis::new((NOW - 50) * 1_000 + 500), Change::PasswordChange).await;
    let token = house.token("u1", NOW - 50);
    assert_eq!(house.passes(&token).await.code(), refused(401, "token_ended"), "it knows nothing of it");
    house.upstream.reset().await;
    house.says(ResponseTemplate::new(503).insert_header("retry-after", "7")).await;
    let outage = house.passes(&token).await;
    assert_eq!(outage.code(), refused(403, "check_unavailable"));
    assert_eq!((outage.header("x-highwater-status"), outage.header("retry-after")), ("503", "7"));
    house.upstream.reset().await;
    house.says(json_of(200, json!({ "user": "u2", "scope": ["profile"] }))).await;
    assert_eq!(house.passes(&token).await.code(), refused(401, "token_ended"), "it is another's");
    assert_eq!(house.passes(&token).await.code(), refused(401, "token_ended"), "and stays so");
    house.upstream.reset().await;
    house.says(json_of(200, json!({ "user": "u1", "scope": ["profile"] }))).await;
    assert_eq!(house.passes(&token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_the_identity_provider_says_of_an_earlier_grant_holds_or_not_as_is_configured() {
    for (after_change, expected) in
        [("reintrospect", (200, String::new())), ("reject", refused(401, "token_ended"))]
    {
        let house = House::with(|settings| {
            let choice = json!({ "main": after_change });
            settings.policy.after_change = serde_json::from_value(choice).expect("a choice");
        })
        .await;
        house.says(json_of(200, json!({ "user": "u1", "scope": ["profile"], "generation": 1 }))).await;
        house.happens("u1", Millis::from_seconds(NOW - 50), Change::PasswordChange).await;
        assert_eq!(house.passes("opaque").await.code(), expected, "{after_change}");
    }
}

#[tokio::test]
async fn an_account_that_may_not_act_is_refused_at_once() {
    for house in House::on_each_engine().await {
        let at = Millis::from_seconds(NOW - 50);
        house.happens("u1", at, Change::Disable).await;
        house.happens("u2", at, Change::Delete { reason: None }).await;
        let of = |subject| house.token(subject, NOW);
        assert_eq!(house.passes(&of("u1")).await.code(), refused(403, "account_disabled"));
        assert_eq!(house.passes(&of("u2")).await.code(), refused(401, "account_deleted"));
        let request = house.passes(&of("u1")).await;
        assert_eq!(request.header("www-authenticate"), "", "another token would not help");
    }
}

#[tokio::test]
async fn a_deleted_and_forgotten_account_refuses_what_was_granted_before_the_deletion() {
    for house in House::on_each_engine().await {
        house.happens("u1", Millis::from_seconds(NOW - 50), Change::Delete { reason: None }).await;
        house.clock.advance(Duration::from_hours(24 * 60));
        house.happens("u2", house.clock.now(), Change::PasswordChange).await;
        let retention =
            ledger::Retention { events_days: 30, deleted_accounts_days: 30, ..ledger::Retention::default() };
        assert_eq!(house.ledger.clone().drop_old(retention).await, work::Tick::Idle);
        let now = house.clock.now().seconds();
        let token = |issued_at| {
            let claims = json!({ "sub": "u1", "iat": issued_at, "exp": now + 60 });
            house.token_with(&claims)
        };
        assert_eq!(house.passes(&token(NOW - 60)).await.code(), refused(401, "token_ended"));
        assert_eq!(house.passes(&token(NOW - 40)).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn every_route_is_described() {
    let house = House::with_accounts().await;
    let capability = house.bearer.capability();
    let described = |router: utoipa_axum::router::OpenApiRouter| {
        router.into_openapi().paths.paths.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let terms = "/api/v1/terms-accepted-user/";
    assert_eq!(described(capability.public), terms);
    let grpc = "/envoy.service.auth.v3.Authorization/Check";
    let service = format!("{terms} {grpc} /introspect /verify /verify/{{proxy}}");
    assert_eq!(described(capability.service), service);
    assert_eq!(described(capability.admin), "/accounts/{idp}/{subject}/local");
    for proxy in Proxy::ALL {
        let answer = house.verify(&format!("/verify/{proxy}"), &[]).await;
        assert_ne!(answer.status, StatusCode::NOT_FOUND, "{proxy}");
    }
}
