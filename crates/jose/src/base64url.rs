use base64_simd::URL_SAFE_NO_PAD;

/// Bytes as base64url without padding (RFC 7515 section 2).
pub fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Whether every character is one of the base64url alphabet. Says nothing about the length.
pub fn is_base64url(text: &str) -> bool {
    let is_one = |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    // All of them, many at once, whatever the first says: tokens are long, and nearly always good.
    text.bytes().fold(true, |all, byte| all & is_one(byte))
}

/// Strict: no padding, no foreign characters, unused trailing bits zero; so a text has one form only.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}

pub(crate) fn encode_onto(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_append(bytes, text);
}
