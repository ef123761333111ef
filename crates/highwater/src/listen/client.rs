//! Who a client is by address: whoever the connection comes from, or whom a proxy that is trusted says it speaks for.
//!
//! Each proxy appends whom it heard to `X-Forwarded-For`, so the list is read from its end: past the proxies that are
//! trusted, the first address that is not is the client. What stands before it anybody may have written.

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses that begin alike: `10.0.0.0/8`, or one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    /// How many bits count.
    bits: u32,
}

/// A text that is no network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address, and no network as in 10.0.0.0/8")]
pub(crate) struct InvalidNetwork(String);

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| invalid())?;
        if bits > most { Err(invalid()) } else { Ok(Self { address, bits }) }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Network {
    fn holds(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

/// Routes that know their clients' own addresses behind these proxies.
pub(crate) fn behind(proxies: &[Network], routes: Router) -> Router {
    if proxies.is_empty() {
        return routes;
    }
    let proxies: Arc<[Network]> = proxies.into();
    routes.layer(from_fn_with_state(proxies, tell_client))
}

async fn tell_client(State(proxies): State<Arc<[Network]>>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
        let client = client(&proxies, peer.ip(), request.headers());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, 0)));
    }
    next.run(request).await
}

fn client(proxies: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_trusted = |address: IpAddr| proxies.iter().any(|proxy| proxy.holds(address));
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let entries = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let mut known = peer;
    for entry in entries {
        if !is_trusted(known) {
            break;
        }
        // What cannot be read was not written by a proxy of ours: whoever handed it on is the last that is known.
        let Some(address) = address(entry.trim()) else { break };
        known = address;
    }
    known
}

/// An address as proxies write it: alone, with a port, in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(proxies: &[&str], peer: &str, lines: &[&str]) -> String {
        let proxies: Vec<Network> = proxies.iter().map(|it| it.parse().expect("a network")).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().expect("a header"));
        }
        client(&proxies, peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(heard(&["10.0.0.0/8"], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(heard(&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(heard(&["10.0.0.0/8"], "::ffff:10.1.2.3", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(heard(&["10.0.0.0/8"], "10.1.2.3", &[]), "10.1.2.3");
        assert_eq!(heard(&["::1"], "::1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(heard(&["::1"], "::1", &["198.51.100.7:80"]), "198.51.100.7");
    }

    #[test]
    fn what_a_client_writes_itself_counts_for_nothing() {
        let proxies = ["10.0.0.0/8", "192.0.2.1"];
        assert_eq!(heard(&proxies, "10.0.0.1", &["1.1.1.1, 198.51.100.7, 192.0.2.1"]), "198.51.100.7");
        assert_eq!(
            heard(&proxies, "10.0.0.1", &["1.1.1.1", "198.51.100.7"]),
            "198.51.100.7",
            "in the last line"
        );
        assert_eq!(heard(&proxies, "10.0.0.1", &["10.0.0.9, junk, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(heard(&proxies, "10.0.0.1", &["10.0.0.3"]), "10.0.0.3", "all of them are proxies");
    }

    #[tokio::test]
    async fn routes_behind_a_proxy_know_the_client() {
        use axum::body::{Body, to_bytes};
        use axum::routing::get;
        use tower::ServiceExt;
        let routes = Router::new()
            .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()));
        let heard = async |proxies: &[&str]| {
            let proxies: Vec<Network> = proxies.iter().map(|it| it.parse().expect("a network")).collect();
            let mut request = Request::new(Body::empty());
            request.headers_mut().insert(FORWARDED_FOR, "198.51.100.7".parse().expect("a header"));
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 4711))));
            let answer = behind(&proxies, routes.clone()).oneshot(request).await.expect("an answer");
            let body = to_bytes(answer.into_body(), 100).await.expect("a body");
            String::from_utf8(body.to_vec()).expect("text")
        };
        assert_eq!(heard(&["10.0.0.1"]).await, "198.51.100.7");
        assert_eq!(heard(&["10.0.0.2"]).await, "10.0.0.1");
        assert_eq!(heard(&[]).await, "10.0.0.1");
    }

    #[test]
    fn a_network_is_read_or_refused_by_name() {
        for odd in ["", "10.0.0.0/33", "10.0.0/8", "x", "::/129", "10.0.0.0/"] {
            let error = odd.parse::<Network>().expect_err("no network").to_string();
            assert!(error.contains(&format!("{odd:?}")), "{error}");
        }
        assert!("0.0.0.0/0".parse::<Network>().expect("all").holds([203, 0, 113, 9].into()));
    }
}
