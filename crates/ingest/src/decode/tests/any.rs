//! Any bytes are an event or junk.

use super::remit;
use crate::decode::decode;
use account::{Change, Millis};
use proptest::prelude::*;
use serde_json::{Value, json};

/// JSON that is often nearly an event.
pub(crate) fn nearly_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "delete",
            "reset",
            "login",
            "subscription:update",
            "u@api.accounts.firefox.com",
            "1e400"
        ])
        .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "event",
        "uid",
        "iss",
        "generation",
        "timestamp",
        "ts",
        "data",
        "Message",
        "reason",
        "eventCreatedAt",
        "isActive",
        "productCapabilities",
        "email",
        "clientId",
        "deviceCount",
        "totpEnabled",
        "x",
    ]);
    leaf.prop_recursive(3, 24, 8, move |inner| {
        let object = prop::collection::vec((names.clone(), inner.clone()), 0..8).prop_map(|members| {
            Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        });
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.clone().prop_map(|object| Value::from(object.to_string())),
            object,
        ]
    })
}

/// What must hold for whatever comes in.
fn is_an_event_or_junk(body: &[u8]) {
    match decode(body, &remit()) {
        Ok(decoded) => {
            assert!(decoded.event.at.is_none_or(|at| at > Millis::ZERO));
            assert!(decoded.event.at.is_some() || !decoded.event.change.kind().is_password_kind());
            let kept = serde_json::to_string(&decoded.event).expect("an event is storable");
            assert!(
                !kept.contains('\0') && !kept.contains("\\u0000")
                    || matches!(decoded.event.change, Change::Unknown { .. })
            );
        }
        Err(junk) => {
            assert!(!junk.detail.is_empty() && junk.detail.len() < 2000 && !junk.detail.contains('\0'));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_junk(body in prop::collection::vec(any::<u8>(), 0..400)) {
        is_an_event_or_junk(&body);
    }

    #[test]
    fn any_json_is_an_event_or_junk(body in nearly_json()) {
        is_an_event_or_junk(body.to_string().as_bytes());
    }

    #[test]
    fn an_event_with_any_members_is_an_event_or_junk(
        members in nearly_json(),
        name in prop::sample::select(vec![
            "login", "delete", "passwordChange", "reset", "signOutEverywhere", "primaryEmailChanged",
            "profileDataChange", "subscription:update", "accountDisabled", "accountEnabled", "verified",
        ]),
    ) {
        if let Value::Object(mut body) = members {
            body.insert("event".into(), name.into());
            body.insert("uid".into(), "u".into());
            is_an_event_or_junk(Value::Object(body).to_string().as_bytes());
        }
    }

    #[test]
    fn a_cut_event_is_an_event_or_junk(cut in 0usize..200, flip in any::<u8>()) {
        let mut body = json!({"Message": json!({"event": "reset", "uid": "u", "generation": 900}).to_string()})
            .to_string().into_bytes();
        let at = cut % body.len();
        body[at] ^= flip;
        is_an_event_or_junk(&body);
        is_an_event_or_junk(&body[..at]);
    }
}
