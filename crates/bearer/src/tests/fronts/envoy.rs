//! Envoy, which asks over HTTP or by gRPC.

use super::*;

const GRPC: &str = include_str!("../../../../../docs/src/guides/proxies/envoy.yaml");
const HTTP: &str = include_str!("../../../../../docs/src/guides/proxies/envoy-http.yaml");

impl Scene {
    pub(super) async fn envoy_by_grpc() -> Self {
        Self::envoy(GRPC).await
    }

    async fn envoy(configuration: &str) -> Self {
        Self::set(|addresses| {
            Front::Envoy(Envoy::start(|port| addresses.put_into_envoys(configuration, port)))
        })
        .await
    }
}

impl Addresses {
    fn put_into_envoys(&self, configuration: &str, port: u16) -> String {
        let port_of = |address: &str| address.rsplit_once(':').expect("a port").1.to_owned();
        let listens = |port: &str| format!("port_value: {port} ");
        configuration
            .replace(&listens("8001"), &listens(&port_of(&self.service)))
            .replace(&listens("8080"), &listens(&port.to_string()))
            .replace(&listens("8081"), &listens(&port_of(&self.backend)))
            .replace("the token that `highwater token create` showed", CALLER)
    }
}

#[tokio::test]
async fn envoy_lets_through_whom_it_is_told_to_and_says_who_it_is() {
    for configuration in [GRPC, HTTP] {
        let scene = Scene::envoy(configuration).await;
        let token = format!("Bearer {}", scene.house.token("u1", NOW));
        let answer = scene.ask("GET", "/mail?x=/../y", &[("authorization", &token)]).await;
        assert_eq!(answer.status(), 200, "{}", scene.front.log());
        let heard: Value = answer.json().expect("JSON");
        assert_eq!(heard["headers"]["x-highwater-subject"], "u1");
        assert_eq!(heard["headers"]["x-highwater-scope"], format!("profile {SCOPE}"));
        assert_eq!(heard["headers"]["x-highwater-client-id"], "5882386c6d801776");
        assert_eq!(heard["headers"]["x-highwater-check"], "learned");
        assert_eq!(heard["headers"].get("x-highwater-caller"), None, "that is between Envoy and us");
        assert_eq!(scene.ask("GET", "/open", &[]).await.status(), 200);
    }
}

#[tokio::test]
async fn envoy_tells_each_refusal_as_it_is_meant() {
    for (configuration, is_grpc) in [(GRPC, true), (HTTP, false)] {
        let scene = Scene::envoy(configuration).await;
        let token = format!("Bearer {}", scene.house.token("u1", NOW));
        scene.house.says(ResponseTemplate::new(503).insert_header("retry-after", "7")).await;
        for (verb, path, authorization, status, code) in [
            ("GET", "/mail", "", 401, "no_credentials"),
            ("GET", "/mail", "Basic YTpi", 401, "no_credentials"),
            ("GET", "/mail", "Bearer e30.e30.e30", 401, "token_invalid"),
            ("POST", "/mail", &token, 403, "insufficient_scope"),
            ("GET", "/elsewhere", &token, 403, "not_served"),
            ("GET", "/mail", "Bearer a b", 400, "bad_authorization"),
            ("GET", "/open//mail", &token, 400, "ambiguous_path"),
            ("GET", "/mail", "Bearer opaque", 503, "check_unavailable"),
        ] {
            let answer = scene.ask(verb, path, &[("authorization", authorization)]).await;
            let what = format!("gRPC {is_grpc}, {verb} {path} {authorization}");
            assert_eq!(answer.status(), status, "{what}: {}", scene.front.log());
            let challenged = text(&answer, "www-authenticate").starts_with("Bearer realm=\"api\"");
            assert_eq!(challenged, matches!(status, 400 | 401) || verb == "POST", "{what}");
            // Over HTTP Envoy makes its own answer of a 5xx.
            if is_grpc || status < 500 {
                assert_eq!(answer.json::<Value>().expect("our own words")["error_code"], code, "{what}");
            }
            assert_eq!(
                text(&answer, "retry-after"),
                if is_grpc && status == 503 { "7" } else { "" },
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn nobody_gets_a_name_past_envoy() {
    for configuration in [GRPC, HTTP] {
        let scene = Scene::envoy(configuration).await;
        let token = format!("Bearer {}", scene.house.token("u1", NOW));
        for name in ["x-highwater-subject", "x_highwater_subject", "x-highwater-acr", "x_highwater-scope"] {
            for path in ["/mail", "/open"] {
                let answer = scene.ask("GET", path, &[("authorization", &token), (name, "root")]).await;
                assert_eq!(answer.status(), 400, "{name} {path}");
            }
        }
        for own in [("x-envoy-original-path", "/open"), ("x-highwater-caller", "root")] {
            let answer = scene.ask("POST", "/mail", &[("authorization", &token), own]).await;
            assert!([401, 403].contains(&answer.status().as_u16()), "{own:?}: {}", answer.status());
        }
    }
}

/// Whoever shows us nothing but the token, and lets underscores through, is protected all the same.
#[tokio::test]
async fn what_envoy_does_not_show_us_is_taken_out_or_overwritten() {
    let careless = GRPC.replace("REJECT_REQUEST", "ALLOW").replace(
        "failure_mode_allow: false",
        "allowed_headers: { patterns: [{ exact: authorization }] }\n              failure_mode_allow: false",
    );
    let scene = Scene::envoy(&careless).await;
    let token = format!("Bearer {}", scene.house.token("u1", NOW));
    for name in ["x-highwater-subject", "x_highwater_subject", "x-highwater_acr", "x-highwater-check"] {
        for path in ["/mail", "/open"] {
            let answer = scene.ask("GET", path, &[("authorization", &token), (name, "root")]).await;
            let heard = String::from_utf8_lossy(answer.body()).into_owned();
            assert_eq!(answer.status(), 200, "{name} {path}");
            assert!(!heard.contains("root"), "{name} {path}: {heard}");
        }
    }
    let anybody = scene.ask("GET", "/open", &[("x-highwater-subject", "root")]).await;
    let heard: Value = anybody.json().expect("JSON");
    assert_eq!(heard["headers"]["x-highwater-subject"], "", "nobody is somebody");
}

#[tokio::test]
async fn a_change_of_the_account_is_felt_through_envoy() {
    let scene = Scene::envoy(GRPC).await;
    let (house, follower) = (&scene.house, &scene.house.inner().follower);
    let mut tail = follower.begin().await;
    let token = format!("Bearer {}", house.token("u1", NOW - 60));
    assert_eq!(scene.ask("GET", "/mail", &[("authorization", &token)]).await.status(), 200);
    house.happens("u1", Millis::from_seconds(NOW - 50), Change::PasswordChange).await;
    follower.turn(&mut tail).await;
    assert_eq!(scene.ask("GET", "/mail", &[("authorization", &token)]).await.status(), 401);
}

#[tokio::test]
async fn without_us_envoy_serves_nobody() {
    let scene = Scene::envoy(&GRPC.replace("the token that", "another than")).await;
    let token = format!("Bearer {}", scene.house.token("u1", NOW));
    for path in ["/mail", "/open"] {
        assert_eq!(scene.ask("GET", path, &[("authorization", &token)]).await.status(), 503, "{path}");
    }
}
