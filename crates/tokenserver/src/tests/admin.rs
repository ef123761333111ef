use super::*;

async fn ask(house: &House, method: Method, body: &Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri("/nodes")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request");
    answer(&house.admin, request).await
}

async fn problem(house: &House, method: Method, body: Value) -> String {
    let answer = ask(house, method, &body).await;
    assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.body);
    format!("{} {}", answer.status.as_u16(), answer.json()["detail"].as_str().expect("a text"))
}

#[tokio::test]
async fn a_node_is_added_changed_and_listed() {
    for house in House::on_each_engine().await {
        let added = ask(&house, Method::POST, &json!({ "url": "https://B.example/", "capacity": 95 })).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
        let node = json!({
            "id": 2, "url": "https://b.example", "available": 10, "current_load": 0, "capacity": 95,
            "downed": false, "backoff": false,
        });
        assert_eq!(added.json(), node, "a tenth of it is open, rounded up");
        for flag in [true, false] {
            let change =
                json!({ "url": "https://b.example", "downed": flag, "backoff": flag, "capacity": 80 });
            let changed = ask(&house, Method::PATCH, &change).await.json();
            assert_eq!(
                (&changed["downed"], &changed["backoff"], &changed["capacity"]),
                (&json!(flag), &json!(flag), &json!(80))
            );
        }
        let listed = ask(&house, Method::GET, &Value::Null).await.json();
        let urls: Vec<_> =
            listed.as_array().expect("a list").iter().map(|node| node["url"].clone()).collect();
        assert_eq!(urls, ["https://b.example", "https://node.example"]);
    }
}

#[tokio::test]
async fn what_cannot_be_is_told_plainly() {
    let house = House::new(settings()).await;
    let add = async |body| problem(&house, Method::POST, body).await;
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
    let change = async |body| problem(&house, Method::PATCH, body).await;
    assert_eq!(
        change(json!({ "url": "https://stranger", "downed": true })).await,
        "404 there is no node https://stranger; `highwater node list` shows them"
    );
    assert_eq!(
        change(json!({ "url": "https://node.example" })).await,
        "400 there is nothing to change; set available, current_load, capacity, downed or backoff"
    );
    assert!(
        change(json!({ "url": "https://node.example", "downd": true }))
            .await
            .contains("unknown field `downd`")
    );
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
        let change = json!({ "url": "https://slash.example/", "backoff": true });
        assert_eq!(ask(&house, Method::PATCH, &change).await.json()["backoff"], true);
    }
}
