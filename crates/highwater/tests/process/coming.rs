//! Somebody accepts the terms and is then shown to an operator.

use crate::http;
use crate::world::World;
use serde_json::json;
use standins::SecurityEvent;
use std::io::{Read, Write};
use std::net::TcpListener;

const SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";

/// Tells everybody this profile, on threads of its own; where it is.
fn tells_profile(profile: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1/profile", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{profile}",
                profile.len()
            );
            // The head is small and comes at once; who goes away is not missed.
            let _ = stream.read(&mut [0; 16 * 1024]).and_then(|_| stream.write_all(answer.as_bytes()));
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_is_shown_with_address_and_language_beside_what_the_ledger_knows() {
    let subject = "c".repeat(32);
    let profile = json!({ "uid": subject, "email": "c@mail.example", "locale": "de-CH" }).to_string();
    let url = tells_profile(profile);
    let settings = [("BEARER__ACCOUNTS__SCOPE", SCOPE), ("BEARER__ACCOUNTS__PROFILE_URL", url.as_str())];
    let world = World::new(&settings).await;
    world.idp.sign_up(&subject);
    let bearer = format!("Bearer {}", world.sign_in(&subject).access_token);
    let show = || world.house.run(&["account", "show", "fxa", &subject]);
    show().refused();
    let comes = || {
        let headers = [("Authorization", bearer.as_str())];
        let public = world.node.at("public");
        http::ask(public, "POST", "/api/v1/terms-accepted-user/", &headers, "").expect("an answer").status
    };
    assert_eq!((comes(), comes()), (201, 202));
    let shown = show().done();
    assert!(shown.contains("c@mail.example") && shown.contains("de-CH"), "{shown}");

    let at = world.change_password(&subject).await;
    world.told_by_token(&subject, &SecurityEvent::PasswordChange(at));
    let both = world.house.run(&["--json", "account", "show", "fxa", &subject]).json();
    assert_eq!((&both["state"], &both["mark"]), (&json!("active"), &json!(at)), "{both}");
    assert_eq!(both["local"]["email"], "c@mail.example");
    assert_eq!(both["local"]["locale"], "de-CH");
}
