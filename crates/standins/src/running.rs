use axum::Router;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A router that is served on a free port of the loopback until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Running {
    pub(crate) async fn start(router: Router) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        #[expect(
            clippy::disallowed_methods,
            reason = "the outside world is no part of the process's lifecycle"
        )]
        tokio::spawn(server.into_future());
        Ok(Self { address, _stop: stop.drop_guard() })
    }

    /// `http://127.0.0.1:PORT`, with no slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
