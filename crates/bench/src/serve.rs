//! The other side: what this program does as the process under measure.

mod bare;
mod deliver;
mod house;
mod ingest;
mod job;
mod operation;
mod provider;
mod receive;
mod refresh;
mod telemetry;
mod verify;

pub(crate) use bare::BODY;
pub(crate) use deliver::{Backlog, Delivered, Healthy, Told};
pub(crate) use house::{ISSUER, MASTER_SECRET, NODE};
pub(crate) use job::Done;
pub(crate) use operation::Operation;
pub(crate) use receive::Places;
pub(crate) use refresh::{Paced, Refreshed};
pub(crate) use verify::SCOPE;

use crate::process::READY;
use anyhow::{Context, Result};
use axum::extract::Request;
use axum::response::Response;
use axum::serve::ListenerExt;
use axum::{Router, ServiceExt};
use clap::Subcommand;
use house::House;
use std::convert::Infallible;
use std::io::{Read, Write, stdin, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::Service;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Serve {
    /// The bare handler: the limit.
    Bare,
    /// The Tokenserver.
    Tokens {
        /// The store's URL.
        #[arg(long)]
        store: String,
        /// The identity provider's URL.
        #[arg(long)]
        idp: String,
        /// Where its log lines go, if anywhere.
        #[arg(long)]
        log: Option<PathBuf>,
        /// With a budget for each address's new users.
        #[arg(long)]
        guarded: bool,
    },
    /// The bare handler behind the layer that checks tokens.
    Layered {
        /// The public key that signs them, a JWK.
        #[arg(long)]
        key: String,
    },
    /// A node that checks tokens for proxies.
    Check {
        /// The store's URL.
        #[arg(long)]
        store: String,
        /// The public key that signs them, a JWK.
        #[arg(long)]
        key: String,
    },
    /// Takes the events of a file in, and ends.
    IngestFile {
        /// The store's URL.
        #[arg(long)]
        store: String,
        /// Events, one a line.
        #[arg(long)]
        file: PathBuf,
    },
    /// Takes the events of a queue in.
    IngestQueue {
        /// The store's URL.
        #[arg(long)]
        store: String,
        #[command(flatten)]
        queue: ingest::Queue,
    },
    /// Tells relying parties of account events, and ends.
    Deliver {
        /// The store's URL.
        #[arg(long)]
        store: String,
        #[command(flatten)]
        work: deliver::Work,
        /// How many relying parties know an account.
        #[arg(long)]
        known_to: usize,
    },
    /// The same with a million deliveries pending for a relying party that is dead, and ends.
    DeliverBesideBacklog {
        /// The store's URL.
        #[arg(long)]
        store: String,
        #[command(flatten)]
        work: deliver::Work,
    },
    /// Relying parties that check what they get.
    Receive {
        /// How many.
        #[arg(long)]
        hooks: usize,
    },
    /// An identity provider by which people log in.
    Provide,
    /// Fills a store with upstream sessions, and ends.
    FillSessions {
        #[command(flatten)]
        ground: refresh::Ground,
        #[command(flatten)]
        filling: refresh::Filling,
    },
    /// Refreshes them as fast as it goes, and ends.
    Refresh {
        #[command(flatten)]
        ground: refresh::Ground,
        /// For how many seconds each figure is measured.
        #[arg(long)]
        seconds: u64,
    },
    /// Refreshes them when their time has come, and ends.
    RefreshPaced {
        #[command(flatten)]
        ground: refresh::Ground,
        /// For how many seconds each figure is measured.
        #[arg(long)]
        seconds: u64,
        /// How long their access tokens last, in seconds.
        #[arg(long)]
        life: u64,
    },
    /// Does an operation again and again.
    Operation {
        /// Which.
        operation: Operation,
        /// How often.
        #[arg(long)]
        times: usize,
    },
    /// Receives and deletes the messages of a queue.
    DrainQueue {
        #[command(flatten)]
        queue: ingest::Queue,
    },
}

impl Serve {
    /// Does it, the servers until standard input ends. The runtime is the product's: multi-threaded, a thread for each
    /// core it may use, which is one.
    pub(crate) fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<()> {
        match self {
            Self::Bare => listen(bare::router()).await,
            Self::Tokens { store, idp, log, guarded } => {
                log.as_deref().map(telemetry::start_logs).transpose()?;
                let house = if guarded {
                    House::guarded(&store, &idp).await
                } else {
                    House::open(&store, &idp).await
                };
                listen(house?.public).await
            }
            Self::Layered { key } => verify::layered(&key).await,
            Self::Check { store, key } => Box::pin(verify::node(&store, &key)).await,
            Self::IngestFile { store, file } => Box::pin(ingest::file(&store, &file)).await?.print(),
            Self::IngestQueue { store, queue } => Box::pin(ingest::queue(&store, &queue)).await,
            Self::Deliver { store, work, known_to } => {
                as_a_task(deliver::run(store, work, known_to)).await?.print()
            }
            Self::DeliverBesideBacklog { store, work } => {
                as_a_task(deliver::beside_backlog(store, work)).await?.print()
            }
            Self::Receive { hooks } => receive::serve(hooks).await,
            Self::Provide => provider::serve().await,
            Self::FillSessions { ground, filling } => {
                refresh::print(&as_a_task(refresh::fill(ground, filling)).await?)
            }
            Self::Refresh { ground, seconds } => {
                refresh::print(&as_a_task(refresh::at_full(ground, seconds)).await?)
            }
            Self::RefreshPaced { ground, seconds, life } => {
                refresh::print(&as_a_task(refresh::paced(ground, seconds, life)).await?)
            }
            Self::Operation { operation, times } => Box::pin(operation.repeat(times)).await,
            Self::DrainQueue { queue } => ingest::drain(&queue).await,
        }
    }
}

/// Does it on the runtime's own threads, as the product does all it does: there nobody is interrupted by whom he has woken.
async fn as_a_task<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let mut tasks = JoinSet::new();
    tasks.spawn(work);
    tasks.join_next().await.context("it was started")??
}

async fn listen(router: Router) -> Result<()> {
    listen_with(router).await
}

async fn listen_with<S>(service: S) -> Result<()>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let (listener, address) = listener().await?;
    ready(&address.to_string())?;
    // As in the product, routes know where a client is.
    let service = service.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        done = axum::serve(listener, service).into_future() => Ok(done?),
        told = until_told_to_end() => told,
    }
}

type Listener = axum::serve::TapIo<TcpListener, fn(&mut TcpStream)>;

async fn listener() -> Result<(Listener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // What is measured is not Nagle's patience; a connection that will not have it is none to worry about.
    let without_delay: fn(&mut TcpStream) = |stream| {
        let _ = stream.set_nodelay(true);
    };
    Ok((listener.tap_io(without_delay), address))
}

/// Says that it is at work, and where.
fn ready(place: &str) -> Result<()> {
    let mut out = stdout();
    writeln!(out, "{READY}{place}")?;
    Ok(out.flush()?)
}

/// Until standard input ends.
async fn until_told_to_end() -> Result<()> {
    tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
