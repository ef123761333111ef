use super::*;
use crate::{Derived, Facts, Freshness, NumericDate, Scopes, Source};
use account::{Millis, Subject};
use proptest::prelude::*;
use serde_json::{Value, json};

fn policy(routes: &Value) -> Result<Policy, InvalidPolicy> {
    let config: PolicyConfig = serde_json::from_value(json!({ "routes": routes })).expect("well-formed");
    Policy::new(&config)
}

fn facts() -> Facts {
    Facts {
        idp: IdpId::new("idp").expect("valid"),
        subject: Subject::new("u").expect("valid"),
        client_id: Some("app".into()),
        scopes: Scopes::new("profile https://api.example/relay"),
        generation: None,
        profile_changed_at: None,
        auth_time: Some(NumericDate::whole(1_000)),
        acr: Some("AAL1".into()),
        issued_at: None,
        expires_at: None,
        learned_at: Millis::ZERO,
        source: Source::Word,
        derived: Derived::default(),
    }
}

fn at(seconds: i64) -> Millis {
    Millis::from_seconds(seconds)
}

/// Which pattern decides.
fn decides<'a>(policy: &'a Policy, path: &str) -> Option<&'a str> {
    policy.rule("GET", path).ok().map(|rule| rule.template())
}

#[test]
fn the_most_specific_pattern_decides_whatever_the_order() {
    let mut routes = [
        json!({"path": "/{*rest}"}),
        json!({"path": "/users/{id}"}),
        json!({"path": "/users/me"}),
        json!({"path": "/users/{id}/keys"}),
        json!({"path": "/users/me/{*rest}"}),
        json!({"path": "/users/{*rest}"}),
    ];
    for _ in 0..routes.len() {
        routes.rotate_left(1);
        let policy = policy(&json!(routes)).expect("valid");
        for (path, pattern) in [
            ("/", "/{*rest}"),
            ("/users", "/users/{*rest}"),
            ("/users/7", "/users/{id}"),
            ("/users/me", "/users/me"),
            ("/users/%6de", "/users/me"),
            ("/users/7/keys", "/users/{id}/keys"),
            ("/users/me/keys", "/users/me/{*rest}"),
            ("/users/7/locks", "/users/{*rest}"),
        ] {
            assert_eq!(decides(&policy, path), Some(pattern), "{path}");
        }
    }
}

#[test]
fn a_path_nobody_wrote_a_rule_for_is_served_to_nobody() {
    let policy = policy(&json!([{"path": "/a", "anonymous": true}])).expect("valid");
    assert_eq!(policy.rule("GET", "/b").err(), Some(Rejection::NotServed));
    for path in ["/a/../b", "/a/%2e", "//a", "/a;b"] {
        assert_eq!(policy.rule("GET", path).err(), Some(Rejection::AmbiguousPath), "{path}");
    }
}

#[test]
fn a_method_nobody_named_gets_the_strictest_rule() {
    let policy = policy(&json!([
        {"path": "/masks/{id}", "methods": ["GET", "HEAD"], "scopes": ["read"], "clients": ["app", "web"],
         "max_age_seconds": 300, "stale_if_error_seconds": 600, "authentication_max_age_seconds": 900},
        {"path": "/masks/{name}", "methods": ["POST", "PUT"], "scopes": ["write"], "clients": ["web", "cli"],
         "max_age_seconds": 5, "acr_values": ["AAL2"]},
    ]))
    .expect("valid");
    let rule = |method| policy.rule(method, "/masks/7").expect("served");
    assert_eq!(rule("GET").scopes.to_string(), "read");
    assert_eq!(rule("PUT").freshness().max_age, Some(Duration::from_secs(5)));
    for method in ["PATCH", "DELETE", "get", "BREW", ""] {
        let rule = rule(method);
        assert_eq!(rule.scopes.to_string(), "read write", "{method}");
        assert_eq!(rule.clients.as_deref(), Some([Box::from("web")].as_slice()));
        assert_eq!(rule.freshness(), &Freshness::NOW);
        assert_eq!((rule.acr_values.len(), rule.authentication_max_age_seconds), (1, Some(900)));
        assert!(!rule.allows_anonymous());
    }
}

#[test]
fn without_methods_a_rule_is_for_those_everybody_knows() {
    let policy = policy(&json!([{"path": "/a", "anonymous": true}])).expect("valid");
    assert!(policy.rule("PATCH", "/a").expect("served").allows_anonymous());
    assert!(!policy.rule("PURGE", "/a").expect("served").allows_anonymous());
}

#[test]
fn each_need_of_a_rule_is_looked_at() {
    let judged = |route: Value, now| {
        let mut whole = json!({"path": "/a"});
        whole.as_object_mut().expect("an object").extend(route.as_object().expect("an object").clone());
        let policy = policy(&json!([whole])).expect("valid");
        policy.rule("GET", "/a").expect("served").allows(&facts(), at(now))
    };
    let scope = |required| Err(Rejection::InsufficientScope { required: Arc::new(Scopes::new(required)) });
    assert_eq!(judged(json!({}), 9_999_999), Ok(()));
    assert_eq!(judged(json!({"scopes": ["profile:email", "https://api.example/relay/masks"]}), 0), Ok(()));
    assert_eq!(judged(json!({"scopes": ["profile", "admin"]}), 0), scope("profile admin"));
    assert_eq!(judged(json!({"clients": ["web", "app"]}), 0), Ok(()));
    assert_eq!(judged(json!({"clients": ["web"]}), 0), Err(Rejection::ClientNotAllowed));
    let sign_in = |acr_values: &[&str], max_age_seconds| {
        let acr_values = acr_values.iter().map(|level| Box::from(*level)).collect();
        Err(Rejection::InsufficientAuthentication { acr_values, max_age_seconds })
    };
    assert_eq!(judged(json!({"acr_values": ["AAL1", "AAL2"]}), 0), Ok(()));
    assert_eq!(judged(json!({"acr_values": ["AAL2", "AAL3"]}), 0), sign_in(&["AAL2", "AAL3"], None));
    assert_eq!(judged(json!({"authentication_max_age_seconds": 60}), 1_065), Ok(()), "clocks may differ");
    assert_eq!(judged(json!({"authentication_max_age_seconds": 60}), 1_066), sign_in(&[], Some(60)));
    assert_eq!(
        judged(json!({"acr_values": ["AAL1"], "authentication_max_age_seconds": 60}), 2_000),
        sign_in(&["AAL1"], Some(60))
    );
}

