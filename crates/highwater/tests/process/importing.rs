//! A database of the field on MariaDB, brought into the house by the binary; and its users, served as before.

use crate::field::Field;
use crate::house::House;
use crate::http;
use crate::world::exchange;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use standins::{SignIn, StandInIdp};
use std::sync::Arc;
use store::Clock;
use testkit::{free_port, postgres_server};

async fn idp() -> StandInIdp {
    let clock = Clock::system();
    StandInIdp::start(Arc::new(move || clock.now())).await.expect("it starts")
}

/// On both engines; none has seen its database yet.
async fn houses(idp: &StandInIdp) -> [House; 2] {
    let url = idp.url();
    let house = || House::new().with("IDP__0__ISSUERS", &url).with("IDP__0__SERVER_URL", &url);
    let postgres = house().with("STORE__URL", &postgres_server().fresh_database().await);
    let complaint = postgres.run(&["import", "mysql://root@127.0.0.1:1/x"]).refused();
    assert!(complaint.contains("run `highwater migrate`"), "{complaint}");
    postgres.run(&["migrate"]).done();
    [house(), postgres]
}

fn signed_up(idp: &StandInIdp, name: char) -> SignIn {
    let subject = name.to_string().repeat(32);
    idp.sign_up(&subject);
    idp.sign_in(&subject).expect("an account")
}

