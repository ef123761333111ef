use super::*;
use proptest::prelude::*;
use serde_json::json;

const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn jti() -> String {
    hex::encode(digest(&SHA256, &hex::decode(TOKEN).expect("hexadecimal")))
}

/// What Mozilla accounts say of an active token.
fn fxa() -> Value {
    json!({
        "active": true, "scope": "profile https://identity.mozilla.com/apps/relay", "client_id": "5882386c6d801776",
        "token_type": "access_token", "iat": 1_755_648_003_123_i64, "sub": "0123456789abcdef0123456789abcdef",
        "jti": jti(), "exp": 1_755_649_803_000_i64, "fxa-lastUsedAt": 1_755_648_003_000_i64,
        "acr": "AAL2", "auth_time": 1_755_648_000, "amr": ["pwd", "otp"]
    })
}

/// What others say of one.
fn generic() -> Value {
    json!({ "active": true, "token_type": "Bearer", "sub": "u", "iss": "https://idp.example", "exp": 9, "scope": "a" })
}

/// An answer with this member instead.
fn with(mut answer: Value, name: &str, value: Value) -> Value {
    answer[name] = value;
    answer
}

fn without(mut answer: Value, name: &str) -> Value {
    answer.as_object_mut().expect("an object").remove(name);
    answer
}

fn told(protocol: Protocol, body: &str) -> Result<Result<Introspection, Inactive>, Unreadable> {
    let goes_by = |issuer: &str| issuer == "https://idp.example";
    read(body.as_bytes(), &Question { protocol, token: TOKEN, goes_by: &goes_by })
}

fn by_fxa(answer: &Value) -> Result<Result<Introspection, Inactive>, Unreadable> {
    told(Protocol::Fxa, &answer.to_string())
}

fn by_others(answer: &Value) -> Result<Result<Introspection, Inactive>, Unreadable> {
    told(Protocol::Rfc7662, &answer.to_string())
}

fn facts_of(outcome: Result<Result<Introspection, Inactive>, Unreadable>) -> Introspection {
    outcome.expect("readable").expect("active")
}

#[test]
fn the_answer_of_mozilla_accounts_is_read_whole_each_time_in_its_unit() {
    let second = Birth::within_second(1_755_648_000);
    let expected = Introspection {
        subject: Subject::new("0123456789abcdef0123456789abcdef").expect("valid"),
        client_id: Some("5882386c6d801776".into()),
        scope: "profile https://identity.mozilla.com/apps/relay".into(),
        audience: Box::default(),
        expires_at: Some(Millis::new(1_755_649_803_000)),
        not_before: None,
        issued_at: Some(Birth::exactly(Millis::new(1_755_648_003_123))),
        auth_time: Some(second),
        acr: Some("AAL2".into()),
        amr: ["pwd".into(), "otp".into()].into(),
        generation: None,
    };
    assert_eq!(facts_of(by_fxa(&fxa())), expected);
}

#[test]
fn the_answer_of_others_is_read_in_seconds() {
    let answer = json!({
        "active": true, "token_type": "Bearer", "sub": "u", "exp": 1_755_649_803, "iat": 1_755_648_003, "nbf": 1_755_648_003.5,
        "aud": "me", "iss": "https://idp.example", "client_id": "c", "username": "unused", "token_use": "access_token"
    });
    let facts = facts_of(by_others(&answer));
    assert_eq!(facts.expires_at, Some(Millis::new(1_755_649_803_000)));
    assert_eq!(facts.issued_at, Some(Birth::within_second(1_755_648_003)));
    assert_eq!(facts.not_before, Some(Millis::new(1_755_648_003_500)));
    assert_eq!((&*facts.audience, &*facts.scope), (["me".into()].as_slice(), ""));
    let many = facts_of(by_others(&with(answer, "aud", json!(["me", "you"]))));
    assert_eq!(many.audience.len(), 2);
}

