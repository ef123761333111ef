//! Proxies that others wrote ask the built binary over TLS, with certificates instead of tokens, set up as the guide says.

use crate::http::{self, Answer};
use crate::world::World;
use std::path::Path;
use tempfile::TempDir;
use testkit::{Authority, Envoy, Nginx, free_port};

const ENVOY: &str = include_str!("../../../../docs/src/guides/proxies/envoy.yaml");
const ENVOY_TLS: &str = include_str!("../../../../docs/src/guides/proxies/envoy-tls.yaml");
const NGINX: &str = include_str!("../../../../docs/src/guides/proxies/nginx.conf");
const NGINX_TLS: &str = include_str!("../../../../docs/src/guides/proxies/nginx-tls.conf");
const SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";

/// A node that speaks TLS to callers, and the papers of one of them.
struct Place {
    world: World,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        let (own, callers) = (Authority::new(), Authority::new());
        let (node, proxy) = (own.papers("highwater.internal"), callers.papers("proxy.internal"));
        for (name, text) in [
            ("highwater-ca.pem", &own.certificate()),
            ("callers.pem", &callers.certificate()),
            ("service.pem", &node.certificate),
            ("service-key.pem", &node.key),
            ("proxy.pem", &proxy.certificate),
            ("proxy-key.pem", &proxy.key),
        ] {
            write(name, text);
        }
        let settings = [
            ("BEARER__POLICY__ROUTES__0__PATH", "/api/{*rest}".to_owned()),
            ("BEARER__POLICY__ROUTES__0__SCOPES__0", SCOPE.to_owned()),
            ("LISTEN__SERVICE_TLS__CERTIFICATE", at("service.pem")),
            ("LISTEN__SERVICE_TLS__KEY", at("service-key.pem")),
            ("LISTEN__SERVICE_TLS__CLIENT_AUTHORITIES", at("callers.pem")),
            ("LISTEN__SERVICE_TLS__CLIENT_CERTIFICATES", "required".to_owned()),
        ];
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let world = World::new(&settings).await;
        Self { world, folder }
    }

    fn port(&self) -> &str {
        self.world.node.at("service").rsplit_once(':').expect("a port").1
    }

    fn beside(&self, configuration: &str) -> String {
        ["proxy.pem", "proxy-key.pem", "highwater-ca.pem"].iter().fold(
            configuration.to_owned(),
            |text, name| {
                let path = self.folder.path().join(name).display().to_string();
                text.replace(&format!(" {name}"), &format!(" {path}"))
            },
        )
    }

    /// The proxy's certificate stands for a caller, by its file.
    fn takes_in(&self) -> i64 {
        let file = self.folder.path().join("proxy.pem").display().to_string();
        let words = ["--json", "token", "create", "proxy", "--listener", "service", "--scope", "verify"];
        let made = self.world.house.run(&[&words[..], &["--certificate", &file]].concat()).json();
        assert!(made.get("token").is_none(), "{made}");
        assert!(made["caller"]["certificate"].as_str().is_some_and(|it| it.starts_with("sha256:")), "{made}");
        made["caller"]["id"].as_i64().expect("a number")
    }
}

fn asks(endpoint: &str, token: &str) -> Answer {
    let address = endpoint.strip_prefix("http://").expect("a URL");
    http::get(address, "/api/masks", &[("Authorization", &format!("Bearer {token}"))]).expect("an answer")
}

