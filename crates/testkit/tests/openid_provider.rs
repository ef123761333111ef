//! The OpenID provider that others wrote, as it is started for tests.

use std::time::Duration;
use testkit::{OpenIdClient, OpenIdProvider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// `app:secret`
const BASIC: &str = "Basic YXBwOnNlY3JldA==";

fn app() -> OpenIdClient {
    OpenIdClient::basic("app", "secret")
}

/// The answer to a form, whole.
async fn said(url: &str, form: &str) -> String {
    let (host, path) =
        url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("an http URL with a path");
    let request = format!(
        "POST /{path} HTTP/1.0\r\nhost: {host}\r\nauthorization: {BASIC}\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    let mut stream = TcpStream::connect(host).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}

async fn is_active(provider: &OpenIdProvider, token: &str) -> bool {
    let said = said(&provider.introspection_endpoint(), &format!("token={token}")).await;
    assert!(said.contains("\"active\":"), "{said}");
    said.contains("\"active\":true")
}

/// A member of a JSON answer that is a text.
fn member(answer: &str, name: &str) -> String {
    let after = answer.split_once(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("{answer}")).1;
    after.split('"').next().expect("a text ends").to_owned()
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_grant() {
    let provider = OpenIdProvider::start([app()]);
    let login = provider.sign_in("app", "ada", "openid read").await;
    assert!(is_active(&provider, &login.access_token).await);
    let refresh = format!("grant_type=refresh_token&refresh_token={}", login.refresh_token);
    let next = said(&provider.token_endpoint(), &refresh).await;
    assert_ne!(member(&next, "refresh_token"), login.refresh_token);
    let next = member(&next, "access_token");
    assert!(is_active(&provider, &next).await);
    let again = said(&provider.token_endpoint(), &refresh).await;
    assert_eq!(member(&again, "error"), "invalid_grant");
    assert!(!is_active(&provider, &next).await && !is_active(&provider, &login.access_token).await);
    assert_eq!(provider.asked("/token").await, 3);
}

#[tokio::test]
async fn tokens_end_when_they_are_revoked_and_when_their_account_ends_its_grants() {
    let options = OpenIdProvider::options().clients([app()]).access_tokens_last(Duration::from_mins(10));
    let provider = options.start();
    let sign_in = async || provider.sign_in("app", "ada", "openid").await;
    let (first, second) = (sign_in().await, sign_in().await);
    assert_eq!(first.expires_in, 600);
    said(&provider.revocation_endpoint(), &format!("token={}", first.access_token)).await;
    assert!(
        !is_active(&provider, &first.access_token).await && is_active(&provider, &second.access_token).await
    );
    provider.end_grants("eve").await;
    assert!(is_active(&provider, &second.access_token).await);
    provider.end_grants("ada").await;
    assert!(!is_active(&provider, &second.access_token).await);
}

#[tokio::test]
async fn a_token_for_a_resource_is_a_jwt_and_clients_of_every_kind_get_one() {
    let provider =
        OpenIdProvider::start([app(), OpenIdClient::post("form", "s&=cret"), OpenIdClient::public("phone")]);
    for client in ["app", "form", "phone"] {
        let login = provider.sign_in_for(client, "ada", "read", "https://api.example").await;
        assert_eq!(login.access_token.split('.').count(), 3, "{login:?}");
        assert_eq!((login.id_token, login.sid), (None, None));
    }
}

#[tokio::test]
async fn a_client_is_told_of_a_logout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback has a free port");
    let url = format!("http://{}/logout", listener.local_addr().expect("it listens"));
    let provider = OpenIdProvider::start([app().told_of_logouts_at(&url)]);
    let login = provider.sign_in("app", "ada", "openid").await;
    assert!(login.sid.is_some());
    let told = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut heard = String::new();
        while !heard.contains("logout_token=") {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).await.expect("a request");
            heard.push_str(str::from_utf8(&part[..read]).expect("ASCII"));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("it reads");
        heard
    };
    let (heard, ()) = tokio::join!(told, provider.sign_out(&login));
    assert!(heard.starts_with("POST /logout HTTP/1.1"), "{heard}");
    assert!(!is_active(&provider, &login.access_token).await, "{}", provider.log());
}
