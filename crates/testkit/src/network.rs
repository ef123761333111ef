//! A network between a client and PostgreSQL that fails at the worst moment.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How the connection is cut at the next COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The COMMIT never reaches the server.
    Before,
    /// The server commits, and its answer never reaches the client.
    After,
    /// The same, and nobody gets through afterwards.
    AfterForGood,
    /// The server commits whatever comes, and none of these answers reaches its client, which waits.
    Unanswered,
}

/// Passes everything on, until it is told to cut.
#[derive(Debug)]
pub struct PostgresProxy {
    fate: Arc<Mutex<Fate>>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Fate {
    cut: Option<Cut>,
    is_down: bool,
}

impl PostgresProxy {
    /// A proxy before the server that a database's URL names, and the URL that leads through it.
    pub async fn before(url: &str) -> (Self, String) {
        let (rest, database) = url.rsplit_once('/').expect("a database");
        let server: SocketAddr = rest.rsplit('@').next().and_then(|it| it.parse().ok()).expect("an address");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let fate = Arc::<Mutex<Fate>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, Arc::clone(&fate)));
        (Self { fate, _tasks: tasks }, format!("postgres://postgres@127.0.0.1:{port}/{database}"))
    }

    /// Cuts at the next COMMIT, whoever sends it; with `None` it passes everything on again.
    pub fn cut(&self, cut: impl Into<Option<Cut>>) {
        self.fate.lock().expect("not poisoned").cut = cut.into();
    }

    /// Whether it has cut what it was told to.
    pub fn has_cut(&self) -> bool {
        self.fate.lock().expect("not poisoned").cut.is_none()
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, fate: Arc<Mutex<Fate>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if !fate.lock().expect("not poisoned").is_down {
            connections.spawn(pass_on(client, server, Arc::clone(&fate)));
        }
    }
}

/// Passes bytes on in both directions until one side, or fate, ends it.
async fn pass_on(mut client: TcpStream, server: SocketAddr, fate: Arc<Mutex<Fate>>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut up, mut down) = (vec![0; 16_384], vec![0; 16_384]);
    loop {
        let passed = tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let cut = if is_commit(&up[..count]) { take(&fate) } else { None };
                    if cut == Some(Cut::Before) {
                        return;
                    }
                    let passed = server.write_all(&up[..count]).await;
                    if cut == Some(Cut::Unanswered) {
                        pending::<()>().await;
                    }
                    if cut.is_some() {
                        // The answer says that it is committed; it goes no further.
                        let _ = server.read(&mut down).await;
                        return;
                    }
                    passed
                }
            },
            read = server.read(&mut down) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => client.write_all(&down[..count]).await,
            },
        };
        if passed.is_err() {
            return;
        }
    }
}

fn take(fate: &Mutex<Fate>) -> Option<Cut> {
    let mut fate = fate.lock().expect("not poisoned");
    if fate.cut == Some(Cut::Unanswered) {
        return fate.cut;
    }
    let cut = fate.cut.take();
    fate.is_down |= cut == Some(Cut::AfterForGood);
    cut
}

/// A simple query (`Q`, its length, its text) that says `commit`.
fn is_commit(bytes: &[u8]) -> bool {
    bytes.windows(12).any(|window| window == b"Q\0\0\0\x0bcommit\0")
}
