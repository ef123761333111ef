use crate::running::Running;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// An API that serves nobody before it has asked, as Caddy asks for the services behind it: one request to the check for
/// each of its own.
///
/// What the check refuses is refused with the check's status, challenge and body. A request that passes is answered with
/// whose it is and how that is known: `{"subject": …, "check": …}`. Nobody to ask is 503.
#[derive(Debug)]
pub struct StandInApi {
    running: Running,
}

/// Whom it asks, and as whom.
struct Door {
    check: Url,
    caller: String,
}

/// What the check said.
struct Said {
    status: StatusCode,
    head: String,
    body: String,
}

impl StandInApi {
    /// Starts it. `check` is where it asks, a plain `http` URL; `caller` is its own token there.
    pub async fn start(check: Url, caller: &str) -> Result<Self> {
        let door = Arc::new(Door { check, caller: caller.to_owned() });
        let running = Running::start(Router::new().fallback(answer).with_state(door)).await?;
        Ok(Self { running })
    }

    /// Its URL, with no slash at the end.
    pub fn url(&self) -> String {
        self.running.url()
    }
}

async fn answer(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (method, path) = (request.method().as_str(), request.uri().path());
    let Ok(said) = door.ask(method, path, request.headers()).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if said.status == StatusCode::OK {
        let [subject, check] = ["x-highwater-subject", "x-highwater-check"].map(|name| said.header(name));
        return Json(json!({ "subject": subject, "check": check })).into_response();
    }
    let challenge = said.header("www-authenticate").and_then(|it| it.parse().ok());
    let mut response = (said.status, said.body).into_response();
    challenge.and_then(|it| response.headers_mut().insert(header::WWW_AUTHENTICATE, it));
    response
}

impl Door {
    /// HTTP/1.0: the answer ends with the connection.
    async fn ask(&self, method: &str, path: &str, headers: &HeaderMap) -> Result<Said> {
        let (check, caller) = (&self.check, &self.caller);
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let authorization = authorization.map(|value| format!("Authorization: {value}\r\n"));
        let request = format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nX-Highwater-Caller: {caller}\r\nX-Forwarded-Method: {method}\r\n\
             X-Forwarded-Uri: {path}\r\n{}\r\n",
            check.path(),
            check.authority(),
            authorization.unwrap_or_default()
        );
        let place = (check.host_str().unwrap_or_default(), check.port_or_known_default().unwrap_or(80));
        let mut stream = TcpStream::connect(place).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Error::other("an answer has a status"))?;
        Ok(Said { status, head: head.to_owned(), body: body.to_owned() })
    }
}

impl Said {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}
