//! Identities that were never here, in numbers.

use super::*;
use crate::NewUserSettings;

async fn come(house: &House, address: &str, subject: &str) -> Answer {
    house.ask_from(Some(address), Method::GET, SYNC, &house.headers(subject, 100, KEY_ID)).await
}

fn guarded(new_users: NewUserSettings) -> Settings {
    Settings { new_users, ..settings() }
}

#[tokio::test]
async fn a_flood_from_one_address_is_held_and_nobody_else_feels_it() {
    for test in store::testing::engines(TABLES).await {
        let per_address = NewUserSettings { per_address_per_hour: 3, ..NewUserSettings::default() };
        let house = House::over(test, guarded(per_address)).await;
        let clock = house.test.as_ref().expect("kept").clock.clone();
        let mut taken = 0;
        for n in 0..20 {
            let answer = come(&house, "192.0.2.1", &format!("flood{n}")).await;
            taken += usize::from(answer.status == StatusCode::OK);
            if answer.status != StatusCode::OK {
                assert_eq!(answer.refusal(), "429 error | internal |  | Too many new users");
                assert_eq!(answer.header("retry-after"), "1200");
            }
        }
        assert_eq!(taken, 3);
        assert_eq!(house.json_of("/nodes").await[0]["current_load"], 3, "the node is not filled");
        // Whoever was here before comes from wherever, with new keys too, and others come as ever.
        let again = come(&house, "192.0.2.1", "flood0").await.uid();
        let reset = house.headers("flood0", 3000, "2000-uw");
        let reset = house.ask_from(Some("192.0.2.1"), Method::GET, SYNC, &reset).await.uid();
        assert_ne!(again, reset);
        come(&house, "192.0.2.2", "honest").await.uid();
        clock.advance(Duration::from_mins(20));
        come(&house, "192.0.2.1", "flood19").await.uid();
        assert_eq!(come(&house, "192.0.2.1", "flood18").await.status, StatusCode::TOO_MANY_REQUESTS);
    }
}

#[tokio::test]
async fn who_was_unassigned_is_no_new_user() {
    let one = NewUserSettings { per_minute: 1, ..NewUserSettings::default() };
    let house = House::new(guarded(one)).await;
    house.exchange("user", 100, KEY_ID).await.uid();
    admin::ask(&house, Method::POST, "/nodes/1/unassign", &Value::Null).await;
    house.exchange("user", 100, KEY_ID).await.uid();
    let held = house.exchange("other", 100, KEY_ID).await;
    assert_eq!(held.refusal(), "503 error | internal |  | Too many new users");
    assert_eq!(held.header("retry-after"), "60");
}

#[tokio::test]
async fn who_is_allowed_by_name_is_taken_when_nobody_else_is_and_is_never_held() {
    let allowed = vec![format!("one@{DOMAIN}"), "two".to_owned(), "three@elsewhere.example".to_owned()];
    let new_users = NewUserSettings { allowed, per_minute: 1, ..NewUserSettings::default() };
    let house = House::new(Settings { allow_new_users: false, ..guarded(new_users.clone()) }).await;
    house.exchange("one", 100, KEY_ID).await.uid();
    house.exchange("two", 100, KEY_ID).await.uid();
    for stranger in ["three", "four"] {
        let refused = house.exchange(stranger, 100, KEY_ID).await.refusal();
        assert_eq!(refused, "403 new-users-disabled | body |  | New users are not allowed");
    }
    let house = House::new(guarded(new_users)).await;
    house.exchange("four", 100, KEY_ID).await.uid();
    house.exchange("one", 100, KEY_ID).await.uid();
    house.exchange("two", 100, KEY_ID).await.uid();
    assert_eq!(house.exchange("five", 100, KEY_ID).await.status, StatusCode::SERVICE_UNAVAILABLE);
}
