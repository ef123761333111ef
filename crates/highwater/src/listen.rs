//! The listeners: sockets, connections, and what every request meets before its route.
//!
//! Three TCP listeners (public, service, admin) and the admin's unix socket run the same loop. It bounds what a
//! stranger can hold on to: the number of connections, the size of headers and bodies, the time the headers take. At
//! the soft stop it takes no new connection, lets each finish the request it is in, and closes it.

mod client;
mod cors;
mod limits;
mod opening;
mod socket;
mod tls;

pub(crate) use client::{Network, behind};
pub(crate) use cors::{Cors, CorsSettings};
pub(crate) use limits::{ConnectionLimits, LimitSettings, bound_requests};
pub(crate) use socket::Socket;
pub(crate) use tls::{ClientCertificate, Tls, TlsSettings};

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use opening::Opening;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use work::Lifecycle;

/// How long to wait when no connection can be taken (no file descriptor left): others must end first.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A socket and what answers on it.
pub(crate) struct Listener {
    /// Its name, in logs and metrics.
    pub(crate) name: &'static str,
    /// The bound socket.
    pub(crate) socket: Socket,
    /// The routes.
    pub(crate) routes: Router,
    /// What one connection may do.
    pub(crate) limits: ConnectionLimits,
    /// How it speaks TLS, where it does.
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Takes connections until the soft stop.
    pub(crate) async fn run(self, life: Lifecycle) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let builder = Arc::new(builder(&self.limits));
        let open = metrics::gauge!("listener.connections", "listener" => self.name);
        let stopping = life.stopping();
        while let Some((io, place)) = stopping.run_until_cancelled(self.accept(&places)).await {
            let connection = Connection {
                builder: builder.clone(),
                routes: self.routes.clone(),
                patience: self.limits.header_timeout,
                stopping: stopping.clone(),
            };
            let serving = connection.serve(io, self.tls.clone());
            let open = open.clone();
            life.spawn_short(async move {
                open.increment(1);
                serving.await;
                open.decrement(1);
                drop(place);
            });
        }
        tracing::debug!(listener = self.name, "takes no more connections");
    }

    /// The next connection, once there is a place for it. Until then it waits in the kernel's queue.
    async fn accept(&self, places: &Arc<Semaphore>) -> (socket::Stream, tokio::sync::OwnedSemaphorePermit) {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.socket.accept().await {
                Ok(stream) => return (stream, place),
                Err(error) if socket::is_the_peers(&error) => {}
                Err(error) => {
                    tracing::warn!(listener = self.name, %error, "no connection can be taken just now");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

fn builder(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout);
    builder
}

/// What one connection is served with.
struct Connection {
    builder: Arc<Builder<TokioExecutor>>,
    routes: Router,
    /// How long it may take to say what it wants.
    patience: Duration,
    stopping: CancellationToken,
}

impl Connection {
    async fn serve(self, io: socket::Stream, tls: Option<Arc<Tls>>) {
        let peer = io.peer();
        let Some(tls) = tls else {
            return self.speak(io, peer, None).await;
        };
        match tokio::time::timeout(self.patience, tls.accept(io)).await {
            Ok(Ok((stream, certificate))) => self.speak(stream, peer, certificate).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection did not come to TLS"),
            Err(_) => tracing::debug!("a connection took too long to come to TLS"),
        }
    }

    /// To its end. A soft stop lets the request it is in finish. The routes know where it comes from, and the certificate
    /// that was shown.
    async fn speak(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Option<SocketAddr>,
        certificate: Option<ClientCertificate>,
    ) {
        let routes = self.routes.map_request(move |mut request: Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(ConnectInfo(peer));
            }
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            request.map(Body::new)
        });
        let io = TokioIo::new(Opening::within(self.patience, io));
        let mut connection = pin!(self.builder.serve_connection(io, TowerToHyperService::new(routes)));
        let ended = tokio::select! {
            // First what has come in: a request that arrived before the stop is in it.
            biased;
            ended = connection.as_mut() => ended,
            () = self.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// A listener that gives headers a moment only: where it is.
    async fn listening(life: &Lifecycle) -> String {
        let socket = Socket::tcp(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let place = socket.place();
        let limits = ConnectionLimits {
            connections: 10,
            header_bytes: 8 * 1024,
            header_timeout: Duration::from_millis(100),
        };
        let slow = async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        };
        let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
        let routes = Router::new().route("/", get(slow)).route("/peer", get(peer));
        let listener = Listener { name: "test", socket, routes, limits, tls: None };
        life.spawn("test", listener.run(life.clone()));
        place
    }

    /// What comes back until the other side closes.
    async fn said(place: &str, begin: &[u8]) -> String {
        let mut stream = TcpStream::connect(place).await.expect("a connection");
        stream.write_all(begin).await.expect("written");
        let mut said = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut said));
        closed.await.expect("the listener closes it").expect("read");
        String::from_utf8_lossy(&said).into_owned()
    }

    #[tokio::test]
    async fn whoever_does_not_say_what_they_want_is_let_go() {
        let life = Lifecycle::new();
        let place = listening(&life).await;
        for begin in [&b""[..], b"PRI * HT", b"P", b"GET / HTTP/1.1\r\nHost:"] {
            said(&place, begin).await;
        }
    }

    #[tokio::test]
    async fn routes_know_where_a_request_comes_from() {
        let life = Lifecycle::new();
        let place = listening(&life).await;
        let answer = said(&place, b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("127.0.0.1"), "{answer}");
    }

    #[tokio::test]
    async fn an_answer_may_take_longer_than_the_headers() {
        let life = Lifecycle::new();
        let place = listening(&life).await;
        let answer = said(&place, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("done"), "{answer}");
    }
}
