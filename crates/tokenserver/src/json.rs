//! JSON written by hand into a held buffer: the key order of the wire, no tree in between.

use std::io::Write;

/// Appends `text` as a JSON string (RFC 8259 section 7), quotes included.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    // One pass without branches settles the usual case.
    if text.bytes().fold(false, |found, byte| found | is_special(byte)) {
        push_mixed(out, text);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

fn push_mixed(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        if is_special(byte) { push_escaped(out, byte) } else { out.push(byte) }
    }
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        control => write!(out, "\\u{control:04x}").expect("a Vec takes every write"),
    }
}

/// Appends an integer with as many leading zeros as make it `width` characters, its sign counted, as C's `%0*d` does.
pub(crate) fn push_padded(out: &mut Vec<u8>, number: i64, width: usize) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number.unsigned_abs());
    let sign = if number < 0 { "-" } else { "" };
    out.extend_from_slice(sign.as_bytes());
    out.resize(out.len() + width.saturating_sub(sign.len() + digits.len()), b'0');
    out.extend_from_slice(digits.as_bytes());
}

/// Appends an integer.
pub(crate) fn push_integer(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_string_reads_back_as_it_was(text in any::<String>()) {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("valid JSON"), text);
        }

        #[test]
        fn every_integer_is_padded_as_the_formatter_pads(number in any::<i64>(), shift in 0..64u32) {
            let number = number >> shift;
            let mut out = Vec::new();
            push_padded(&mut out, number, 13);
            prop_assert_eq!(String::from_utf8(out).expect("digits"), format!("{number:013}"));
        }

        #[test]
        fn every_integer_reads_back_as_it_was(number in any::<i64>()) {
            let mut out = Vec::new();
            push_integer(&mut out, number);
            prop_assert_eq!(serde_json::from_slice::<i64>(&out).expect("valid JSON"), number);
        }
    }

    #[test]
    fn quotes_backslashes_and_control_characters_are_escaped() {
        let mut out = Vec::new();
        push_string(&mut out, "a\"b\\c\nd\u{7f}é");
        assert_eq!(String::from_utf8(out).expect("UTF-8"), "\"a\\\"b\\\\c\\u000ad\u{7f}é\"");
    }
}
