//! Routes on a socket of their own.

use axum::Router;
use tokio::net::TcpListener;
use work::Lifecycle;

/// Routes that are served until this is dropped.
pub(super) struct Served {
    address: std::net::SocketAddr,
    life: Lifecycle,
}

impl Served {
    pub(super) async fn new(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let life = Lifecycle::new();
        life.spawn_short(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, life }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.life.stop_now();
    }
}
