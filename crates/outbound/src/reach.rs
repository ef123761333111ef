//! Which addresses may be reached: outsiders choose a name, and the name may lead anywhere.

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use url::{Host, Url};

/// Which addresses a client may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of the public internet.
    Public,
    /// Every one: the operator vouches for whoever chooses.
    Everywhere,
}

impl Reach {
    fn allows(self, address: IpAddr) -> bool {
        self == Self::Everywhere || is_public(address)
    }

    /// Whether a URL names an address itself, and one that may not be reached: such never meets the resolver. What a
    /// name leads to is found out when it is asked.
    pub fn refuses_literal(self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => !self.allows(address.into()),
            Some(Host::Ipv6(address)) => !self.allows(address.into()),
            Some(Host::Domain(_)) => false,
            None => true,
        }
    }
}

/// The name leads, at least in part, to where nobody from outside may send us.
#[derive(Debug)]
pub(crate) struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not a public one")
    }
}

impl Error for NotPublic {}

/// Looks names up.
pub(crate) trait Lookup: Send + Sync + 'static {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// By the system's own resolver.
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.map(|address| address.ip()).collect())
        })
    }
}

/// A resolver that checks what it answers. The connector connects to nothing but its answer, so an address cannot
/// change between the check and the connection; and it is asked anew, and checks anew, for every connection.
pub(crate) struct Guarded<L> {
    lookup: Arc<L>,
    allows: fn(IpAddr) -> bool,
}

impl<L: Lookup> Guarded<L> {
    pub(crate) fn new(lookup: L, allows: fn(IpAddr) -> bool) -> Self {
        Self { lookup: Arc::new(lookup), allows }
    }
}

impl<L: Lookup> Resolve for Guarded<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, allows) = (Arc::clone(&self.lookup), self.allows);
        Box::pin(async move {
            let found = lookup.lookup(name.as_str().to_owned()).await?;
            // One that is not public among public ones is no accident.
            if found.iter().any(|address| !allows(*address)) {
                return Err(NotPublic.into());
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Whether an address belongs to the public internet, by IANA's registries of special-purpose addresses.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [172, second, ..] => (16..=31).contains(&second),
        // Between carriers and their customers.
        [100, second, ..] => (64..=127).contains(&second),
        octets => matches!(
            octets,
            // This network, private, loopback, link-local, multicast and reserved; then protocol assignments,
            // documentation, relays and benchmarks.
            [0 | 10 | 127 | 224..=255, ..]
                | [169, 254, ..]
                | [192, 168, ..]
                | [192, 0, 0 | 2, _]
                | [192, 88, 99, _]
                | [198, 18 | 19, ..]
                | [198, 51, 100, _]
                | [203, 0, 113, _]
        ),
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    match segments {
        // An IPv4 address in disguise: mapped, or translated (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(embedded(segments)),
        // Protocol assignments (Teredo among them), documentation, 6to4.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] => false,
        [0x3fff, second, ..] => second > 0xfff,
        // Global unicast; everything else is loopback, local, multicast or nobody's.
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

fn embedded([.., high, low]: [u16; 8]) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_public_internet_is_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
    }

    #[test]
    fn what_is_of_the_public_internet_is_not() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "3ffe::1",
            "3fff:1000::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
    }

    #[test]
    fn an_address_in_a_url_is_seen_however_it_is_written() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "https://[fe80::1]:8443/",
            "http://10.0.0.1:80/",
        ] {
            let url: Url = url.parse().expect("a URL");
            assert!(Reach::Public.refuses_literal(&url), "{url}");
            assert!(!Reach::Everywhere.refuses_literal(&url), "{url}");
        }
        for url in ["http://1.1.1.1/", "http://example.com/", "http://localhost/"] {
            assert!(
                !Reach::Public.refuses_literal(&url.parse().expect("a URL")),
                "{url}: names meet the resolver"
            );
        }
    }
}
