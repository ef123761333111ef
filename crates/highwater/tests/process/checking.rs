//! Bearer tokens checked for a proxy by the built binary, and refused as soon as their account has changed. (The
//! identity provider answers on threads of its own.)

use crate::http::{self, Answer};
use crate::world::{PATIENCE, World};
use serde_json::{Value, json};
use standins::SecurityEvent;
use testkit::wait_until;

const SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";
pub(crate) const ROUTE: [(&str, &str); 2] =
    [("BEARER__POLICY__ROUTES__0__PATH", "/api/{*rest}"), ("BEARER__POLICY__ROUTES__0__SCOPES__0", SCOPE)];

/// A token of the proxy itself.
pub(crate) fn caller(world: &World, scopes: &[&str]) -> String {
    let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
    let words: Vec<&str> =
        ["--json", "token", "create", "proxy", "--listener", "service"].into_iter().chain(scopes).collect();
    let made = world.house.run(&words).json();
    made["token"].as_str().expect("a token").to_owned()
}

/// What nginx would ask of this request.
fn checked(world: &World, caller: &str, token: &str, uri: &str) -> Answer {
    checked_at(world.node.at("service"), caller, token, uri)
}

/// The same, of the node whose service listener is there.
pub(crate) fn checked_at(address: &str, caller: &str, token: &str, uri: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("X-Highwater-Caller", caller),
        ("Authorization", &*bearer),
        ("X-Original-Method", "GET"),
        ("X-Original-URI", uri),
    ];
    http::get(address, "/verify/nginx", &headers).expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_until_its_account_changes() {
    let world = World::new(&ROUTE).await;
    let subject = "a".repeat(32);
    world.idp.sign_up(&subject);
    let old = world.sign_in(&subject);
    let caller = caller(&world, &["verify"]);
    let served = checked(&world, &caller, &old.access_token, "/api/masks?x=1");
    assert_eq!((served.status, served.header("x-highwater-subject")), (200, Some(&*subject)), "{served:?}");

    let at = world.change_password(&subject).await;
    world.told_by_token(&subject, &SecurityEvent::PasswordChange(at));
    // The event is committed; what is remembered of the account ends as soon as the feed has told it.
    let again = || checked(&world, &caller, &old.access_token, "/api/masks");
    wait_until("the old token is refused", PATIENCE, async || again().status == 401).await;
    let refused = again();
    assert_eq!(refused.status, 401, "and stays refused: {refused:?}");
    assert!(refused.header("www-authenticate").is_some_and(|it| it.contains("invalid_token")), "{refused:?}");
    let fresh = world.sign_in(&subject);
    assert_eq!(checked(&world, &caller, &fresh.access_token, "/api/masks").status, 200);

    let health = || http::get(world.node.at("admin"), "/health", &[]).expect("an answer").json();
    wait_until("the feed is followed", PATIENCE, async || health()["checks"]["bearer.feed"] != Value::Null)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_caller_with_the_scope_learns_nothing() {
    let world = World::new(&ROUTE).await;
    let subject = "b".repeat(32);
    world.idp.sign_up(&subject);
    let token = world.sign_in(&subject).access_token;
    let watcher = caller(&world, &["sessions:watch"]);
    assert_eq!(checked(&world, "hw_nobody", &token, "/api/x").status, 401);
    assert_eq!(checked(&world, &watcher, &token, "/api/x").status, 403);
    let checker = caller(&world, &["verify"]);
    assert_eq!(checked(&world, &checker, &token, "/elsewhere").status, 403, "no route is for it");
    let introspect = |caller: &str| {
        let bearer = format!("Bearer {caller}");
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/x-www-form-urlencoded")];
        let body = format!("token={token}");
        http::ask(world.node.at("service"), "POST", "/introspect", &headers, &body).expect("an answer")
    };
    assert_eq!(introspect(&checker).status, 403);
    let known = introspect(&caller(&world, &["introspect"]));
    assert_eq!((known.status, &known.json()["active"]), (200, &json!(true)), "{known:?}");
}
