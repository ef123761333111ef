use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use std::fmt;

/// The header that carries a status to a proxy that would not pass it on.
pub(crate) const STATUS: HeaderName = HeaderName::from_static("x-highwater-status");

/// A reverse proxy that asks about requests before it passes them on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proxy {
    /// nginx, by its `auth_request`.
    Nginx,
    /// Traefik, by its ForwardAuth middleware.
    Traefik,
    /// Caddy, by its `forward_auth`.
    Caddy,
    /// Envoy, by its `ext_authz` filter over HTTP.
    Envoy,
}

impl Proxy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nginx, Self::Traefik, Self::Caddy, Self::Envoy];

    /// Its name, as in its route.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|proxy| proxy.as_str() == name)
    }

    /// The status that makes this proxy do what `meant` means; what it cannot be told is put into `X-Highwater-Status`.
    ///
    /// * nginx takes 2xx, 401 and 403, and makes 500 of the rest: it gets 403, and its `error_page` does what the header
    ///   says.
    /// * Traefik and Caddy pass everything on.
    /// * Envoy passes on what is below 500. For the rest it has a status of its own (`status_on_error`, 403 unless set to
    ///   503).
    pub fn answer(self, meant: StatusCode, headers: &mut HeaderMap) -> StatusCode {
        let number = HeaderValue::from_str(meant.as_str()).expect("digits");
        headers.insert(STATUS, number);
        match (self, meant) {
            // Envoy takes 200 alone for a yes.
            (_, good) if good.is_success() => StatusCode::OK,
            (Self::Nginx, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => meant,
            (Self::Nginx, _) => StatusCode::FORBIDDEN,
            (Self::Traefik | Self::Caddy | Self::Envoy, other) => other,
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(proxy: Proxy, meant: u16) -> (u16, String) {
        let mut headers = HeaderMap::new();
        let status = proxy.answer(StatusCode::from_u16(meant).expect("a status"), &mut headers);
        (status.as_u16(), headers[STATUS].to_str().expect("digits").to_owned())
    }

    #[test]
    fn nginx_hears_what_it_understands_and_reads_the_rest_in_a_header() {
        for (meant, status) in
            [(200, 200), (204, 200), (401, 401), (403, 403), (400, 403), (500, 403), (503, 403)]
        {
            assert_eq!(answer(Proxy::Nginx, meant), (status, meant.to_string()));
        }
    }

    #[test]
    fn the_others_hear_the_status_itself() {
        for proxy in [Proxy::Traefik, Proxy::Caddy, Proxy::Envoy] {
            for meant in [400, 401, 403, 500, 503] {
                assert_eq!(answer(proxy, meant).0, meant);
            }
        }
    }

    #[test]
    fn each_has_a_name_of_its_own() {
        for proxy in Proxy::ALL {
            assert_eq!(Proxy::named(proxy.as_str()), Some(proxy));
        }
        assert_eq!(Proxy::named("apache"), None);
    }

    proptest! {
        #[test]
        fn a_refusal_is_never_a_yes_and_an_outage_never_a_401(meant in 300..600_u16, which in 0..4_usize) {
            let (status, told) = answer(Proxy::ALL[which], meant);
            prop_assert!(status >= 300);
            prop_assert_eq!(told, meant.to_string());
            prop_assert!(status != 401 || meant == 401);
        }
    }
}
