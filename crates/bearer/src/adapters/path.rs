use std::fmt;

/// The path of a request, in the one form that rules compare: percent-encoded characters that need no encoding are
/// decoded, the others are written in upper case (RFC 3986 section 6.2.2).
///
/// A path that servers read in different ways is none: whoever judged `/public/../admin` by its beginning would open what
/// the backend serves by its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestPath(String);

/// A path that can be read in more than one way, or in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path can be read in more than one way: it has {0}")]
pub struct AmbiguousPath(&'static str);

impl RequestPath {
    /// Reads the path of a request target: what stands before `?`.
    pub fn parse(target: &str) -> Result<Self, AmbiguousPath> {
        let raw = target.split(['?', '#']).next().unwrap_or_default();
        if !raw.starts_with('/') {
            return Err(AmbiguousPath("no slash at its beginning"));
        }
        let path = decoded(raw)?;
        let mut segments = path.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            match segment {
                // Parameters of a segment (`..;x`) are cut off by some servers before they look at it.
                dots if matches!(dots.split(';').next(), Some("." | "..")) => {
                    return Err(AmbiguousPath("a segment of dots"));
                }
                "" if segments.peek().is_some() => return Err(AmbiguousPath("an empty segment")),
                _ => {}
            }
        }
        Ok(Self(path))
    }

    /// The path, from its first slash on.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn decoded(raw: &str) -> Result<String, AmbiguousPath> {
    let mut path = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match (hex(bytes.next()), hex(bytes.next())) {
                (Some(high), Some(low)) => push_decoded(&mut path, high * 16 + low)?,
                _ => return Err(AmbiguousPath("a percent sign that encodes nothing")),
            },
            b'\\' => return Err(AmbiguousPath("a backslash")),
            b'!'..=b'~' => path.push(char::from(byte)),
            _ => return Err(AmbiguousPath("a character that must be encoded")),
        }
    }
    Ok(path)
}

fn push_decoded(path: &mut String, byte: u8) -> Result<(), AmbiguousPath> {
    match byte {
        b'/' | b'\\' => Err(AmbiguousPath("an encoded slash or backslash")),
        0..=0x1f | 0x7f => Err(AmbiguousPath("an encoded control character")),
        unreserved if unreserved.is_ascii_alphanumeric() || b"-._~".contains(&unreserved) => {
            path.push(char::from(unreserved));
            Ok(())
        }
        other => {
            super::identity::push_encoded(path, other);
            Ok(())
        }
    }
}

fn hex(byte: Option<u8>) -> Option<u8> {
    let value = char::from(byte?).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_needs_no_encoding_is_decoded_and_the_rest_has_one_spelling() {
        for (target, path) in [
            ("/", "/"),
            ("/a/b?c=/../d", "/a/b"),
            ("/%61dmin/", "/admin/"),
            ("/a%20b/%c3%a4", "/a%20b/%C3%A4"),
            ("/a+b;c=d/e", "/a+b;c=d/e"),
            ("/...", "/..."),
        ] {
            assert_eq!(RequestPath::parse(target).expect(target).as_str(), path);
        }
    }

    #[test]
    fn what_two_servers_may_read_in_two_ways_is_refused() {
        for target in [
            "",
            "admin",
            "*",
            "http://host/admin",
            "/public/../admin",
            "/public/%2e%2E/admin",
            "/public/.%2e",
            "/public/..;x/admin",
            "/./admin",
            "/public/.",
            "//admin",
            "/a//b",
            "/a%2fb",
            "/a%5Cb",
            "/a\\..\\b",
            "/a%00",
            "/a%0d%0aX: y",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a b",
            "/ä",
        ] {
            assert!(RequestPath::parse(target).is_err(), "{target}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_path_that_was_read_changes_nothing(target in "/[a-zA-Z0-9%./;~é?\\\\]{0,24}") {
            if let Ok(path) = RequestPath::parse(&target) {
                prop_assert_eq!(RequestPath::parse(path.as_str()), Ok(path.clone()));
                prop_assert!(path.as_str().split('/').all(|segment| segment != "." && segment != ".."));
            }
        }
    }
}
