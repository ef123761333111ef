//! TLS on the service listener, and the certificates of those who call there.
//!
//! Who shows a certificate of the configured authorities may be a caller by it; that is looked up with every request
//! ([`crate::admin::guard`]), and a certificate is looked at anew every minute: one that ends, or whose authority is taken
//! out of the file, ends with it on connections that are open. Nothing that a request says of a certificate is read.

mod papers;
mod shown;

pub(crate) use papers::InvalidTls;
pub(crate) use shown::ClientCertificate;

use arc_swap::ArcSwap;
use papers::{Files, Papers};
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use work::{Pace, Tick, work_through};

/// Between two looks at the files.
const LOOKS: Pace = Pace::every(Duration::from_secs(30));

/// The section `listen.service_tls`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSettings {
    /// The certificate that is shown and those between it and its authority, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
    /// The authorities whose client certificates are believed, PEM; without it nobody is asked for one.
    #[serde(default)]
    pub(crate) client_authorities: Option<PathBuf>,
    /// Whether a connection without one is taken.
    #[serde(default)]
    pub(crate) client_certificates: ClientCertificates,
}

/// Whether a client must have a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientCertificates {
    /// Who has none proves who it is by a token.
    #[default]
    Optional,
    /// Who has none is not talked to. A token may say who it is beside it.
    Required,
}

impl TlsSettings {
    /// Files are where the configuration is.
    pub(crate) fn settle_paths(&mut self, folder: &Path) {
        for path in [&mut self.certificate, &mut self.key].into_iter().chain(&mut self.client_authorities) {
            *path = folder.join(&*path);
        }
    }

    /// Whether its files are good together.
    pub(crate) fn check(&self) -> Result<(), InvalidTls> {
        Papers::new(self, Files::read(self)?).map(drop)
    }
}

/// TLS as it is now; its files are looked at again and again.
pub(crate) struct Tls {
    settings: TlsSettings,
    papers: ArcSwap<Papers>,
}

impl Tls {
    /// With the files as they are.
    pub(crate) fn new(settings: &TlsSettings) -> Result<Arc<Self>, InvalidTls> {
        let papers = Papers::new(settings, Files::read(settings)?)?;
        Ok(Arc::new(Self { settings: settings.clone(), papers: ArcSwap::from_pointee(papers) }))
    }

    /// Shakes hands; what comes beside the stream is the certificate that the client showed.
    pub(crate) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
        self: &Arc<Self>,
        io: T,
    ) -> io::Result<(TlsStream<T>, Option<ClientCertificate>)> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.papers.load().server));
        let stream = acceptor.accept(io).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = ClientCertificate::new(chain, self);
        Ok((stream, shown))
    }

    /// Takes over what has changed in the files, until the soft stop. What does not work is told, and what there was stays.
    pub(crate) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let never = watch::channel(0).1;
        let mut told = None;
        work_through(stop, never, LOOKS, move || {
            let looked = self.look();
            let error = looked.err();
            if error != told {
                if let Some(error) = &error {
                    tracing::error!(%error, "the files of the service listener's TLS have changed and do not work");
                }
                told = error;
            }
            std::future::ready(Tick::Idle)
        })
        .await;
    }

    /// Whether there was anything new.
    fn look(&self) -> Result<bool, InvalidTls> {
        let files = Files::read(&self.settings)?;
        if self.papers.load().files == files {
            return Ok(false);
        }
        self.papers.store(Arc::new(Papers::new(&self.settings, files)?));
        tracing::info!("the service listener's TLS has new files");
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
