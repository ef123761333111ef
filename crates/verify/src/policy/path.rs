//! Reading the path of a request so that everybody behind us reads it the same way.

use std::borrow::Cow;

/// A path, segment by segment, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path<'a>(Vec<Cow<'a, str>>);

impl<'a> Path<'a> {
    /// `None` when whoever serves the path could read it as another: dot segments, empty segments, parameters of segments,
    /// encoded slashes, what is no text. A slash at the end makes no difference.
    pub(super) fn read(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if path.is_empty() {
            return Some(Self(Vec::new()));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        path.split('/').map(segment).collect::<Option<_>>().map(Self)
    }

    pub(super) fn segments(&self) -> &[Cow<'a, str>] {
        &self.0
    }
}

fn segment(encoded: &str) -> Option<Cow<'_, str>> {
    let segment = if encoded.contains('%') { Cow::Owned(decoded(encoded)?) } else { Cow::Borrowed(encoded) };
    let ambiguous = |c: char| c.is_control() || matches!(c, '/' | '\\' | ';' | '?' | '#' | '%');
    let odd = matches!(&*segment, "" | "." | "..") || segment.contains(ambiguous);
    (!odd).then_some(segment)
}

/// RFC 3986 section 2.1.
fn decoded(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, after) = match (first, tail) {
            (b'%', [high, low, after @ ..]) => (hex(*high)? << 4 | hex(*low)?, after),
            (b'%', _) => return None,
            (byte, after) => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(path: &str) -> Option<Vec<String>> {
        Path::read(path).map(|path| path.0.into_iter().map(Cow::into_owned).collect())
    }

    #[test]
    fn a_path_is_read_segment_by_segment_and_decoded() {
        assert_eq!(read("/"), Some(vec![]));
        assert_eq!(read("/a/b"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read("/a/b/"), read("/a/b"));
        assert_eq!(read("/%61/b"), read("/a/b"));
        assert_eq!(read("/caf%C3%A9"), Some(vec!["café".to_owned()]));
        assert_eq!(
            read("/a...b/@x:y,=!$&'()*+~"),
            Some(vec!["a...b".to_owned(), "@x:y,=!$&'()*+~".to_owned()])
        );
    }

    #[test]
    fn what_others_could_read_as_another_path_is_not_read_at_all() {
        for path in [
            "",
            "a",
            "*",
            "//",
            "/a//b",
            "//a",
            "/a//",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e%2E/b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a;x=1/b",
            "/a%3bx",
            "/a%00",
            "/a%0a",
            "/a%",
            "/a%6",
            "/a%zz",
            "/a%ff",
            "/a%252f",
            "/a?b",
            "/a%3fb",
            "/a#b",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn encoding_a_letter_makes_no_other_path(path in "(/[a-zA-Z0-9_~.-]{3,8}){1,4}", at in any::<prop::sample::Index>()) {
            let at = at.index(path.len());
            let byte = path.as_bytes()[at];
            prop_assume!(byte != b'/');
            let encoded = format!("{}%{byte:02x}{}", &path[..at], &path[at + 1..]);
            prop_assert_eq!(read(&encoded), read(&path));
        }

        #[test]
        fn no_segment_that_is_read_climbs_or_hides_another(path in "/\\PC{0,40}") {
            for segment in read(&path).unwrap_or_default() {
                prop_assert!(!segment.contains(['/', '\\', '%']) && segment != ".." && segment != "." && !segment.is_empty());
            }
        }
    }
}