/// Whom it knows only when the certificate was taken in, and not any more when it was revoked.
async fn is_known_by_its_certificate(place: &Place, endpoint: &str, log: impl Fn() -> String) {
    let subject = "a".repeat(32);
    place.world.idp.sign_up(&subject);
    let token = place.world.sign_in(&subject).access_token;
    let before = asks(endpoint, &token).status;
    assert!([401, 503].contains(&before), "a good certificate of nobody's: {before}: {}", log());
    let id = place.takes_in();
    testkit::wait_until("it is known", crate::world::PATIENCE, async || asks(endpoint, &token).status == 200)
        .await;
    let served = asks(endpoint, &token);
    assert!(served.head.contains(&subject) || served.body.contains(&subject), "{served:?}: {}", log());
    assert_eq!(asks(endpoint, "garbage").status, 401, "{}", log());
    place.world.house.run(&["token", "revoke", &id.to_string()]).done();
    testkit::wait_until("it is refused", crate::world::PATIENCE, async || {
        asks(endpoint, &token).status != 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_is_known_by_its_certificate() {
    let place = Place::new().await;
    let answers = r#"direct_response: { status: 200 }, response_headers_to_add: [{ header: { key: x-subject, value: "%REQ(x-highwater-subject)%" } }]"#;
    let whole = place
        .beside(&ENVOY.replace("  - name: highwater\n", &format!("  - name: highwater\n{ENVOY_TLS}")))
        .replace("route: { cluster: backend }", answers)
        .replace("port_value: 8001 ", &format!("port_value: {} ", place.port()));
    let own = whole.lines().find(|line| line.contains("initial_metadata")).expect("a token").to_owned();
    let whole = whole.replace(&own, "");
    let envoy = Envoy::start(|port| whole.replace("port_value: 8080 ", &format!("port_value: {port} ")));
    is_known_by_its_certificate(&place, &envoy.endpoint(), || envoy.log()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_is_known_by_its_certificate() {
    let place = Place::new().await;
    let backend = free_port();
    let own =
        NGINX.lines().filter(|line| line.contains("/verify/nginx") || line.contains("X-Highwater-Caller"));
    let plain = own.fold(NGINX.to_owned(), |text, line| text.replace(&format!("{line}\n"), ""));
    let whole = place
        .beside(&plain.replace(
            "        internal;\n        proxy_http",
            &format!("        internal;\n{NGINX_TLS}        proxy_http"),
        ))
        .replace("127.0.0.1:8001", place.world.node.at("service"))
        .replace("127.0.0.1:8081", &format!("127.0.0.1:{backend}"));
    let answers =
        format!("server {{ listen 127.0.0.1:{backend}; return 200 \"$http_x_highwater_subject\"; }}\n");
    let nginx = Nginx::start(|port| whole.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}")) + &answers);
    is_known_by_its_certificate(&place, &nginx.endpoint(), || nginx.log()).await;
}

#[test]
fn files_that_cannot_work_are_told_by_check_and_at_the_start() {
    let house = crate::house::House::new()
        .with("LISTEN__SERVICE_TLS__CERTIFICATE", "nowhere.pem")
        .with("LISTEN__SERVICE_TLS__KEY", "nowhere-key.pem");
    let checked = house.run(&["check"]);
    assert!(
        checked.out().contains("listen.service_tls") && checked.out().contains("nowhere.pem: No such file")
    );
    assert_eq!(checked.code(), 1);
    let serve = house.run(&["serve"]).refused();
    assert!(serve.contains("listen.service_tls.certificate") && serve.contains("nowhere.pem"), "{serve}");
    assert!(!Path::new("nowhere.pem").exists());
}

#[test]
fn a_certificate_that_cannot_stand_for_anybody_is_refused_by_name() {
    let house = crate::house::House::new();
    let create = |listener: &str, certificate: &str| {
        house.run(&["token", "create", "x", "--listener", listener, "--certificate", certificate])
    };
    assert!(create("service", "nowhere.pem").refused().contains("there is no file nowhere.pem"));
    assert!(create("service", "dns:*.example").refused().contains("dns:*.example"));
    assert!(create("service", "highwater.toml").refused().contains("no certificate"));
    assert!(create("admin", "dns:a.example").refused().contains("service listener only"));
    create("service", "dns:a.example").done();
    assert!(create("service", "dns:A.example").refused().contains("stands for a caller already"));
    assert!(house.run(&["token", "list"]).done().contains("dns:a.example"));
}
