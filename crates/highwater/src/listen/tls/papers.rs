//! What is in the files.

use super::{ClientCertificates, TlsSettings};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// HTTP/2 for whoever can: gRPC needs it.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why TLS cannot be spoken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("listen.service_tls.{key}: {why}")]
pub(crate) struct InvalidTls {
    key: &'static str,
    why: String,
}

impl InvalidTls {
    fn new(key: &'static str, path: &Path, why: impl std::fmt::Display) -> Self {
        Self { key, why: format!("{}: {why}", path.display()) }
    }
}

/// The files' bytes.
#[derive(PartialEq)]
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    authorities: Option<Vec<u8>>,
}

impl Files {
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, InvalidTls> {
        let read = |key, path: &Path| std::fs::read(path).map_err(|error| InvalidTls::new(key, path, error));
        let authorities = settings.client_authorities.as_deref();
        Ok(Self {
            certificate: read("certificate", &settings.certificate)?,
            key: Zeroizing::new(read("key", &settings.key)?),
            authorities: authorities.map(|path| read("client_authorities", path)).transpose()?,
        })
    }
}

/// Everything that comes of them.
pub(super) struct Papers {
    pub(super) files: Files,
    pub(super) server: Arc<ServerConfig>,
    /// Who judges the clients' certificates, where they are asked for any.
    pub(super) clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Papers {
    pub(super) fn new(settings: &TlsSettings, files: Files) -> Result<Self, InvalidTls> {
        let clients = clients(settings, &files)?;
        let chain = certificates("certificate", &settings.certificate, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&files.key)
            .map_err(|_| InvalidTls::new("key", &settings.key, "there is no private key in it (PEM)"))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidTls::new("certificate", &settings.certificate, error))?;
        let builder = match &clients {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut server =
            builder.with_single_cert(chain, key).map_err(|error| does_not_belong(settings, &error))?;
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // A session that is taken up again would bring a certificate that nobody has looked at since.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { files, server: Arc::new(server), clients })
    }
}

fn does_not_belong(settings: &TlsSettings, error: &rustls::Error) -> InvalidTls {
    let why = match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("it is not the key of the certificate in {}", settings.certificate.display())
        }
        other => other.to_string(),
    };
    InvalidTls::new("key", &settings.key, why)
}

fn clients(settings: &TlsSettings, files: &Files) -> Result<Option<Arc<dyn ClientCertVerifier>>, InvalidTls> {
    let (Some(path), Some(pem)) = (&settings.client_authorities, &files.authorities) else {
        return match settings.client_certificates {
            ClientCertificates::Optional => Ok(None),
            ClientCertificates::Required => Err(InvalidTls {
                key: "client_certificates",
                why: "they are `required`, and no client_authorities say whose are believed".to_owned(),
            }),
        };
    };
    let invalid = |why: String| InvalidTls::new("client_authorities", path, why);
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_authorities", path, pem)? {
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
    let builder = match settings.client_certificates {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required => builder,
    };
    builder.build().map(Some).map_err(|error| invalid(error.to_string()))
}

/// The certificates of a PEM file: one at least.
fn certificates(
    key: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| InvalidTls::new(key, path, error))?;
    if found.is_empty() {
        return Err(InvalidTls::new(key, path, "there is no certificate in it (PEM)"));
    }
    Ok(found)
}
