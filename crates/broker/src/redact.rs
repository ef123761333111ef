//! What is kept of a relying party's answer. Pure.

use crate::RelyingParty;

/// So much of an answer is kept, in bytes.
pub(crate) const KEPT: usize = 2048;
/// Stands for what is not kept.
pub(crate) const STRUCK: &str = "[redacted]";

/// The beginning of an answer, without tokens, secrets, addresses, or what no store can hold: receivers echo what they
/// were sent. `None` when there is nothing.
pub(crate) fn kept(body: &[u8], rp: &RelyingParty) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(KEPT)]);
    let text: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    let mut text = text.trim().to_owned();
    for secret in rp.secrets.texts() {
        let bare = secret.rsplit(' ').next().unwrap_or(secret);
        for word in [secret, bare].into_iter().filter(|word| word.len() >= 4) {
            text = text.replace(word, STRUCK);
        }
    }
    let text = strike(&text, is_token);
    let text = strike(&text, is_address);
    (!text.is_empty()).then_some(text)
}

/// Strikes out the words (between quotes, spaces and brackets) for which `hides` holds.
fn strike(text: &str, hides: fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_ends = rest.find(is_border).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_ends);
        out.push_str(if hides(word) { STRUCK } else { word });
        let border_ends = after.find(|c| !is_border(c)).unwrap_or(after.len());
        out.push_str(&after[..border_ends]);
        rest = &after[border_ends..];
    }
    out
}

fn is_border(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')' | '{' | '}' | '[' | ']' | ',' | ';' | '&' | '=')
}

/// What begins as a JWS does, cut off or not.
fn is_token(word: &str) -> bool {
    word.len() > 20 && word.contains("eyJ")
}

fn is_address(word: &str) -> bool {
    word.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && domain.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientId, Config, Secret, Secrets, Status};
    use account::Millis;
    use proptest::prelude::*;

    fn rp() -> RelyingParty {
        RelyingParty {
            client_id: ClientId::new("a").expect("valid"),
            config: Config::default(),
            secrets: Secrets { authorization: Some(Secret::new("Bearer s3cret")), ..Secrets::default() },
            status: Status::Enabled,
            status_at: Millis::ZERO,
        }
    }

    #[test]
    fn neither_tokens_nor_secrets_nor_addresses_are_kept() {
        let kept = |text: &str| kept(text.as_bytes(), &rp());
        assert_eq!(
            kept(r#"{"error":"bad token eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiI.c2ln","for":"a.b@example.org"}"#)
                .as_deref(),
            Some(r#"{"error":"bad token [redacted]","for":"[redacted]"}"#)
        );
        assert_eq!(kept("you sent Bearer s3cret").as_deref(), Some("you sent [redacted]"));
        assert_eq!(kept("you sent s3cret").as_deref(), Some("you sent [redacted]"));
        assert_eq!(kept("a\0b\r\n").as_deref(), Some("a b"));
        assert_eq!(kept("  \n"), None);
    }

    #[test]
    fn only_the_beginning_is_kept() {
        let long = "x ".repeat(KEPT);
        assert!(kept(long.as_bytes(), &rp()).expect("something").len() <= KEPT);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_or_lets_a_nul_through(body in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!kept(&body, &rp()).unwrap_or_default().contains('\0'));
        }
    }
}
