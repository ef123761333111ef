//! The operators' routes.

use super::*;

/// A node's path, as a client writes it.
pub(super) fn node(url: &str, beneath: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    format!("/nodes/{encoded}{beneath}")
}

pub(super) async fn ask(house: &House, method: Method, path: &str, body: &Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) })
        .expect("a request");
    answer(&house.admin, request).await
}

pub(super) async fn problem(house: &House, method: Method, path: &str, body: Value) -> String {
    let answer = ask(house, method, path, &body).await;
    assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.body);
    format!("{} {}", answer.status.as_u16(), answer.json()["detail"].as_str().expect("a text"))
}

#[tokio::test]
async fn a_node_is_added_changed_shown_and_listed() {
    for house in House::on_each_engine().await {
        let new = json!({ "url": "https://B.example/", "capacity": 95 });
        let added = ask(&house, Method::POST, "/nodes", &new).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
        let whole = json!({
            "id": 2, "url": "https://b.example", "available": 10, "current_load": 0, "capacity": 95,
            "downed": false, "backoff": false, "failed": false,
        });
        assert_eq!(added.json(), whole, "a tenth of it is open, rounded up");
        for flag in [true, false] {
            let change = json!({ "downed": flag, "backoff": flag, "capacity": 80 });
            let changed = ask(&house, Method::PATCH, &node("https://b.example/", ""), &change).await.json();
            assert_eq!(
                (&changed["downed"], &changed["backoff"], &changed["capacity"]),
                (&json!(flag), &json!(flag), &json!(80))
            );
        }
        for (verb, cordoned) in [("/cordon", true), ("/uncordon", false)] {
            let changed = ask(&house, Method::POST, &node("2", verb), &Value::Null).await.json();
            assert_eq!(changed["backoff"], cordoned);
        }
        house.exchange("user", 100, KEY_ID).await.uid();
        let shown = ask(&house, Method::GET, &node("https://node.example", ""), &Value::Null).await.json();
        assert_eq!(
            (&shown["live_rows"], &shown["replaced_rows"], &shown["current_load"], &shown["drain"]),
            (&json!(1), &json!(0), &json!(1), &Value::Null)
        );
        let listed = ask(&house, Method::GET, "/nodes", &Value::Null).await.json();
        let urls: Vec<_> =
            listed.as_array().expect("a list").iter().map(|node| node["url"].clone()).collect();
        assert_eq!(urls, ["https://b.example", "https://node.example"]);
    }
}

#[tokio::test]
async fn what_cannot_be_is_told_plainly() {
    let house = House::new(settings()).await;
    let add = async |body| problem(&house, Method::POST, "/nodes", body).await;
    assert_eq!(
        add(json!({ "url": "https://node.example/", "capacity": 1 })).await,
        "409 the node https://node.example is there already; update it instead"
    );
    assert_eq!(
        add(json!({ "url": "gopher://x", "capacity": 1 })).await,
        "400 a node is reached by http or https, not by \"gopher\""
    );
    assert_eq!(
        add(json!({ "url": format!("https://{}", "x".repeat(60)), "capacity": 1 })).await,
        "400 the node's URL is 68 characters long; at most 64 are kept"
    );
    assert_eq!(
        add(json!({ "url": "https://x", "capacity": -1 })).await,
        "400 capacity is -1; it must be from 0 to 2147483647"
    );
    assert_eq!(
        add(json!({ "url": "https://x", "capacity": 1, "current_load": 4_000_000_000_i64 })).await,
        "400 current_load is 4000000000; it must be from 0 to 2147483647"
    );
    let change = async |url, body| problem(&house, Method::PATCH, &node(url, ""), body).await;
    assert_eq!(
        change("https://stranger", json!({ "downed": true })).await,
        "404 there is no node https://stranger; `highwater node list` shows those there are"
    );
    assert_eq!(
        change("7", json!({ "downed": true })).await,
        "404 there is no node 7; `highwater node list` shows those there are"
    );
    assert_eq!(
        change("node.example", json!({ "downed": true })).await,
        "400 \"node.example\" is no URL: it begins with no scheme, as in https://"
    );
    assert_eq!(
        change("https://node.example", json!({})).await,
        "400 there is nothing to change; set available, current_load, capacity, downed or backoff"
    );
    assert!(change("https://node.example", json!({ "downd": true })).await.contains("unknown field `downd`"));
}

