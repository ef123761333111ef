//! The sections that belong to the binary itself; every other section belongs to its crate.

use crate::listen::{CorsSettings, LimitSettings, Network, TlsSettings};
use crate::telemetry::StatsdSettings;
use keys::RootKey;
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The section `keys`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeySettings {
    /// The one secret that every stored key and hash is derived from: 32 bytes, base64url without padding. All nodes
    /// of one store have the same.
    pub(crate) root: Option<RootKey>,
}

/// The section `listen`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListenSettings {
    /// For everybody: token exchange, inbound events.
    pub(crate) public: SocketAddr,
    /// For services with a token of their own.
    pub(crate) service: SocketAddr,
    /// For operators: the admin API (by token), health and metrics.
    pub(crate) admin: SocketAddr,
    /// The admin API without a token, for this user alone (0600): how commands reach a running process. Beside a SQLite
    /// file by default; none by default with PostgreSQL, where commands go to the database themselves.
    pub(crate) admin_socket: Option<PathBuf>,
    /// Proxies in front of the public listener whose `X-Forwarded-For` is believed: addresses, and networks as in 10.0.0.0/8.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Requests from web pages of other origins, on the public listener.
    pub(crate) cors: CorsSettings,
    /// What a connection and a request may cost.
    pub(crate) limits: LimitSettings,
    /// TLS on the service listener, and callers with certificates.
    pub(crate) service_tls: Option<TlsSettings>,
}

impl Default for ListenSettings {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            public: local(8000),
            service: local(8001),
            admin: local(8002),
            admin_socket: None,
            trusted_proxies: Vec::new(),
            cors: CorsSettings::default(),
            limits: LimitSettings::default(),
            service_tls: None,
        }
    }
}

/// The section `metrics`. Prometheus needs no setting: it asks the admin listener.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MetricsSettings {
    /// A StatsD server to send to.
    pub(crate) statsd: StatsdSettings,
}