#[test]
fn a_time_is_told_in_seconds_or_milliseconds_and_its_size_tells_which() {
    let expires = |exp: Value| by_fxa(&with(fxa(), "exp", exp)).map(|told| told.expect("active").expires_at);
    for (exp, at) in [
        (json!(1_755_649_803_000_i64), 1_755_649_803_000),
        (json!(1_755_649_803), 1_755_649_803_000),
        (json!(1_755_649_803.25), 1_755_649_803_250),
        (json!(0), 0),
        (json!(99_999_999_999_i64), 99_999_999_999_000),
        (json!(100_000_000_000_i64), 100_000_000_000),
    ] {
        assert_eq!(expires(exp.clone()), Ok(Some(Millis::new(at))), "{exp}");
    }
    // Microseconds, nanoseconds, and what is no time at all.
    for odd in [json!(1_755_649_803_000_000_i64), json!(u64::MAX), json!(-1), json!(1e300)] {
        assert_eq!(expires(odd.clone()), Err(Unreadable::Member("exp")), "{odd}");
    }
    assert_eq!(expires(Value::Null), Ok(None));
}

#[test]
fn only_true_is_active_and_only_false_is_not() {
    for odd in [json!("true"), json!("false"), json!(1), json!(0), json!(null), json!([true]), json!({})] {
        assert_eq!(by_fxa(&with(fxa(), "active", odd.clone())), Err(Unreadable::Member("active")), "{odd}");
    }
    assert_eq!(by_fxa(&without(fxa(), "active")), Err(Unreadable::Member("active")));
    assert_eq!(by_fxa(&json!({"active": false})), Ok(Err(Inactive::Unknown)));
    let ended = with(with(fxa(), "active", json!(false)), "exp", json!("nonsense"));
    assert_eq!(by_fxa(&ended), Ok(Err(Inactive::Unknown)));
}

#[test]
fn nothing_but_an_access_token_is_good() {
    for other in ["refresh_token", "id_token", "Bearer", ""] {
        let told = by_fxa(&with(fxa(), "token_type", json!(other)));
        assert_ne!(told.map(|told| told.is_ok()), Ok(true), "{other}");
    }
    assert_eq!(by_fxa(&with(fxa(), "token_type", json!("refresh_token"))), Ok(Err(Inactive::OtherKind)));
    assert_eq!(by_fxa(&without(fxa(), "token_type")), Ok(Err(Inactive::OtherKind)));
    for good in ["Bearer", "bearer", "access_token", "urn:ietf:params:oauth:token-type:access_token"] {
        assert!(by_others(&with(generic(), "token_type", json!(good))).expect("readable").is_ok(), "{good}");
    }
    assert_eq!(by_others(&without(generic(), "token_type")), Ok(Err(Inactive::OtherKind)));
    assert_eq!(
        by_others(&with(generic(), "token_use", json!("refresh_token"))),
        Ok(Err(Inactive::OtherKind))
    );
}

#[test]
fn a_token_that_needs_a_proof_is_no_bearer_token() {
    assert_eq!(by_others(&with(generic(), "token_type", json!("DPoP"))), Ok(Err(Inactive::Bound)));
    assert_eq!(by_others(&with(generic(), "cnf", json!({"jkt": "x"}))), Ok(Err(Inactive::Bound)));
}

#[test]
fn a_token_of_a_client_alone_is_nobodys_and_one_of_another_issuer_foreign() {
    assert_eq!(by_others(&without(generic(), "sub")), Ok(Err(Inactive::NoAccount)));
    assert_eq!(by_fxa(&without(fxa(), "sub")), Err(Unreadable::Member("sub")));
    assert_eq!(
        by_others(&with(generic(), "iss", json!("https://other.example"))),
        Ok(Err(Inactive::Foreign))
    );
}

