//! A certificate authority, and an HTTPS server that serves nobody without a certificate of its own.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a client may say nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// No request of a test is longer.
const LONGEST_HEAD: usize = 64 * 1024;

/// A certificate authority of a test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, PEM each.
#[derive(Clone)]
pub struct Papers {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: String,
}

impl Papers {
    /// Both, one after the other, as clients take them.
    pub fn together(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }
}

impl Authority {
    /// A fresh one.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes what is issued in its own subject's name for self-signed.
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        Self(CertifiedIssuer::self_signed(params, fresh_key()).expect("an authority can be made"))
    }

    /// Its own certificate, PEM: for whoever is to trust it.
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// Papers in that name.
    pub fn papers(&self, name: &str) -> Papers {
        self.papers_with(name, |_| ())
    }

    /// Papers in that name, and in that of a URI.
    pub fn papers_of_uri(&self, name: &str, uri: &str) -> Papers {
        let uri = uri.try_into().expect("a URI in ASCII");
        self.papers_with(name, |params| params.subject_alt_names.push(SanType::URI(uri)))
    }

    /// Papers in that name that end with a year.
    pub fn papers_until(&self, name: &str, year: i32) -> Papers {
        self.papers_with(name, |params| params.not_after = date_time_ymd(year, 12, 31))
    }

    fn papers_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Papers {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = fresh_key();
        let signed = params.signed_by(&key, &self.0).expect("a certificate can be made");
        Papers { certificate: signed.pem(), key: key.serialize_pem() }
    }
}

fn fresh_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

/// A request that was served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its first line and headers.
    pub head: String,
    /// The client's certificate, DER.
    pub certificate: Vec<u8>,
}

/// An HTTPS server on the loopback, called `localhost`, that answers 200 to whoever shows a certificate of its
/// authority, and talks to nobody else. It is gone when dropped.
pub struct MutualTls {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    refused: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MutualTls {
    /// Starts one.
    pub fn start(authority: &Authority) -> Self {
        let config = Arc::new(config(authority));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (heard, refused, stop) = (Arc::default(), Arc::default(), Arc::default());
        let mut server = Self { address, heard, refused, stop, thread: None };
        let (heard, refused, stop) =
            (Arc::clone(&server.heard), Arc::clone(&server.refused), Arc::clone(&server.stop));
        server.thread = Some(std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let keep = |request| heard.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                if serve(tcp, &config, keep).is_err() {
                    refused.store(true, Ordering::Release);
                }
            }
        }));
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.address.port())
    }

    /// What it has served.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it has sent anybody away.
    pub fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

impl Drop for MutualTls {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // It sits in `accept`: this wakes it.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn config(authority: &Authority) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).expect("an authority's certificate");
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let papers = authority.papers("localhost");
    let certificate = CertificateDer::from_pem_slice(papers.certificate.as_bytes()).expect("our own PEM");
    let key = PrivateKeyDer::from_pem_slice(papers.key.as_bytes()).expect("our own PEM");
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_client_cert_verifier(verifier.build().expect("an authority"))
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key")
}

/// Serves one request of one connection, kept before it is answered: whoever has the answer may look at once. An error when
/// the client is sent away, or goes.
fn serve(mut tcp: TcpStream, config: &Arc<ServerConfig>, keep: impl FnOnce(Heard)) -> io::Result<()> {
    tcp.set_read_timeout(Some(PATIENCE))?;
    let mut connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut tls = Stream::new(&mut connection, &mut tcp);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > LONGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let certificate = tls.conn.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.map(|it| it.as_ref().to_vec()).unwrap_or_default();
    keep(Heard { head: String::from_utf8_lossy(&head).into_owned(), certificate });
    tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    tls.flush()?;
    connection.send_close_notify();
    connection.write_tls(&mut tcp)?;
    Ok(())
}
