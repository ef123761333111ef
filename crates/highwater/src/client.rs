//! The one way commands do anything: a request to the admin API.
//!
//! While a process owns the SQLite file, or where an admin socket is configured, the request goes through that
//! process's unix socket. Otherwise this process opens the store and asks the same routes itself. So a command, a curl
//! line and the console can never differ in what they do.

use crate::house::House;
use crate::settings::Settings;
use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use ledger::Problem;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use store::{Engine, StoreError};
use tokio::net::UnixStream;
use tower::ServiceExt;

/// The admin API, wherever it runs.
pub(crate) enum Admin {
    /// In the process behind this socket.
    There(PathBuf),
    /// In this one. The routes hold the store open.
    Here(Router),
    /// In this one, and in no other: the file is its own.
    Alone(Router),
}

/// A request that was refused, with the reason it was given.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .0.title, .0.detail)]
pub(crate) struct Refused(pub(crate) Problem);

impl Admin {
    /// Finds the process that owns the store, or opens the store here.
    pub(crate) async fn reach(settings: &Settings) -> Result<Self> {
        let socket = settings.admin_socket();
        if let Some(socket) = &socket
            && UnixStream::connect(socket).await.is_ok()
        {
            return Ok(Self::There(socket.clone()));
        }
        match House::open(settings, None) {
            Ok(mut house) => {
                house.bring_up_to_date().await?;
                let alone = house.store.engine() == Engine::Sqlite;
                Ok(if alone { Self::Alone(house.admin_api()) } else { Self::Here(house.admin_api()) })
            }
            Err(error) => Err(explained(error, socket.as_deref())),
        }
    }

    /// Asks with a method and a path, and a body in JSON where there is one.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Value> {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "highwater");
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(serde_json::to_vec(body)?)),
            None => request.body(Body::empty()),
        };
        self.send(request?).await
    }

    /// Whether no process serves: then nothing happens but what this one does.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Self::Alone(_))
    }

    /// What there is at a path.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, None::<&()>).await
    }

    /// Sends a request; an answer that is no success is a [`Refused`].
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Value> {
        let (status, body) = match self {
            Self::Here(routes) | Self::Alone(routes) => {
                taken_apart(routes.clone().oneshot(request).await?).await?
            }
            Self::There(socket) => send_there(socket, request).await?,
        };
        read(status, &body)
    }
}

/// The admin API as far as it is about one service of the Tokenserver.
pub(crate) struct OfService<'a> {
    pub(crate) admin: &'a Admin,
    /// The service's name; the only one's without.
    pub(crate) service: Option<String>,
}

impl OfService<'_> {
    /// As [`Admin::ask`].
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Value> {
        self.admin.ask(method, &self.path(path), body).await
    }

    /// As [`Admin::get`].
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.admin.get(&self.path(path)).await
    }

    /// As [`Admin::is_alone`].
    pub(crate) fn is_alone(&self) -> bool {
        self.admin.is_alone()
    }

    fn path(&self, path: &str) -> String {
        let Some(service) = &self.service else { return path.to_owned() };
        let named =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("service", service).finish();
        format!("{path}{}{named}", if path.contains('?') { '&' } else { '?' })
    }
}

/// A path of segments that may hold anything.
pub(crate) fn path(segments: &[&str]) -> String {
    let mut url = url::Url::parse("http://highwater/").expect("a URL");
    url.path_segments_mut().expect("it has a path").clear().extend(segments);
    url.path().to_owned()
}

fn explained(error: anyhow::Error, socket: Option<&Path>) -> anyhow::Error {
    match (error.downcast_ref::<StoreError>(), socket) {
        (Some(StoreError::Owned { .. }), Some(socket)) => error.context(format!(
            "nothing answers on {}; is the other process starting, stopping or importing?",
            socket.display()
        )),
        _ => error,
    }
}

async fn send_there(socket: &Path, request: Request<Body>) -> Result<(StatusCode, Vec<u8>)> {
    let stream = UnixStream::connect(socket).await;
    let stream = stream.with_context(|| format!("nothing answers on {}", socket.display()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move { taken_apart(sender.send_request(request).await?).await };
    // The connection ends when its one exchange has.
    let (answer, _) = tokio::join!(exchange, connection);
    answer.context("the process that owns the store broke off")
}

async fn taken_apart<B>(answer: axum::http::Response<B>) -> Result<(StatusCode, Vec<u8>)>
where
    B: axum::body::HttpBody<Data = axum::body::Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let status = answer.status();
    Ok((status, answer.into_body().collect().await?.to_bytes().to_vec()))
}

fn read(status: StatusCode, body: &[u8]) -> Result<Value> {
    if status.is_success() {
        return if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(body)?) };
    }
    let problem = serde_json::from_slice(body).unwrap_or_else(|_| {
        // Whoever answered for a path that nobody serves has no more to say.
        let title = status.canonical_reason().unwrap_or("error").to_lowercase();
        Problem::new(status, &title, String::from_utf8_lossy(body))
    });
    Err(Refused(problem).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_beside_what_else_is_asked() {
        let of = OfService { admin: &Admin::Here(Router::new()), service: Some("a&b".to_owned()) };
        assert_eq!(of.path("/nodes"), "/nodes?service=a%26b");
        assert_eq!(of.path("/nodes/1?force=true"), "/nodes/1?force=true&service=a%26b");
    }

    #[test]
    fn a_segment_may_hold_anything() {
        assert_eq!(path(&["accounts", "fxa", "a/b c?d#e%f@g"]), "/accounts/fxa/a%2Fb%20c%3Fd%23e%25f@g");
    }
}
