use crate::StoreError;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::{ClientConfig, RootCertStore};
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where a server is, and whether TLS is spoken with it.
#[derive(Clone)]
pub(super) struct Address {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(StoreError::Refused {
                reason: format!(
                    "store.url begins with {scheme:?}; write sqlite:PATH or postgres://USER@HOST/DATABASE"
                ),
            });
        }
        let mut config: Config =
            url.parse().map_err(|error| StoreError::Refused { reason: format!("store.url: {error}") })?;
        config.application_name("highwater").connect_timeout(Duration::from_secs(5));
        config.keepalives_idle(Duration::from_secs(30));
        let tls = (config.get_ssl_mode() != SslMode::Disable).then(tls).transpose()?;
        Ok(Self { config, tls })
    }

    pub(super) fn pool(&self, size: usize, wait: Duration) -> Result<Pool, StoreError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &self.tls {
            Some(tls) => Manager::from_config(self.config.clone(), tls.clone(), recycling),
            None => Manager::from_config(self.config.clone(), NoTls, recycling),
        };
        Pool::builder(manager)
            .max_size(size)
            .wait_timeout(Some(wait))
            .create_timeout(Some(wait))
            .recycle_timeout(Some(wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(StoreError::unavailable)
    }

    /// A connection outside every pool, and the future that drives it and hands over what it hears.
    pub(super) async fn listener(
        &self,
        heard: tokio::sync::mpsc::UnboundedSender<String>,
    ) -> Result<(tokio_postgres::Client, futures::future::BoxFuture<'static, ()>), StoreError> {
        if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            Ok((client, Box::pin(super::listen::drive(connection, heard))))
        } else {
            let (client, connection) = self.config.connect(NoTls).await?;
            Ok((client, Box::pin(super::listen::drive(connection, heard))))
        }
    }
}

/// TLS verified against the system's roots.
fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(StoreError::unavailable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
