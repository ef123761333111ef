//! Which secrets go with which format.

use super::{Config, Format, InvalidConfig, Secret, Secrets};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderName, HeaderValue};
use outbound::Papers;
use std::fmt;

const MOST_HEADERS: usize = 20;
const LONGEST_PEM: usize = 64 * 1024;
/// Headers that belong to the exchange itself.
const OURS: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::HOST,
    header::CONNECTION,
    header::USER_AGENT,
    header::ACCEPT,
];

pub(super) fn check(config: &Config, secrets: &Secrets) -> Result<(), InvalidConfig> {
    let no = |why: &str| Err(InvalidConfig(why.into()));
    if config.format == Format::FxaHeader && secrets.authorization.is_some() {
        return no("in the FxA format `Authorization` carries the token; give other headers");
    }
    if secrets.authorization.as_ref().is_some_and(|it| HeaderValue::from_str(it.reveal()).is_err()) {
        return no("the authorization cannot stand in a header");
    }
    if let Some(oauth) = &secrets.oauth {
        if config.format == Format::FxaHeader || secrets.authorization.is_some() {
            return no(
                "an access token is the `Authorization`; it goes with neither another nor the FxA format",
            );
        }
        let texts = [Some(&oauth.client_id), oauth.scope.as_ref(), oauth.resource.as_ref()];
        let is_odd =
            |text: &&String| text.is_empty() || text.len() > 1_000 || text.chars().any(char::is_control);
        if texts.into_iter().flatten().any(|text| is_odd(&text)) {
            return no("a text of oauth is empty, over 1000 bytes, or has a control character");
        }
        config.check_url("token_url of oauth", &oauth.token_url)?;
    }
    if secrets.headers.len() > MOST_HEADERS {
        return no("there are over 20 headers");
    }
    for (name, value) in &secrets.headers {
        check_header(name, value)?;
    }
    check_certificates(config, secrets)?;
    check_webhook_secrets(config.format, &secrets.webhook)
}

/// Certificates are tried: what cannot be read, or has another's key, is found now and not at a delivery.
fn check_certificates(config: &Config, secrets: &Secrets) -> Result<(), InvalidConfig> {
    let too_long = |text: &str| text.len() > LONGEST_PEM;
    let no = |what: &str, why: &dyn fmt::Display| Err(InvalidConfig(format!("the {what}: {why}")));
    if let Some(authorities) = &config.certificate_authorities {
        let what = "certificate authorities";
        if too_long(authorities) {
            return no(what, &"over 64 KiB");
        }
        if let Err(error) = Papers::default().believing(authorities) {
            return no(what, &error);
        }
    }
    if let Some(certificate) = &secrets.client_certificate {
        let what = "client certificate";
        if too_long(certificate.reveal()) {
            return no(what, &"over 64 KiB");
        }
        if let Err(error) = Papers::default().showing(certificate.reveal()) {
            return no(what, &error);
        }
    }
    Ok(())
}

fn check_header(name: &str, value: &Secret) -> Result<(), InvalidConfig> {
    let no = |why: &str| Err(InvalidConfig(format!("the header {name:?} {why}")));
    match HeaderName::try_from(name) {
        Err(_) => no("has no header's name"),
        Ok(ours) if OURS.contains(&ours) || ours.as_str().starts_with("webhook-") => {
            no("belongs to the exchange itself")
        }
        Ok(_) if HeaderValue::from_str(value.reveal()).is_err() => no("has a value that cannot be sent"),
        Ok(_) => Ok(()),
    }
}

/// Standard Webhooks: `whsec_` and 24 to 64 bytes in base64, `whsk_` and a seed of 32 bytes (or seed and public key).
fn check_webhook_secrets(format: Format, secrets: &[Secret]) -> Result<(), InvalidConfig> {
    let (prefix, lengths): (&str, &[usize]) = match format {
        Format::WebhookHmac => ("whsec_", &[]),
        Format::WebhookEd25519 => ("whsk_", &[32, 64]),
        Format::FxaHeader | Format::Push | Format::Poll => return Ok(()),
    };
    let fits = |length: usize| {
        if lengths.is_empty() { (24..=64).contains(&length) } else { lengths.contains(&length) }
    };
    let good = |secret: &Secret| webhook_key(secret, prefix).is_some_and(|key| fits(key.len()));
    if secrets.is_empty() || secrets.len() > 4 || !secrets.iter().all(good) {
        return Err(InvalidConfig(format!("1 to 4 webhook secrets are needed, each `{prefix}` and base64")));
    }
    Ok(())
}

/// The bytes of a secret of Standard Webhooks, if it has that prefix.
pub(crate) fn webhook_key(secret: &Secret, prefix: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    let text = secret.reveal().strip_prefix(prefix)?;
    STANDARD.decode(text).ok().map(zeroize::Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(format: Format, secrets: &Secrets) -> Result<(), String> {
        check(&Config { format, ..Config::default() }, secrets).map_err(|error| error.to_string())
    }

    fn with_header(name: &str, value: &str) -> Secrets {
        Secrets { headers: [(name.to_owned(), Secret::new(value))].into(), ..Secrets::default() }
    }

    #[test]
    fn a_header_of_the_exchange_itself_cannot_be_set() {
        assert_eq!(verdict(Format::Push, &with_header("x-key", "1")), Ok(()));
        for (name, value) in
            [("Authorization", "x"), ("HOST", "x"), ("webhook-id", "x"), ("a b", "x"), ("x-key", "a\nb")]
        {
            assert!(verdict(Format::Push, &with_header(name, value)).is_err(), "{name}");
        }
    }

    #[test]
    fn the_fxa_format_has_no_room_for_another_authorization() {
        let secrets = Secrets { authorization: Some(Secret::new("Bearer x")), ..Secrets::default() };
        assert!(verdict(Format::FxaHeader, &secrets).is_err());
        assert_eq!(verdict(Format::Push, &secrets), Ok(()));
    }

    #[test]
    fn webhook_secrets_have_their_prefix_and_length() {
        let with = |format, prefix: &str, length| {
            let text = format!("{prefix}{}", STANDARD.encode(vec![7; length]));
            verdict(format, &Secrets { webhook: vec![Secret::new(text)], ..Secrets::default() })
        };
        assert_eq!(with(Format::WebhookHmac, "whsec_", 24), Ok(()));
        assert_eq!(with(Format::WebhookEd25519, "whsk_", 32), Ok(()));
        assert!(with(Format::WebhookHmac, "whsec_", 23).is_err());
        assert!(with(Format::WebhookHmac, "whsk_", 32).is_err());
        assert!(with(Format::WebhookEd25519, "whsk_", 31).is_err());
        assert!(verdict(Format::WebhookHmac, &Secrets::default()).is_err());
    }
}