#[tokio::test]
async fn a_node_with_users_is_removed_only_by_force() {
    for house in House::on_each_engine().await {
        house.exchange("user", 100, KEY_ID).await.uid();
        let path = node("https://node.example", "");
        let refused = problem(&house, Method::DELETE, &path, Value::Null).await;
        assert!(refused.starts_with("409 1 users live on https://node.example;"), "{refused}");
        let left = ask(&house, Method::POST, &node("1", "/unassign"), &Value::Null).await.json();
        assert_eq!(left["unassigned"], 1);
        let refused = problem(&house, Method::DELETE, &path, Value::Null).await;
        assert!(refused.contains("1 users have left https://node.example, and their data"), "{refused}");
        house.exchange("user", 100, KEY_ID).await.uid();
        let removed = ask(&house, Method::DELETE, &format!("{path}?force=true"), &Value::Null).await;
        assert_eq!(removed.json()["unassigned"], 1, "{}", removed.body);
        assert_eq!(ask(&house, Method::GET, &path, &Value::Null).await.status, StatusCode::NOT_FOUND);
        assert_eq!(house.exchange("user", 100, KEY_ID).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_user_is_shown_allocated_moved_and_counted() {
    for house in House::on_each_engine().await {
        house.add_node("https://b.example", 10).await;
        let path = |verb: &str| format!("/users/user%40{DOMAIN}{verb}");
        let made =
            ask(&house, Method::POST, &path("/allocate"), &json!({ "node": "https://b.example/" })).await;
        assert_eq!((made.status, &made.json()["uid"]), (StatusCode::CREATED, &json!(1)), "{}", made.body);
        let again = ask(&house, Method::POST, &path("/allocate"), &json!({})).await;
        assert_eq!((again.status, &again.json()["changed"]), (StatusCode::OK, &json!(false)));
        let elsewhere = json!({ "node": "https://node.example" });
        let refused = problem(&house, Method::POST, &path("/allocate"), elsewhere.clone()).await;
        assert!(refused.contains("lives on https://b.example"), "{refused}");
        let moved = ask(&house, Method::POST, &path("/move"), &elsewhere).await.json();
        assert_eq!(
            (&moved["uid"], &moved["replaced_uid"], &moved["node"]),
            (&json!(2), &json!(1), &json!("https://node.example"))
        );
        let again = ask(&house, Method::POST, "/users/2/move", &elsewhere).await.json();
        assert_eq!((&again["changed"], &again["uid"]), (&json!(false), &json!(2)));
        let shown = ask(&house, Method::GET, "/users/1", &Value::Null).await.json();
        assert_eq!(shown["email"], format!("user@{DOMAIN}"));
        let uids: Vec<_> =
            shown["rows"].as_array().expect("rows").iter().map(|row| row["uid"].clone()).collect();
        assert_eq!(uids, [2, 1], "the newest first");
        let now = START.get();
        let count = async |query: &str| {
            ask(&house, Method::GET, &format!("/users/count{query}"), &Value::Null).await.json()["total_users"].clone()
        };
        assert_eq!(
            (count("").await, count(&format!("?until={now}")).await),
            (json!(0), json!(1)),
            "midnight was before"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_done_with_a_user_is_told_plainly() {
    let house = House::new(settings()).await;
    house.add_node("https://b.example", 10).await;
    house.exchange("user", 100, KEY_ID).await.uid();
    let user = format!("/users/user%40{DOMAIN}");
    let home = house.json_of(&user).await["rows"][0]["node"].clone();
    let (here, there) = if home == "https://b.example" { ("2", "1") } else { ("1", "2") };
    let send = async |node: &str| {
        problem(&house, Method::POST, &format!("{user}/move"), json!({ "node": node })).await
    };
    assert!(send("https://nowhere").await.starts_with("404 there is no node https://nowhere"));
    for (change, why) in [
        (json!({ "backoff": true }), "is cordoned"),
        (json!({ "backoff": false, "downed": true }), "is down"),
        (json!({ "downed": false, "capacity": 0 }), "is full"),
    ] {
        ask(&house, Method::PATCH, &node(there, ""), &change).await;
        let refused = send(there).await;
        assert!(refused.starts_with("409") && refused.contains(why), "{refused}");
    }
    let refused = problem(&house, Method::POST, &format!("{user}/move"), json!({})).await;
    assert_eq!(refused, "409 no other node has room; `highwater node list` shows how full they are");
    let forced = json!({ "node": there, "force": true });
    assert_eq!(ask(&house, Method::POST, &format!("{user}/move"), &forced).await.json()["changed"], true);
    ask(&house, Method::POST, &node(there, "/unassign"), &Value::Null).await;
    assert!(send(here).await.contains("lives nowhere"));
    let missing = problem(&house, Method::GET, "/users/stranger%40x", Value::Null).await;
    assert_eq!(missing, "404 there is no user stranger@x");
    let unnamed = problem(&house, Method::GET, "/users/nobody", Value::Null).await;
    assert!(unnamed.starts_with("400 a user is named as the rows name it"), "{unnamed}");
    let by_uid = problem(&house, Method::POST, "/users/7/allocate", json!({})).await;
    assert!(by_uid.contains("subject@domain"), "{by_uid}");
}

#[tokio::test]
async fn a_failed_node_is_reported_and_undone() {
    for house in House::on_each_engine().await {
        house.add_node("https://b.example", 10).await;
        house.exchange("user", 100, KEY_ID).await.uid();
        let home = house.json_of(&format!("/users/user%40{DOMAIN}")).await["rows"][0]["node_id"].to_string();
        let failure = node(&home, "/failure");
        let never = problem(&house, Method::GET, &failure, Value::Null).await;
        assert!(never.ends_with("has never failed"), "{never}");
        for (method, status) in [
            (Method::PUT, 200),
            (Method::PUT, 409),
            (Method::DELETE, 200),
            (Method::DELETE, 409),
            (Method::PUT, 200),
        ] {
            let answer = ask(&house, method.clone(), &failure, &Value::Null).await;
            assert_eq!(answer.status.as_u16(), status, "{method}: {}", answer.body);
        }
        house.exchange("user", 100, KEY_ID).await.uid();
        let report = house.json_of(&failure).await;
        assert_eq!(
            (&report["moved"], &report["left"], &report["who"][0]["new_uid"]),
            (&json!(1), &json!(0), &json!(2))
        );
        let refused = problem(&house, Method::DELETE, &failure, Value::Null).await;
        assert!(refused.contains("1 users have left it since"), "{refused}");
    }
}

#[tokio::test]
async fn a_node_that_others_wrote_in_another_form_can_be_changed_too() {
    use store::{Operation, Sql, StoreError, Tx};
    struct Foreign;
    impl Operation for Foreign {
        const NAME: &'static str = "test.foreign";
        type Output = ();
        async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
            static SLASH: Sql =
                Sql::both("insert into nodes values (9, 1, 'https://slash.example/', 1, 0, 5, 0, 0)");
            tx.execute(&SLASH, &[]).await.map(drop)
        }
    }
    for house in House::on_each_engine().await {
        house.store.run(Foreign).await.expect("the store answers");
        for written in ["https://slash.example/", "https://slash.example", "9"] {
            let change = json!({ "backoff": true });
            assert_eq!(ask(&house, Method::PATCH, &node(written, ""), &change).await.json()["backoff"], true);
        }
    }
}
