use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// The longest, in bytes, as the column holds it.
const LONGEST: usize = 300;
/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// What a client certificate goes by: `sha256:` and its fingerprint, or a name in it, `dns:` or `uri:`.
///
/// A fingerprint is of one certificate; a name is of every certificate that the trusted authorities give out for it, its
/// renewals too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "dns:proxy.internal")]
pub struct CertificateName(String);

/// A text that no certificate goes by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is nothing a certificate goes by: `sha256:` and 64 hexadecimal digits, `dns:` and a host name, or `uri:` and a URI"
)]
pub struct InvalidCertificateName(String);

impl CertificateName {
    /// The fingerprint of a certificate in DER.
    pub fn fingerprint(der: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(digest(&SHA256, der))))
    }

    /// A DNS name in a certificate (RFC 5280 section 4.2.1.6).
    pub fn dns(name: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        // A wildcard names nobody.
        Self::bounded(!name.is_empty() && name.bytes().all(is_plain), "dns", &name.to_ascii_lowercase())
    }

    /// A URI in a certificate, such as a SPIFFE id. It is compared as it is.
    pub fn uri(uri: &str) -> Option<Self> {
        let is_uri = uri.contains(':') && uri.bytes().all(|byte| byte.is_ascii_graphic());
        Self::bounded(is_uri, "uri", uri)
    }

    fn bounded(good: bool, kind: &str, name: &str) -> Option<Self> {
        let whole = format!("{kind}:{name}");
        (good && whole.len() <= LONGEST).then_some(Self(whole))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertificateName {
    type Err = InvalidCertificateName;

    /// A fingerprint may be written with colons and in capitals, as openssl does.
    fn from_str(text: &str) -> Result<Self, InvalidCertificateName> {
        let named = match text.trim().split_once(':') {
            Some(("sha256", digits)) => {
                let digits = digits.replace(':', "").to_ascii_lowercase();
                let good = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                Self::bounded(good, "sha256", &digits)
            }
            Some(("dns", name)) => Self::dns(name),
            Some(("uri", uri)) => Self::uri(uri),
            _ => None,
        };
        named.ok_or_else(|| InvalidCertificateName(text.to_owned()))
    }
}

impl TryFrom<String> for CertificateName {
    type Error = InvalidCertificateName;

    fn try_from(text: String) -> Result<Self, InvalidCertificateName> {
        text.parse()
    }
}

impl From<CertificateName> for String {
    fn from(name: CertificateName) -> Self {
        name.0
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        text.parse::<CertificateName>().ok().map(String::from)
    }

    #[test]
    fn a_name_is_read_in_the_ways_it_is_written() {
        let digits = "ab".repeat(32);
        let openssls = vec!["AB"; 32].join(":");
        assert_eq!(read(&format!("sha256:{openssls}")), Some(format!("sha256:{digits}")));
        assert_eq!(read("dns:Proxy.Internal").as_deref(), Some("dns:proxy.internal"));
        let spiffe = "uri:spiffe://example.org/ns/web/sa/Proxy";
        assert_eq!(read(spiffe).as_deref(), Some(spiffe));
        assert_eq!(CertificateName::fingerprint(b"").as_str().len(), "sha256:".len() + DIGITS);
    }

    #[test]
    fn what_names_nobody_is_refused() {
        let long = format!("dns:{}", "a".repeat(LONGEST));
        for odd in [
            "",
            "dns:",
            "dns:*.example",
            "dns:a b",
            "uri:",
            "uri:nothing",
            "uri:a:b c",
            "sha256:ab",
            "sha1:ab",
            "proxy",
            &long,
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(read(&format!("sha256:{}", "g".repeat(DIGITS))), None);
    }
}
