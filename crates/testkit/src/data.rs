//! Made-up accounts and what queues say about them. The same number makes the same data, always.

use serde_json::json;

/// A subject as the identity provider gives them: 32 hex digits, spread over the whole range.
pub fn uid(number: u64) -> String {
    format!("{:016x}{:016x}", scatter(number), scatter(!number))
}

/// One after another, `count` of them from `first` on.
pub fn uids(first: u64, count: u64) -> impl Iterator<Item = String> {
    (first..first + count).map(uid)
}

/// A client state: the 16 bytes that name the encryption key of an account at one time.
pub fn client_state(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&scatter(number).to_be_bytes());
    bytes[8..].copy_from_slice(&scatter(number ^ 0x5bd1_e995).to_be_bytes());
    bytes
}

/// An `X-KeyID`: `<keys_changed_at>-<client state, base64url without padding>`.
pub fn key_id(keys_changed_at: i64, client_state: &[u8]) -> String {
    format!("{keys_changed_at:013}-{}", base64url(client_state))
}

/// A `passwordChange` at `at` (milliseconds), as the queue carries it.
pub fn password_change(uid: &str, at: i64) -> String {
    event("passwordChange", uid, at)
}

/// A `reset` at `at` (milliseconds).
pub fn password_reset(uid: &str, at: i64) -> String {
    event("reset", uid, at)
}

/// A `delete` at `at` (milliseconds).
pub fn delete(uid: &str, at: i64) -> String {
    event("delete", uid, at)
}

/// `body` as the notification that wraps it when the queue hangs on an SNS topic without raw delivery.
pub fn wrapped(body: &str) -> String {
    json!({ "Type": "Notification", "MessageId": "00000000-0000-4000-8000-000000000000", "Message": body })
        .to_string()
}

/// Flat, as its publisher writes it: `ts` in seconds with a fraction, `timestamp` in whole milliseconds, `generation`
/// for what changes the password.
fn event(name: &str, uid: &str, at: i64) -> String {
    let seconds = format!("{}.{:03}", at.div_euclid(1000), at.rem_euclid(1000));
    let seconds: serde_json::Number = seconds.parse().expect("digits, a dot and three digits are a number");
    let mut body = json!({
        "event": name, "uid": uid, "iss": "api.accounts.firefox.com", "ts": seconds, "timestamp": at,
    });
    if name != "delete" {
        body["generation"] = at.into();
    }
    body.to_string()
}

/// Spreads a number over 64 bits, each to another one (the finaliser of SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        (0..=chunk.len()).map(move |digit| ALPHABET[(group >> (18 - 6 * digit) & 63) as usize])
    });
    digits.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn uids_are_hex_and_all_different() {
        let made: HashSet<String> = uids(0, 10_000).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|uid| uid.len() == 32 && uid.bytes().all(|b| b.is_ascii_hexdigit())));
        assert_eq!(uid(7), uid(7));
    }

    #[test]
    fn a_key_id_has_thirteen_digits_and_base64url_without_padding() {
        assert_eq!(key_id(1234, &[0xaa, 0xaa]), "0000000001234-qqo");
        assert_eq!(key_id(1, &[]), "0000000000001-");
        assert_eq!(key_id(1, b"\xfb\xff\xfe"), "0000000000001--__-");
        assert_eq!(key_id(1, b"a"), "0000000000001-YQ");
    }

    #[test]
    fn an_event_is_flat_with_both_times() {
        assert_eq!(
            delete("ab", 1_700_000_000_123),
            r#"{"event":"delete","iss":"api.accounts.firefox.com","timestamp":1700000000123,"ts":1700000000.123,"uid":"ab"}"#
        );
        assert!(password_change("ab", 5).contains(r#""generation":5"#));
    }
}