#[test]
fn what_a_token_does_not_say_it_does_not_have() {
    let silent = Facts { client_id: None, acr: None, auth_time: None, ..facts() };
    for need in [
        json!({"path": "/a", "clients": ["app"]}),
        json!({"path": "/a", "acr_values": ["AAL1"]}),
        json!({"path": "/a", "authentication_max_age_seconds": 4_294_967_295_u32}),
    ] {
        let policy = policy(&json!([need])).expect("valid");
        assert!(policy.rule("GET", "/a").expect("served").allows(&silent, at(0)).is_err(), "{need}");
    }
}

#[test]
fn a_policy_that_cannot_mean_what_it_says_is_refused_with_its_place() {
    let why = |routes: &Value| policy(routes).expect_err("refused").to_string();
    let cases = [
        (json!([{"path": "a"}]), r#"routes[0]: path "a" must begin with a slash"#),
        (
            json!([{"path": "/a"}, {"path": "/{*x}/b"}]),
            r#"routes[1]: path "/{*x}/b" goes on after {*…}, which takes everything"#,
        ),
        (
            json!([{"path": "/a", "methods": ["get"]}]),
            r#"routes[0]: "get" is no method; methods are named in capitals, as in GET"#,
        ),
        (
            json!([{"path": "/a", "methods": []}]),
            "routes[0]: methods is empty: name what is allowed, or leave it out",
        ),
        (
            json!([{"path": "/a", "clients": []}]),
            "routes[0]: clients is empty: name what is allowed, or leave it out",
        ),
        (
            json!([{"path": "/a", "scopes": ["a b"]}]),
            r#"routes[0].scopes: "a b" is empty or has white space, a quotation mark or a backslash in it"#,
        ),
        (
            json!([{"path": "/a/{x}"}, {"path": "/a/{y}/", "methods": ["GET"]}]),
            r#"two routes for the path "/a/{y}/" are for the same method"#,
        ),
        (
            json!([{"path": "/a", "anonymous": true, "scopes": ["a"]}]),
            "routes[0]: anonymous is true, so scopes would keep nobody out",
        ),
    ];
    for (routes, expected) in cases {
        assert_eq!(why(&routes), expected);
    }
    let unknown = serde_json::from_value::<PolicyConfig>(json!({"routes": [{"path": "/", "scope": "a"}]}));
    assert!(unknown.expect_err("refused").to_string().contains("unknown field `scope`"));
}

/// A rule for `/a`, with any needs.
fn any_route(method: &'static str) -> impl Strategy<Value = Value> {
    let some = |names: &'static [&'static str]| proptest::sample::subsequence(names, 1..=names.len());
    (
        proptest::sample::subsequence(&["profile", "https://api.example/relay", "admin"][..], 0..=3),
        proptest::option::of(some(&["app", "web"])),
        proptest::option::of(some(&["AAL1", "AAL2"])),
        proptest::option::of(0_u32..2_000),
        proptest::option::of(0_u32..1_000),
        0_u32..1_000,
    )
        .prop_map(move |(scopes, clients, acr_values, sign_in, max_age, stale)| {
            json!({"path": "/a", "methods": [method], "scopes": scopes, "clients": clients, "acr_values": acr_values,
                   "authentication_max_age_seconds": sign_in, "max_age_seconds": max_age, "stale_if_error_seconds": stale})
        })
}

proptest! {
    #[test]
    fn what_the_strictest_rule_allows_every_rule_allows(
        get in any_route("GET"), post in any_route("POST"), now in 0_i64..4_000
    ) {
        let policy = policy(&json!([get, post])).expect("valid");
        let rule = |method| policy.rule(method, "/a").expect("served");
        let strictest = rule("PATCH");
        for method in ["GET", "POST"] {
            if strictest.allows(&facts(), at(now)).is_ok() {
                prop_assert_eq!(rule(method).allows(&facts(), at(now)), Ok(()));
            }
            prop_assert!(strictest.freshness().max_age <= Some(rule(method).freshness().max_age.unwrap_or(Duration::MAX)));
            prop_assert!(strictest.freshness().stale_if_error <= rule(method).freshness().stale_if_error);
        }
    }

    #[test]
    fn no_path_finds_a_rule_that_its_plain_form_does_not(path in "/(a|b|%61|%2e|\\.|\\.\\.|%2f|;|/){0,6}") {
        let policy = policy(&json!([{"path": "/a/{*rest}"}, {"path": "/a/b"}, {"path": "/b"}])).expect("valid");
        if let Ok(rule) = policy.rule("GET", &path) {
            let plain = path.replace("%61", "a").replace("%2e", ".");
            prop_assert!(!plain.contains('%') && !plain.contains("//") && !plain.contains(';'));
            prop_assert_eq!(Some(rule.template()), decides(&policy, &plain));
        }
    }
}
