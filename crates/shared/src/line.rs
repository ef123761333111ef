//! A connection to the server, or to a cluster of them.

use crate::settings::Settings;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, Pipeline, RedisError, RedisResult, TlsCertificates,
};

/// A clone is the same line.
#[derive(Clone)]
pub(crate) enum Line {
    One(MultiplexedConnection),
    /// It connects to its nodes by itself.
    Cluster(ClusterConnection),
}

impl Line {
    pub(crate) async fn connect(settings: &Settings) -> RedisResult<Self> {
        if settings.cluster { cluster(settings).await } else { one(settings).await }
    }

    /// Sends commands together, all of which are about one name, and returns what they come to.
    pub(crate) async fn ask<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        match self {
            Self::One(connection) => commands.query_async(&mut connection.clone()).await,
            Self::Cluster(connection) => commands.query_async(&mut connection.clone()).await,
        }
    }

    /// Whether it is of no use after this, and another one must be found.
    pub(crate) fn is_broken_by(&self, error: &RedisError) -> bool {
        let moved = error.code().is_some_and(|code| matches!(code, "READONLY" | "LOADING" | "MASTERDOWN"));
        match self {
            Self::One(_) => {
                moved || error.is_unrecoverable_error() || error.is_io_error() && !error.is_timeout()
            }
            Self::Cluster(_) => error.is_unrecoverable_error(),
        }
    }
}

async fn one(settings: &Settings) -> RedisResult<Line> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout()))
        .set_response_timeout(Some(settings.response_timeout()));
    let info = info(settings, &settings.url)?;
    let client = if is_tls(&info) {
        Client::build_with_tls(info, certificates(settings)?)?
    } else {
        Client::open(info)?
    };
    client.get_multiplexed_async_connection_with_config(&config).await.map(Line::One)
}

async fn cluster(settings: &Settings) -> RedisResult<Line> {
    let urls = [&settings.url].into_iter().chain(&settings.other_urls);
    let nodes = urls.map(|url| info(settings, url)).collect::<RedisResult<Vec<_>>>()?;
    let by_tls = nodes.iter().any(is_tls);
    let mut builder = ClusterClientBuilder::new(nodes)
        .connection_timeout(settings.connect_timeout())
        .response_timeout(settings.response_timeout())
        .retries(2);
    if by_tls {
        builder = builder.certs(certificates(settings)?);
    }
    builder.build()?.get_async_connection().await.map(Line::Cluster)
}

fn info(settings: &Settings, url: &str) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    let mut redis = info.redis_settings().clone();
    if let Some(user) = &settings.user {
        redis = redis.set_username(user);
    }
    if let Some(password) = &settings.password {
        redis = redis.set_password(password.reveal());
    }
    Ok(info.set_redis_settings(redis))
}

fn is_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

fn certificates(settings: &Settings) -> RedisResult<TlsCertificates> {
    let root_cert = settings.authorities().map_err(|error| {
        RedisError::from((
            ErrorKind::InvalidClientConfig,
            "the authorities cannot be read",
            error.to_string(),
        ))
    })?;
    Ok(TlsCertificates { client_tls: None, root_cert })
}
