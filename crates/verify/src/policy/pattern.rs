//! Patterns of paths: `/users/{id}`, `/files/{*rest}`.

use super::path::Path;
use std::cmp::Ordering;

/// Which paths a rule is for.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
    rest: Rest,
}

/// Ordered by how much it says: a text more than any text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Text(Box<str>),
    Any,
}

/// What may come after the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    Nothing,
    Anything,
}

impl Pattern {
    /// The error says what is wrong, after the word "path".
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let path = text.strip_prefix('/').ok_or("must begin with a slash")?;
        let mut pattern = Self { segments: Vec::new(), rest: Rest::Nothing };
        if path.is_empty() {
            return Ok(pattern);
        }
        for segment in path.strip_suffix('/').unwrap_or(path).split('/') {
            if pattern.rest == Rest::Anything {
                return Err("goes on after {*…}, which takes everything");
            }
            match name(segment)? {
                None => pattern.segments.push(Segment::Text(Box::from(segment))),
                Some(Rest::Nothing) => pattern.segments.push(Segment::Any),
                Some(Rest::Anything) => pattern.rest = Rest::Anything,
            }
        }
        Ok(pattern)
    }

    pub(super) fn matches(&self, path: &Path<'_>) -> bool {
        let segments = path.segments();
        let long_enough = match self.rest {
            Rest::Nothing => segments.len() == self.segments.len(),
            Rest::Anything => segments.len() >= self.segments.len(),
        };
        long_enough
            && self.segments.iter().zip(segments).all(|(expected, segment)| match expected {
                Segment::Text(text) => **text == **segment,
                Segment::Any => true,
            })
    }

    /// Whether the two match the same paths.
    pub(super) fn same_paths(&self, other: &Self) -> bool {
        self.segments == other.segments && self.rest == other.rest
    }

    /// The more specific first, of two that match one path: the one that is first to have a text where the other takes
    /// anything, or that is first to have a segment where the other takes the rest.
    pub(super) fn by_specificity(&self, other: &Self) -> Ordering {
        let kind = |segment: &Segment| match segment {
            Segment::Text(_) => 0,
            Segment::Any => 1,
        };
        let pairs = self.segments.iter().zip(&other.segments);
        pairs
            .map(|(one, another)| kind(one).cmp(&kind(another)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| other.segments.len().cmp(&self.segments.len()))
            .then(self.rest.cmp(&other.rest))
    }
}

/// What a segment in braces stands for; `None` for a text.
fn name(segment: &str) -> Result<Option<Rest>, &'static str> {
    let Some(inner) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        // A request's path has none of these, and a pattern that has them would never match.
        let odd = |c: char| c.is_control() || c.is_whitespace() || "{}*\\;?#%".contains(c);
        let text_is_odd = matches!(segment, "" | "." | "..") || segment.contains(odd);
        return if text_is_odd { Err("has a segment that no request has") } else { Ok(None) };
    };
    let (kind, name) = match inner.strip_prefix('*') {
        Some(name) => (Rest::Anything, name),
        None => (Rest::Nothing, inner),
    };
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if named { Ok(Some(kind)) } else { Err("has a name in braces that is none") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::read(pattern).expect("good").matches(&Path::read(path).expect("good"))
    }

    #[test]
    fn a_pattern_matches_whole_segments() {
        for (pattern, path, expected) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a/", true),
            ("/a/", "/a", true),
            ("/a", "/ab", false),
            ("/a", "/A", false),
            ("/a/{id}", "/a/b", true),
            ("/a/{id}", "/a", false),
            ("/a/{id}", "/a/b/c", false),
            ("/a/{id}/c", "/a/b/c", true),
            ("/a/{*rest}", "/a", true),
            ("/a/{*rest}", "/a/b/c", true),
            ("/a/{*rest}", "/b", false),
            ("/{*rest}", "/", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn what_no_request_could_match_is_no_pattern() {
        for pattern in [
            "",
            "a",
            "//",
            "/a//b",
            "/{}",
            "/{*}",
            "/{a-b}",
            "/{*rest}/a",
            "/*",
            "/a*",
            "/{a",
            "/a}",
            "/..",
            "/%61",
            "/a b",
            "/a?b",
        ] {
            assert!(Pattern::read(pattern).is_err(), "{pattern}");
        }
    }
}
