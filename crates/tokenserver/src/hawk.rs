//! Hawk, as far as the purge needs it: one MAC over method, path, host and port.

use crate::Token;
use aws_lc_rs::hmac;
use base64_simd::STANDARD;
use url::Url;

/// The `Authorization` of a request without a body, signed with a token's key. `None` for a URL without a host.
pub(crate) fn authorization(
    token: &Token,
    method: &str,
    url: &Url,
    seconds: i64,
    nonce: &str,
) -> Option<String> {
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let signed = format!("hawk.1.header\n{seconds}\n{nonce}\n{method}\n{target}\n{host}\n{port}\n\n\n");
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.key.as_bytes());
    let mac = STANDARD.encode_to_string(hmac::sign(&key, signed.as_bytes()));
    Some(format!(r#"Hawk id="{}", ts="{seconds}", nonce="{nonce}", mac="{mac}""#, token.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the specification, section 5.5.
    #[test]
    fn the_mac_is_the_one_that_the_field_agrees_on() {
        let key = "Fw4DpCg2TwrWq8k-dxG9Qty9L9AE4V1pzxPRZnilB88=".to_owned();
        let token = Token { id: "id".to_owned(), key };
        let url = "https://example.com/1.5/42/info/collections".parse().expect("a URL");
        assert_eq!(
            authorization(&token, "GET", &url, 1_700_000_000, "abcdef").expect("it has a host"),
            r#"Hawk id="id", ts="1700000000", nonce="abcdef", mac="szvdGS/RvFIAcp9C5yAxvLgTT23/KSKZBoHVa+Wls78=""#
        );
    }
}
