//! Making a secret of Standard Webhooks.

use super::{Format, Secret};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A fresh secret, and what its receiver checks signatures with.
#[derive(Clone, Debug)]
pub(crate) struct FreshSecret {
    pub(crate) secret: Secret,
    /// To be shown this once.
    pub(crate) check_with: CheckWith,
}

/// What a receiver of Standard Webhooks checks signatures with. It is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckWith {
    /// The secret itself: `whsec_…`.
    Secret(Secret),
    /// The public key: `whpk_…`.
    PublicKey(String),
}

impl FreshSecret {
    /// One for that format; `None` for those that sign otherwise.
    pub(crate) fn of(format: Format) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(&mut *bytes).expect("the system's random source works");
        let text = |prefix: &str| Secret::new(format!("{prefix}{}", STANDARD.encode(*bytes)));
        match format {
            Format::WebhookHmac => {
                let secret = text("whsec_");
                Some(Self { check_with: CheckWith::Secret(secret.clone()), secret })
            }
            Format::WebhookEd25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&*bytes).expect("32 bytes are a seed");
                let public = format!("whpk_{}", STANDARD.encode(pair.public_key()));
                Some(Self { check_with: CheckWith::PublicKey(public), secret: text("whsk_") })
            }
            Format::FxaHeader | Format::Push | Format::Poll => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Secrets};

    #[test]
    fn a_fresh_secret_fits_its_format_and_no_two_are_alike() {
        for format in [Format::WebhookHmac, Format::WebhookEd25519] {
            let made = || FreshSecret::of(format).expect("it signs by a secret");
            let (one, other) = (made(), made());
            assert_ne!(one.secret, other.secret);
            let secrets = Secrets { webhook: vec![one.secret, other.secret], ..Secrets::default() };
            assert_eq!(Config { format, ..Config::default() }.check(&secrets), Ok(()));
        }
        assert!(FreshSecret::of(Format::Push).is_none());
    }

    #[test]
    fn a_receiver_gets_the_secret_itself_or_the_public_half_of_it() {
        let hmac = FreshSecret::of(Format::WebhookHmac).expect("it signs by a secret");
        assert_eq!(hmac.check_with, CheckWith::Secret(hmac.secret));
        let ed25519 = FreshSecret::of(Format::WebhookEd25519).expect("it signs by a secret");
        let CheckWith::PublicKey(public) = ed25519.check_with else { panic!("a public key") };
        assert!(public.starts_with("whpk_") && !format!("{:?}", ed25519.secret).contains("whsk_"));
    }
}
