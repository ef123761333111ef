//! The token that a Tokenserver mints, as a node opens it.

use account::Millis;
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde::Deserialize;

const SIGNATURE: usize = 32;

/// What a token says.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Ticket {
    /// The user's number: the storage partition.
    pub uid: i64,
    /// The node it is for. A node does not compare it with its own URL.
    pub node: String,
    /// When it ends: seconds since the epoch; some issuers give a fraction.
    pub expires: f64,
    /// What makes its key unlike that of another token.
    pub salt: String,
    /// The account at the identity provider.
    #[serde(default)]
    pub fxa_uid: String,
    /// The encryption key's id.
    #[serde(default)]
    pub fxa_kid: String,
    /// The account, hashed for metrics.
    #[serde(default)]
    pub hashed_fxa_uid: String,
    /// The device, hashed for metrics.
    #[serde(default)]
    pub hashed_device_id: String,
    /// Which Tokenserver made it.
    #[serde(default)]
    pub tokenserver_origin: String,
}

/// A token that nobody with the secret made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTicket {
    /// Not base64url with padding, or too short to hold a signature.
    #[error("it is no token")]
    Shape,
    /// The signature does not fit.
    #[error("its signature does not fit")]
    Signature,
    /// Signed, but not what a token holds.
    #[error("its payload cannot be read")]
    Payload,
}

impl Ticket {
    /// Whether it has ended at `now`; a fraction of its end is rounded.
    pub fn is_over(&self, now: Millis) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "saturates; seconds since the epoch fit")]
        let expires = self.expires.round() as i64;
        expires <= now.seconds()
    }
}

/// What a node derives from the secret that it shares with the Tokenserver.
pub struct TicketKeys {
    secret: Vec<u8>,
    signing: hmac::Key,
}

impl TicketKeys {
    /// The secret is the setting's text as it is.
    pub fn new(secret: &str) -> Self {
        let secret = secret.as_bytes().to_vec();
        let signing = derive(&secret, b"", &[b"services.mozilla.com/tokenlib/v1/signing"]);
        Self { signing: hmac::Key::new(hmac::HMAC_SHA256, &signing), secret }
    }

    /// Checks the signature and reads the payload.
    pub fn open(&self, token: &str) -> Result<Ticket, InvalidTicket> {
        let bytes = URL_SAFE.decode(token).map_err(|_| InvalidTicket::Shape)?;
        let split = bytes.len().checked_sub(SIGNATURE).ok_or(InvalidTicket::Shape)?;
        let (payload, signature) = bytes.split_at(split);
        hmac::verify(&self.signing, payload, signature).map_err(|_| InvalidTicket::Signature)?;
        serde_json::from_slice(payload).map_err(|_| InvalidTicket::Payload)
    }

    /// The Hawk key of a token: base64url with padding of what is derived from the secret, the salt's *text* and the
    /// whole token.
    pub fn hawk_key(&self, token: &str, ticket: &Ticket) -> String {
        let info: [&[u8]; 2] = [b"services.mozilla.com/tokenlib/v1/derive/", token.as_bytes()];
        URL_SAFE.encode(derive(&self.secret, ticket.salt.as_bytes(), &info))
    }
}

/// HKDF with SHA-256 (RFC 5869), 32 bytes. An empty salt is the same as the 32 zero bytes that stand for none.
fn derive(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut out))
        .expect("32 bytes are within what HKDF gives");
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The vectors of the Tokenserver's specification, section 5.5: the same payload, compact and with spaces.
    pub(crate) const VECTORS: [(&str, &str); 2] = [
        (
            "eyJub2RlIjoiaHR0cHM6Ly9leGFtcGxlLmNvbSIsImZ4YV9raWQiOiIwMDAwMDAwMDAxMjM0LXFxbyIsImZ4YV91aWQiOiIwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiIsImhhc2hlZF9kZXZpY2VfaWQiOiJjZmE4ZDQ3OGQyMTQ0ZmI0ZGU3Y2M3NzBmOGExNzMzNCIsImhhc2hlZF9meGFfdWlkIjoiZGJmOWU2MmY0ZWQ0OGMxOTM5MjFkZDUxOGYwNDU5ZjMiLCJleHBpcmVzIjoxNzAwMDAzNjAwLCJ1aWQiOjQyLCJ0b2tlbnNlcnZlcl9vcmlnaW4iOiJydXN0Iiwic2FsdCI6ImExYjJjMyJ9gs_3ktUWtt42PDoSki6AI0KQBIUIY89NJ9mkSiyx9uc=",
            "Fw4DpCg2TwrWq8k-dxG9Qty9L9AE4V1pzxPRZnilB88=",
        ),
        (
            "eyJub2RlIjogImh0dHBzOi8vZXhhbXBsZS5jb20iLCAiZnhhX2tpZCI6ICIwMDAwMDAwMDAxMjM0LXFxbyIsICJmeGFfdWlkIjogIjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmIiwgImhhc2hlZF9kZXZpY2VfaWQiOiAiY2ZhOGQ0NzhkMjE0NGZiNGRlN2NjNzcwZjhhMTczMzQiLCAiaGFzaGVkX2Z4YV91aWQiOiAiZGJmOWU2MmY0ZWQ0OGMxOTM5MjFkZDUxOGYwNDU5ZjMiLCAiZXhwaXJlcyI6IDE3MDAwMDM2MDAsICJ1aWQiOiA0MiwgInRva2Vuc2VydmVyX29yaWdpbiI6ICJydXN0IiwgInNhbHQiOiAiYTFiMmMzIn1VMZ8rHX9Pxxh-I9WpwDb3ryImS4wco8cT4rPxgY7EHA==",
            "6j9xhm9ApggFXISdxZexG9TvVI8hT3EpFWUdUeuF_bY=",
        ),
    ];

    #[test]
    fn the_vectors_open_and_give_their_keys() {
        let keys = TicketKeys::new("secret0");
        for (token, key) in VECTORS {
            let ticket = keys.open(token).expect("the vector is signed with secret0");
            assert_eq!(
                (ticket.uid, ticket.node.as_str(), ticket.salt.as_str()),
                (42, "https://example.com", "a1b2c3")
            );
            assert_eq!(ticket.fxa_kid, "0000000001234-qqo");
            assert_eq!(keys.hawk_key(token, &ticket), key);
        }
    }

    #[test]
    fn another_secret_or_a_changed_byte_does_not_open() {
        let (token, _) = VECTORS[0];
        assert_eq!(TicketKeys::new("secret1").open(token), Err(InvalidTicket::Signature));
        let changed = token.replacen("eyJub2Rl", "eyJub2Rm", 1);
        assert_eq!(TicketKeys::new("secret0").open(&changed), Err(InvalidTicket::Signature));
        assert_eq!(TicketKeys::new("secret0").open("AAAA"), Err(InvalidTicket::Shape));
        assert_eq!(TicketKeys::new("secret0").open("%"), Err(InvalidTicket::Shape));
    }

    #[test]
    fn a_ticket_is_over_from_the_second_it_expires_in() {
        let ticket =
            TicketKeys::new("secret0").open(VECTORS[0].0).expect("the vector is signed with secret0");
        assert!(!ticket.is_over(Millis::new(1_700_003_599_999)));
        assert!(ticket.is_over(Millis::new(1_700_003_600_000)));
    }
}