#[test]
fn an_answer_to_another_question_is_none() {
    let other = hex::encode(digest(&SHA256, b"another token"));
    assert_eq!(by_fxa(&with(fxa(), "jti", json!(other))), Err(Unreadable::Member("jti")));
    assert_eq!(by_fxa(&without(fxa(), "jti")), Err(Unreadable::Member("jti")));
    // Others call their tokens as they like.
    assert!(by_others(&with(generic(), "jti", json!(other))).expect("readable").is_ok());
}

#[test]
fn a_member_of_the_wrong_type_makes_the_answer_unreadable_by_its_name() {
    for (name, odd) in [
        ("sub", json!(5)),
        ("sub", json!("")),
        ("sub", json!(["u"])),
        ("sub", json!("x".repeat(256))),
        ("token_type", json!(["access_token"])),
        ("scope", json!(["profile"])),
        ("scope", json!(5)),
        ("client_id", json!(5)),
        ("client_id", json!("")),
        ("exp", json!(true)),
        ("exp", json!("1755649803000")),
        ("iat", json!([])),
        ("nbf", json!({})),
        ("auth_time", json!("now")),
        ("acr", json!(2)),
        ("amr", json!("pwd")),
        ("amr", json!([1])),
        ("aud", json!([1])),
        ("iss", json!(1)),
        ("fxa-generation", json!(1.5)),
        ("fxa-generation", json!("1")),
    ] {
        assert_eq!(by_fxa(&with(fxa(), name, odd.clone())), Err(Unreadable::Member(name)), "{name}: {odd}");
    }
}

#[test]
fn what_is_no_object_tells_nothing() {
    for (body, why) in [
        ("", Unreadable::NotJson),
        ("<html>", Unreadable::NotJson),
        (r#"{"active":true"#, Unreadable::NotJson),
        (r#"{"active":false} x"#, Unreadable::NotJson),
        (r#"[{"active":false}]"#, Unreadable::NotObject),
        ("[true]", Unreadable::NotObject),
        ("false", Unreadable::NotObject),
        ("null", Unreadable::NotObject),
        (r#"{"active":false,"active":true}"#, Unreadable::Twice),
        (r#"{"active":true,"sub":"a","sub":"b"}"#, Unreadable::Twice),
    ] {
        assert_eq!(told(Protocol::Fxa, body), Err(why), "{body}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        (1_600_000_000_i64..1_900_000_000).prop_map(Value::from),
        "[a-z_ ]{0,8}".prop_map(Value::from),
        Just(json!("access_token")),
        Just(json!("Bearer")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::from))
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic_or_accept(text in "\\PC*") {
        for protocol in [Protocol::Fxa, Protocol::Rfc7662] {
            prop_assert_ne!(told(protocol, &text).map(|told| told.is_ok()), Ok(true));
        }
    }

    #[test]
    fn whatever_one_member_becomes_an_active_token_has_a_subject_a_kind_and_times_of_this_age(
        which in 0_usize..17, value in any_json()
    ) {
        const NAMES: [&str; 17] = [
            "active", "token_type", "token_use", "cnf", "sub", "iss", "jti", "client_id", "scope", "aud", "exp", "nbf",
            "iat", "auth_time", "acr", "amr", "fxa-generation",
        ];
        for (protocol, answer) in [(Protocol::Fxa, fxa()), (Protocol::Rfc7662, generic())] {
            let answer = with(answer, NAMES[which], value.clone());
            if let Ok(Ok(facts)) = told(protocol, &answer.to_string()) {
                prop_assert_eq!(&answer["active"], &json!(true));
                prop_assert_eq!(answer["sub"].as_str(), Some(facts.subject.as_str()));
                prop_assert!(answer["token_type"].is_string() && answer["cnf"].is_null());
                let times = [facts.expires_at, facts.not_before, facts.issued_at.map(|at| at.earliest)];
                prop_assert!(times.into_iter().flatten().all(|at| (0..100_000_000_000_000).contains(&at.get())));
            }
        }
    }
}
