//! Hawk, as far as sync needs it: one MAC over method, path, host and port, no payload hash.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct HawkRequest<'a> {
    /// In upper case.
    pub method: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// In lower case, without the port.
    pub host: &'a str,
    /// The port, the scheme's own when the URL names none.
    pub port: u16,
}

/// The `Authorization` header's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HawkHeader {
    /// Whose key.
    pub id: String,
    /// When it was signed: seconds since the epoch, as text.
    pub ts: String,
    /// What makes it unique.
    pub nonce: String,
    /// Payload hash; empty when there is none.
    pub hash: String,
    /// Extra data; empty when there is none.
    pub ext: String,
    /// The MAC, base64 with padding.
    pub mac: String,
}

/// An `Authorization` header that is no Hawk header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHawk {
    /// Another scheme, or none.
    #[error("the scheme is not Hawk")]
    Scheme,
    /// Not a list of `name="value"`.
    #[error("its attributes cannot be read")]
    Attributes,
    /// One of `id`, `ts`, `nonce`, `mac` is not there.
    #[error("an attribute is missing")]
    Missing,
}

impl HawkHeader {
    /// Signs `request` with `key` (text, used as its bytes) for the id it belongs to.
    pub fn sign(id: &str, key: &str, ts: i64, nonce: &str, request: HawkRequest<'_>) -> Self {
        let unsigned =
            Self { id: id.to_owned(), ts: ts.to_string(), nonce: nonce.to_owned(), ..Self::default() };
        let mac = hmac::sign(&mac_key(key), unsigned.normalised(request).as_bytes());
        Self { mac: STANDARD.encode(mac), ..unsigned }
    }

    /// Reads an `Authorization` header.
    pub fn parse(header: &str) -> Result<Self, InvalidHawk> {
        let (scheme, rest) = header.split_once(' ').ok_or(InvalidHawk::Scheme)?;
        if !scheme.eq_ignore_ascii_case("hawk") {
            return Err(InvalidHawk::Scheme);
        }
        let mut parsed = Self::default();
        let mut rest = rest.trim();
        while !rest.is_empty() {
            let (name, value, after) = attribute(rest).ok_or(InvalidHawk::Attributes)?;
            parsed.set(name, value)?;
            rest = after;
        }
        let needed = [&parsed.id, &parsed.ts, &parsed.nonce, &parsed.mac];
        if needed.iter().any(|value| value.is_empty()) { Err(InvalidHawk::Missing) } else { Ok(parsed) }
    }

    /// Whether `key` made the MAC, over this very request. Takes the same time either way.
    pub fn is_signed(&self, key: &str, request: HawkRequest<'_>) -> bool {
        let Ok(mac) = STANDARD.decode(&self.mac) else { return false };
        hmac::verify(&mac_key(key), self.normalised(request).as_bytes(), &mac).is_ok()
    }

    fn normalised(&self, request: HawkRequest<'_>) -> String {
        let HawkRequest { method, target, host, port } = request;
        let Self { ts, nonce, hash, ext, .. } = self;
        format!("hawk.1.header\n{ts}\n{nonce}\n{method}\n{target}\n{host}\n{port}\n{hash}\n{ext}\n")
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), InvalidHawk> {
        let field = match name {
            "id" => &mut self.id,
            "ts" => &mut self.ts,
            "nonce" => &mut self.nonce,
            "hash" => &mut self.hash,
            "ext" => &mut self.ext,
            "mac" => &mut self.mac,
            _ => return Err(InvalidHawk::Attributes),
        };
        value.clone_into(field);
        Ok(())
    }
}

impl fmt::Display for HawkHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, ts, nonce, mac, .. } = self;
        write!(f, r#"Hawk id="{id}", ts="{ts}", nonce="{nonce}""#)?;
        for (name, value) in [("hash", &self.hash), ("ext", &self.ext)] {
            if !value.is_empty() {
                write!(f, r#", {name}="{value}""#)?;
            }
        }
        write!(f, r#", mac="{mac}""#)
    }
}

fn mac_key(key: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())
}

/// The first `name="value"` of `text`, and what follows it and its comma.
fn attribute(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let (value, rest) = rest.strip_prefix('"')?.split_once('"')?;
    let rest = rest.trim_start();
    let after = if rest.is_empty() { rest } else { rest.strip_prefix(',')?.trim_start() };
    Some((name, value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: HawkRequest<'_> =
        HawkRequest { method: "GET", target: "/1.5/42/info/collections", host: "example.com", port: 443 };
    const KEY: &str = "Fw4DpCg2TwrWq8k-dxG9Qty9L9AE4V1pzxPRZnilB88=";

    /// The vector of the Tokenserver's specification, section 5.5.
    #[test]
    fn the_mac_is_the_one_that_the_field_agrees_on() {
        let header = HawkHeader::sign("id", KEY, 1_700_000_000, "abcdef", REQUEST);
        assert_eq!(header.mac, "szvdGS/RvFIAcp9C5yAxvLgTT23/KSKZBoHVa+Wls78=");
        assert!(header.is_signed(KEY, REQUEST));
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = HawkHeader::sign("an id", KEY, 7, "n", REQUEST);
        assert_eq!(HawkHeader::parse(&header.to_string()), Ok(header.clone()));
        let with_ext = HawkHeader { ext: "more".to_owned(), ..header };
        assert_eq!(HawkHeader::parse(&with_ext.to_string()), Ok(with_ext));
    }

    #[test]
    fn another_request_or_another_key_is_not_signed() {
        let header = HawkHeader::sign("id", KEY, 7, "n", REQUEST);
        assert!(!header.is_signed("another", REQUEST));
        for other in [
            HawkRequest { method: "POST", ..REQUEST },
            HawkRequest { target: "/1.5/43/info/collections", ..REQUEST },
            HawkRequest { host: "example.org", ..REQUEST },
            HawkRequest { port: 80, ..REQUEST },
        ] {
            assert!(!header.is_signed(KEY, other), "{other:?}");
        }
        assert!(!HawkHeader { nonce: "m".to_owned(), ..header }.is_signed(KEY, REQUEST));
    }

    #[test]
    fn what_is_no_hawk_header_is_said_so() {
        for (text, wrong) in [
            ("", InvalidHawk::Scheme),
            ("Bearer x", InvalidHawk::Scheme),
            ("Hawk ", InvalidHawk::Missing),
            (r#"Hawk id="a", ts="1""#, InvalidHawk::Missing),
            (r#"Hawk id="a" ts="1""#, InvalidHawk::Attributes),
            ("Hawk id=a", InvalidHawk::Attributes),
            (r#"Hawk what="a""#, InvalidHawk::Attributes),
        ] {
            assert_eq!(HawkHeader::parse(text), Err(wrong), "{text}");
        }
    }
}
