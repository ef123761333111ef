//! Upstream sessions kept by the built binary: refreshed, handed out, carried over a kill, and ended by a password change.

use crate::http::{self, Answer};
use crate::world::{PATIENCE, World};
use serde_json::{Value, json};
use standins::{LoginClient, LoginTokens, Rotation, SecurityEvent};
use std::time::Duration;
use testkit::wait_until;

const SETTINGS: [(&str, &str); 7] = [
    ("IDP__0__LOGIN__CLIENT_ID", "web"),
    ("IDP__0__LOGIN__CLIENT_SECRET", "s3cret"),
    ("SESSIONS__COOL_OFF_SECONDS", "1"),
    ("SESSIONS__GRACE_SECONDS", "1"),
    // A kill may fall between a request and its commit.
    ("SESSIONS__IDPS__0__ID", "fxa"),
    ("SESSIONS__IDPS__0__ROTATION", "always"),
    ("SESSIONS__IDPS__0__REUSE_GRACE_SECONDS", "60"),
];

struct Service<'a> {
    world: &'a World,
    token: String,
}

impl<'a> Service<'a> {
    fn of(world: &'a World) -> Self {
        let made = world.house.run(&["--json", "token", "create", "web", "--listener", "service"]).json();
        Self { world, token: made["token"].as_str().expect("a token").to_owned() }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
        http::ask(self.world.node.at("service"), method, path, &headers, &body.to_string())
            .expect("an answer")
    }

    fn keeps(&self, subject: &str, tokens: &LoginTokens) -> String {
        let body = json!({
            "idp": "fxa", "subject": subject, "sid": tokens.sid,
            "tokens": {
                "access_token": tokens.access_token, "refresh_token": tokens.refresh_token,
                "expires_in": tokens.expires_in,
            },
        });
        let made = self.ask("POST", "/sessions", &body);
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().expect("an id").to_owned()
    }

    fn generation(&self, id: &str) -> i64 {
        let shown = self.ask("GET", &format!("/sessions/{id}"), &Value::Null).json();
        shown["grant"]["generation"].as_i64().unwrap_or(-1)
    }

    fn access_token(&self, id: &str) -> Answer {
        self.ask("POST", &format!("/sessions/{id}/access-token"), &json!({}))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_refreshed_survives_a_kill_and_ends_with_the_password() {
    let mut world = World::new(&SETTINGS).await;
    let subject = "c".repeat(32);
    world.idp.sign_up(&subject);
    let logins = world.idp.logins();
    logins.register(LoginClient::new("web", "s3cret"));
    logins.rotate(Rotation::Grace(Duration::from_mins(1)));
    logins.access_tokens_last(Duration::from_secs(4));
    let given = logins.log_in("web", &subject).expect("there is such an account");

    let service = Service::of(&world);
    let id = service.keeps(&subject, &given);
    wait_until("it is refreshed twice", PATIENCE, async || service.generation(&id) >= 2).await;
    let token = service.access_token(&id);
    assert_eq!(token.status, 200, "{token:?}");
    assert_ne!(token.json()["access_token"], given.access_token);
    let token = service.token;

    world.node.kill();
    world.node = world.house.serve(&[]);
    let service = Service { world: &world, token };
    let before = service.generation(&id);
    wait_until("it is refreshed again", PATIENCE, async || service.generation(&id) > before).await;
    let listed =
        world.house.run(&["--json", "sessions", "list", "--idp", "fxa", "--subject", &subject]).json();
    assert_eq!(listed[0]["id"], *id);
    assert!(!listed.to_string().contains(&given.refresh_token));

    let at = world.change_password(&subject).await;
    world.told_by_token(&subject, &SecurityEvent::PasswordChange(at));
    let ended = service.access_token(&id);
    assert_eq!(ended.status, 410, "at once: {ended:?}");
    let shown = world.house.run(&["sessions", "show", &id]).done();
    assert!(shown.contains("password_change"), "{shown}");
    assert_eq!(world.idp.logins().reuses_detected(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_end_sessions_and_rotate_the_keys_that_seal_them() {
    let world = World::new(&SETTINGS).await;
    let subject = "d".repeat(32);
    world.idp.sign_up(&subject);
    let logins = world.idp.logins();
    logins.register(LoginClient::new("web", "s3cret"));
    let given = logins.log_in("web", &subject).expect("there is such an account");
    let service = Service::of(&world);
    let id = service.keeps(&subject, &given);
    let run = |words: &[&str]| world.house.run(words);

    run(&["keys", "rotate", "--kind", "tokens"]).done();
    let keys = || run(&["--json", "keys", "list", "--kind", "tokens"]).json();
    wait_until("the old key is forgotten", PATIENCE, async || keys().as_array().map(Vec::len) == Some(1))
        .await;
    assert_eq!(service.access_token(&id).json()["access_token"], given.access_token);

    run(&["sessions", "refresh", &id]).done();
    wait_until("it is refreshed", PATIENCE, async || service.generation(&id) == 1).await;
    run(&["sessions", "end", "--idp", "fxa", "--subject", &subject]).done();
    assert_eq!(service.access_token(&id).status, 410);
    let refresh_token = &given.refresh_token;
    wait_until("its family is revoked", PATIENCE, async || !world.idp.logins().is_live(refresh_token)).await;
    assert!(run(&["sessions", "idps"]).done().contains("closed"));
    let acts = run(&["sessions", "acts", "--idp", "fxa", "--subject", &subject]).done();
    assert!(acts.contains("refresh") && acts.contains("end") && acts.contains("admin socket"), "{acts}");
    let complaint = run(&["sessions", "show", "nonsense"]).refused();
    assert!(complaint.contains("it is no id"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_read_anew_hold_for_sessions_that_are_there() {
    let world = World::new(&SETTINGS).await;
    let subject = "e".repeat(32);
    world.idp.sign_up(&subject);
    let logins = world.idp.logins();
    logins.register(LoginClient::new("web", "s3cret"));
    let given = logins.log_in("web", &subject).expect("there is such an account");
    let service = Service::of(&world);
    // Nobody says how long its token lives: it waits for half an hour.
    let tokens = json!({ "access_token": given.access_token, "refresh_token": given.refresh_token });
    let made =
        service.ask("POST", "/sessions", &json!({ "idp": "fxa", "subject": subject, "tokens": tokens }));
    let id = made.json()["id"].as_str().expect("an id").to_owned();

    let file = world.house.path("highwater.toml");
    let before = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, format!("sessions.unknown_lifetime_seconds = 1\n{before}")).expect("written");
    world.node.signal("HUP");
    world.node.says("the configuration was read anew");
    wait_until("it is refreshed", PATIENCE, async || service.generation(&id) >= 1).await;

    std::fs::write(&file, format!("sessions.cool_off_seconds = 0\nlisten = 7\n{before}")).expect("written");
    world.node.signal("HUP");
    world.node.says("cannot be taken over");
    assert_eq!(service.access_token(&id).status, 200);
}