/// The row of a user who has come with these credentials.
fn row(uid: i64, name: char, sign_in: &SignIn, nodeid: i64) -> String {
    let (changed_at, state) = sign_in.key_id.split_once('-').expect("a key id");
    let state = hex::encode(URL_SAFE_NO_PAD.decode(state).expect("base64url"));
    let email = format!("{}@api.accounts.firefox.com", name.to_string().repeat(32));
    let changed_at: i64 = changed_at.parse().expect("a number");
    format!("({uid}, 2, '{email}', 1, '{state}', 1000, null, {nodeid}, {changed_at})")
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_the_field_come_with_their_numbers_and_nodes_and_are_served_under_them() {
    let idp = idp().await;
    let devices = ['a', 'b', 'c'].map(|name| (name, signed_up(&idp, name)));
    let places = [(41, 800), (1_000_000_007, 801), (77, 800)];
    let rows: Vec<String> = devices
        .iter()
        .zip(places)
        .map(|((name, device), (uid, node))| row(uid, *name, device, node))
        .collect();
    let field = Field::new(&format!(
        "insert into nodes values (800, 2, 'https://Sync-1.example/', 50, 1, 100, 0, 0),
            (801, 2, 'https://sync-2.example', 50, 1, 100, 0, 0);
        insert into users values {}, (40, 2, 'old', 1, 'ff', 900, 1000, 800, 1)",
        rows.join(", ")
    ));
    let stranger = signed_up(&idp, 'd');
    for house in houses(&idp).await {
        let ran = house.run(&["import", &field.url]);
        for line in ["copying nodes: 2 of 2", "copying users: 4 of 4", "comparing users: 4 of 4"] {
            assert!(ran.complaint().lines().any(|it| it == line), "{}", ran.complaint());
        }
        let said = ran.done();
        assert!(
            said.contains("every row is the same") && said.contains("Next: highwater node recount"),
            "{said}"
        );
        let counted = house.run(&["--json", "node", "recount"]).json();
        assert_eq!((&counted[0]["off_by"], &counted[1]["off_by"]), (&json!(-1), &json!(0)), "{counted}");
        let node = house.serve(&[]);
        for ((_, device), (uid, nodeid)) in devices.iter().zip(places) {
            let answer = exchange(node.at("public"), device);
            let url = if nodeid == 800 { "https://Sync-1.example/" } else { "https://sync-2.example" };
            let said = answer.json();
            assert_eq!((answer.status, &said["uid"]), (200, &json!(uid)), "{said}");
            assert_eq!(said["api_endpoint"], format!("{url}/1.5/{uid}"));
        }
        assert_eq!(exchange(node.at("public"), &stranger).json()["uid"], 1_000_000_008, "the next number");
        drop(node);
        let again = house.run(&["--json", "import", &field.url]).json();
        assert_eq!((&again["outcome"], &again["copied"]), (&json!("imported_before"), &json!(0)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_served_while_an_import_is_under_way() {
    let idp = idp().await;
    let device = signed_up(&idp, 'a');
    let rows = row(41, 'a', &device, 800);
    let field = Field::new(&format!(
        "insert into nodes values (800, 2, 'https://sync-1.example', 50, 1, 100, 0, 0);
        insert into users values {rows}, (42, 2, concat('x', char(0)), 1, '', 1, null, 800, null)"
    ));
    for house in houses(&idp).await {
        let complaint = house.run(&["import", &field.url]).refused();
        assert!(complaint.contains("users, uid 42: email has a NUL character"), "{complaint}");
        let node = house.serve(&[]);
        let answer = exchange(node.at("public"), &device);
        assert!(
            answer.status >= 500,
            "not assigned anew, and not told that anything is wrong with it: {answer:?}"
        );
        let ready = http::get(node.at("admin"), "/health/ready", &[]).expect("an answer");
        assert_eq!(ready.status, 503, "{ready:?}");
        drop(node);
        field.run("delete from users where uid = 42");
        let ahead = house.run(&["import", &field.url, "--ahead"]).done();
        assert!(ahead.contains("Nobody is served yet, and it is not done"), "{ahead}");
        let status = house.run(&["--json", "import", "--status"]).json();
        assert_eq!(
            (&status["state"], &status["tables"][2]["rows"]),
            (&json!("under_way"), &json!(1)),
            "{status}"
        );
        for line in
            ["node add https://b.example --capacity 5", "user allocate u@x", "node unassign 800", "purge"]
        {
            let held = house.run(&line.split(' ').collect::<Vec<_>>()).refused();
            assert!(held.contains("nothing is changed until that has ended"), "`{line}` said: {held}");
        }
        assert!(house.run(&["import", "--status"]).done().contains("has not ended; nobody is served"));
        house.run(&["import", &field.url]).done();
        let status = house.run(&["import", "--status"]).done();
        assert!(status.contains("was imported; both sides were the same on"), "{status}");
        let node = house.serve(&[]);
        assert_eq!(exchange(node.at("public"), &device).json()["uid"], 41);
        field.run("insert into users values (42, 2, concat('x', char(0)), 1, '', 1, null, 800, null)");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_signs_stays_its_services_when_numbers_come_with_an_import() {
    let idp = idp().await;
    let field = Field::new("insert into services values (1, 'notes-2', null)");
    for house in houses(&idp).await {
        let services = [("APPLICATION", "sync", "notes"), ("VERSION", "1.5", "2"), ("SECRETS", "a,b", "a,b")];
        let house = services.iter().fold(house, |house, (name, sync, notes)| {
            house
                .with(&format!("TOKENSERVER__SERVICES__0__{name}"), sync)
                .with(&format!("TOKENSERVER__SERVICES__1__{name}"), notes)
        });
        house.run(&["keys", "rotate", "--kind", "nodes", "--service", "sync-1.5"]).done();
        house.run(&["import", &field.url]).done();
        let secrets = house.run(&["--json", "keys", "list", "--kind", "nodes"]).json();
        let states: Vec<_> = secrets.as_array().expect("a list").iter().map(|it| &it["state"]).collect();
        assert_eq!(states, ["retiring", "signs", "signs", "next"], "{secrets}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_says_why_and_never_shows_a_password() {
    let idp = idp().await;
    let [house, _] = houses(&idp).await;
    let field =
        Field::new("insert into users values (5, 2, concat('x', char(0)), 1, '', 1, null, 800, null)");
    let (name, place, nobody) = (field.database(), field.place(), free_port());
    field.run(&format!(
        "create or replace user {name}@'%' identified by 'hunter2'; grant select on {name}.* to {name}@'%'"
    ));
    std::fs::write(house.path("wrong"), "hunter3\n").expect("the folder is ours");
    std::fs::write(house.path("right"), "hunter2\n").expect("the folder is ours");
    for (line, why) in [
        (format!("import mysql://me:hunter2@127.0.0.1:{nobody}/x"), "cannot be reached"),
        ("import postgres://me:hunter2@db/x".to_owned(), "begins with postgres://"),
        ("import mysql://me:hunter2@db".to_owned(), "names no database"),
        (format!("import mysql://{name}:hunter3@{place}"), "lets nobody in"),
        (format!("import mysql://{name}:hunter2@{place} --password-file wrong"), "lets nobody in"),
        (format!("import mysql://{name}@{place} --password-file missing"), "missing cannot be read"),
        (format!("import mysql://{name}:hunter2@{place}_2"), "lets nobody in"),
        (format!("import mysql://root@{place}_2"), "there is no such database"),
        (format!("import mysql://{name}@{place} --password-file right --tls"), "cannot be reached"),
        (
            format!("import mysql://{name}@{place} --password-file right --dry-run"),
            "1 rows could not be held",
        ),
    ] {
        let ran = house.run(&line.split(' ').collect::<Vec<_>>());
        assert!(!format!("{}{}", ran.out(), ran.complaint()).contains("hunter"), "{}", ran.complaint());
        let complaint = ran.refused();
        assert!(complaint.contains(why), "`{line}` said: {complaint}");
    }
    let mut command = house.command(&["import", &format!("mysql://{name}@{place}"), "--dry-run", "--json"]);
    let output = command.env("HIGHWATER_IMPORT_PASSWORD", "hunter2").output().expect("it runs");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&said["refused"], &said["refusals"][0]["id"]), (&json!(1), &json!(5)), "{said}");

    house.run(&["node", "add", "https://a.example", "--capacity", "5"]).done();
    assert!(house.run(&["import", &field.url]).refused().contains("0 rows of users and 1 nodes"));
    let _node = house.serve(&[]);
    assert!(house.run(&["import", &field.url]).refused().contains("stop what serves here first"));
}
