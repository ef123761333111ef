//! The real listener behind its guard, and real clients with and without certificates.

use super::*;
use crate::admin::guard::Guard;
use crate::listen::{ConnectionLimits, Listener, Socket};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keys::{Caller, Callers, NewCaller, RootKey};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use store::testing::{TestStore, sqlite};
use tempfile::TempDir;
use testkit::{Authority, Papers as Shown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use work::Lifecycle;

/// A service listener with TLS, whose one route says who asks.
struct Place {
    folder: TempDir,
    address: String,
    callers: Callers,
    clients: Authority,
    tls: Arc<Tls>,
    life: Lifecycle,
    /// Who vouches for the listener.
    own: Authority,
    test: TestStore,
}

impl Place {
    async fn with(client_certificates: ClientCertificates) -> Self {
        let (own, clients) = (Authority::new(), Authority::new());
        let folder = tempfile::tempdir().expect("a folder");
        let settings = written(&folder, &own.papers("localhost"), Some(&clients), client_certificates);
        let tls = Tls::new(&settings).expect("good files");
        let test = sqlite(&[keys::MIGRATIONS]).await;
        let callers = Callers::new(test.store.clone(), &RootKey::generate());
        let who = get(async |axum::Extension(caller): axum::Extension<Caller>| caller.name);
        let routes =
            Guard::new(callers.clone(), keys::Listener::Service).before(Router::new().route("/", who));
        let socket = Socket::tcp(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let address = socket.place();
        let limits = ConnectionLimits::from(&crate::listen::LimitSettings::default());
        let listener = Listener { name: "service", socket, routes, limits, tls: Some(Arc::clone(&tls)) };
        let life = Lifecycle::new();
        life.spawn("service", listener.run(life.clone()));
        Self { folder, address, callers, clients, tls, life, own, test }
    }

    async fn takes_in(&self, name: &str, certificate: &str) -> Caller {
        let certificate = Some(certificate.parse().expect("a name"));
        let listener = keys::Listener::Service;
        let new = NewCaller { name: name.into(), listener, scopes: vec![], life_seconds: None, certificate };
        self.callers.create(new).await.expect("taken in").1
    }

    async fn token(&self, name: &str) -> String {
        let listener = keys::Listener::Service;
        let new =
            NewCaller { name: name.into(), listener, scopes: vec![], life_seconds: None, certificate: None };
        self.callers.create(new).await.expect("made").0.expect("a token")
    }

    async fn connect(&self, shown: Option<&Shown>) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.own.certificate().as_bytes()).expect("PEM");
        roots.add(root).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let chain = CertificateDer::from_pem_slice(shown.certificate.as_bytes()).expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(vec![chain], key).expect("its key")
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tcp = TcpStream::connect(&self.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    }

    /// A connection that stays, over HTTP/2.
    async fn client(&self, shown: Option<&Shown>) -> Result<Client, String> {
        let stream = self.connect(shown).await.map_err(|error| error.to_string())?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| error.to_string())?;
        self.life.spawn_short(async move { drop(connection.await) });
        Ok(Client(sender))
    }

    /// Asks once, on a connection of its own: status and body, or that there was no answer.
    async fn ask(&self, shown: Option<&Shown>, headers: &[(&str, &str)]) -> Result<(u16, String), String> {
        self.client(shown).await?.ask(headers).await
    }

    /// What somebody hears who shows this certificate and says nothing else.
    async fn hears(&self, shown: &Shown) -> (u16, String) {
        let (status, body) = self.ask(Some(shown), &[]).await.expect("an answer");
        (status, if status == 200 { body } else { String::new() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.life.stop_now();
    }
}

struct Client(http2::SendRequest<Body>);

impl Client {
    async fn ask(&mut self, headers: &[(&str, &str)]) -> Result<(u16, String), String> {
        let said = |error: hyper::Error| format!("{error:?}");
        let request = Request::get("https://localhost/");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Body::empty()).expect("a request");
        let answer = self.0.send_request(request).await.map_err(said)?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(said)?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// The settings, and the files that they name.
fn written(
    folder: &TempDir,
    own: &Shown,
    clients: Option<&Authority>,
    how: ClientCertificates,
) -> TlsSettings {
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("own.pem", &own.certificate);
    write("own-key.pem", &own.key);
    if let Some(clients) = clients {
        write("clients.pem", &clients.certificate());
    }
    let mut settings = TlsSettings {
        certificate: "own.pem".into(),
        key: "own-key.pem".into(),
        client_authorities: clients.map(|_| "clients.pem".into()),
        client_certificates: how,
    };
    settings.settle_paths(folder.path());
    settings
}

const REFUSED: (u16, String) = (401, String::new());

fn named(name: &str) -> (u16, String) {
    (200, name.to_owned())
}

#[tokio::test]
async fn who_shows_a_certificate_is_the_caller_it_stands_for() {
    let place = Place::with(ClientCertificates::Optional).await;
    let (one, other) = (place.clients.papers("proxy.internal"), place.clients.papers("other.internal"));
    let spiffe = place.clients.papers_of_uri("x.internal", "spiffe://internal/web");
    assert_eq!(place.hears(&one).await, REFUSED, "nobody has taken it in");
    place.takes_in("proxy", "dns:proxy.internal").await;
    place.takes_in("web", "uri:spiffe://internal/web").await;
    assert_eq!(place.hears(&one).await, named("proxy"));
    assert_eq!(place.hears(&spiffe).await, named("web"));
    assert_eq!(place.hears(&other).await, REFUSED);
    let der = CertificateDer::from_pem_slice(other.certificate.as_bytes()).expect("PEM");
    place.takes_in("other", keys::CertificateName::fingerprint(&der).as_str()).await;
    assert_eq!(place.hears(&other).await, named("other"));
}

#[tokio::test]
async fn a_token_beside_it_says_who_it_is_only_where_a_proxy_would_say_so() {
    let place = Place::with(ClientCertificates::Optional).await;
    let shown = place.clients.papers("proxy.internal");
    let token = place.token("by token").await;
    let bearer = format!("Bearer {token}");
    let ask = async |headers: &[(&str, &str)]| place.ask(Some(&shown), headers).await.expect("an answer");
    assert_eq!(
        ask(&[("authorization", &bearer)]).await,
        named("by token"),
        "the certificate is nobody's yet"
    );
    place.takes_in("by certificate", "dns:proxy.internal").await;
    assert_eq!(ask(&[("authorization", &bearer)]).await, named("by certificate"), "that is its client's");
    assert_eq!(ask(&[("x-highwater-caller", &token)]).await, named("by token"));
    assert_eq!(ask(&[("x-highwater-caller", "hw_wrong")]).await.0, 401, "it says who it is, and is not");
    let without = place.ask(None, &[("authorization", &bearer)]).await.expect("an answer");
    assert_eq!(without, named("by token"));
    assert_eq!(place.ask(None, &[]).await.expect("an answer").0, 401);
}

#[tokio::test]
async fn where_a_certificate_is_required_nobody_else_is_talked_to() {
    let place = Place::with(ClientCertificates::Required).await;
    place.takes_in("proxy", "dns:proxy.internal").await;
    let token = place.token("by token").await;
    let without = place.ask(None, &[("x-highwater-caller", &token)]).await;
    without.expect_err("not even with a good token");
    assert_eq!(place.hears(&place.clients.papers("proxy.internal")).await, named("proxy"));
    let beside = place.ask(Some(&place.clients.papers("x")), &[("x-highwater-caller", &token)]).await;
    assert_eq!(beside, Ok(named("by token")));
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_of_another_time_is_none() {
    let place = Place::with(ClientCertificates::Optional).await;
    place.takes_in("proxy", "dns:proxy.internal").await;
    for stranger in [
        Authority::new().papers("proxy.internal"),
        place.own.papers("proxy.internal"),
        place.clients.papers_until("proxy.internal", 2001),
    ] {
        place.ask(Some(&stranger), &[]).await.expect_err("the handshake fails");
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_on_a_connection_that_is_open() {
    let place = Place::with(ClientCertificates::Optional).await;
    let caller = place.takes_in("proxy", "dns:proxy.internal").await;
    let mut client = place.client(Some(&place.clients.papers("proxy.internal"))).await.expect("connected");
    assert_eq!(client.ask(&[]).await, Ok(named("proxy")));
    assert!(place.callers.revoke(caller.id).await.expect("the store answers"));
    assert_eq!(client.ask(&[]).await.expect("an answer").0, 401);
}

#[tokio::test]
async fn a_certificate_ends_on_a_connection_that_is_open() {
    let place = Place::with(ClientCertificates::Optional).await;
    place.takes_in("proxy", "dns:proxy.internal").await;
    let until = 2100;
    let mut client =
        place.client(Some(&place.clients.papers_until("proxy.internal", until))).await.expect("connected");
    assert_eq!(client.ask(&[]).await, Ok(named("proxy")));
    place.test.clock.advance(Duration::from_hours(24 * 366 * 100));
    assert_eq!(client.ask(&[]).await.expect("an answer").0, 401);
}

#[tokio::test]
async fn new_files_are_taken_over_and_bad_ones_are_not() {
    let place = Place::with(ClientCertificates::Optional).await;
    place.takes_in("proxy", "dns:proxy.internal").await;
    let old = place.clients.papers("proxy.internal");
    let mut open = place.client(Some(&old)).await.expect("connected");
    assert_eq!(open.ask(&[]).await, Ok(named("proxy")));
    assert_eq!(place.tls.look(), Ok(false), "nothing is new");

    let others = Authority::new();
    written(&place.folder, &place.own.papers("localhost"), Some(&others), ClientCertificates::Optional);
    assert_eq!(place.tls.look(), Ok(true));
    assert_eq!(place.hears(&others.papers("proxy.internal")).await, named("proxy"));
    place.ask(Some(&old), &[]).await.expect_err("its authority is not believed any more");
    place.test.clock.advance(Duration::from_mins(1));
    assert_eq!(open.ask(&[]).await.expect("an answer").0, 401, "nor on a connection that was open");

    std::fs::write(place.folder.path().join("own-key.pem"), "half a fi").expect("written");
    place.tls.look().expect_err("no key");
    assert_eq!(place.hears(&others.papers("proxy.internal")).await, named("proxy"), "what there was stays");
}

#[tokio::test]
async fn whoever_does_not_come_to_tls_is_let_go() {
    let place = Place::with(ClientCertificates::Optional).await;
    for begin in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0x16; 64]]
    {
        let mut stream = TcpStream::connect(&place.address).await.expect("a connection");
        stream.write_all(begin).await.expect("written");
        let mut said = Vec::new();
        // It may be reset, which says the same.
        let _ = stream.read_to_end(&mut said).await;
        assert!(!said.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&said));
    }
    place.takes_in("proxy", "dns:proxy.internal").await;
    assert_eq!(
        place.hears(&place.clients.papers("proxy.internal")).await,
        named("proxy"),
        "others are served"
    );
}

#[test]
fn what_cannot_work_is_told_with_its_setting_and_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (own, clients) = (Authority::new().papers("localhost"), Authority::new());
    let good = || written(&folder, &own, Some(&clients), ClientCertificates::Required);
    good().check().expect("good files");
    let told = |settings: TlsSettings| {
        let error = settings.check().expect_err("it cannot work").to_string();
        error.replace(&folder.path().display().to_string(), ".")
    };
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let nowhere = TlsSettings { key: folder.path().join("nowhere.pem"), ..good() };
    assert!(told(nowhere).starts_with("listen.service_tls.key: ./nowhere.pem: No such file"));
    write("other-key.pem", &Authority::new().papers("localhost").key);
    let mismatch = TlsSettings { key: folder.path().join("other-key.pem"), ..good() };
    assert_eq!(
        told(mismatch),
        "listen.service_tls.key: ./other-key.pem: it is not the key of the certificate in ./own.pem"
    );
    write("empty.pem", "");
    let empty = folder.path().join("empty.pem");
    assert_eq!(
        told(TlsSettings { certificate: empty.clone(), ..good() }),
        "listen.service_tls.certificate: ./empty.pem: there is no certificate in it (PEM)"
    );
    assert_eq!(
        told(TlsSettings { key: empty.clone(), ..good() }),
        "listen.service_tls.key: ./empty.pem: there is no private key in it (PEM)"
    );
    assert_eq!(
        told(TlsSettings { client_authorities: Some(empty), ..good() }),
        "listen.service_tls.client_authorities: ./empty.pem: there is no certificate in it (PEM)"
    );
    assert_eq!(
        told(TlsSettings { client_authorities: None, ..good() }),
        "listen.service_tls.client_certificates: they are `required`, and no client_authorities say whose are believed"
    );
}
