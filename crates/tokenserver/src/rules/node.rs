use super::ServiceName;
use std::fmt;
use url::Url;

/// The longest node the column holds, in characters.
const MAX_LENGTH: usize = 64;

/// A node's URL in the one form it is stored in: `http` or `https`, the host in lower case, no trailing slash, no
/// query. Clients take another text for another node, and start over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeUrl(String);

/// A text that is no node's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNodeUrl {
    /// No URL at all.
    #[error("{text:?} is no URL: {reason}")]
    Malformed {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another scheme.
    #[error("a node is reached by http or https, not by {scheme:?}")]
    Scheme {
        /// The scheme given.
        scheme: String,
    },
    /// A part that a node's URL cannot have.
    #[error("a node's URL has no {part}")]
    Part {
        /// Which part.
        part: &'static str,
    },
    /// Over the limit.
    #[error("the node's URL is {length} characters long; at most {MAX_LENGTH} are kept")]
    TooLong {
        /// Its length in characters.
        length: usize,
    },
}

impl NodeUrl {
    /// Brings a text into the stored form.
    pub fn parse(text: &str) -> Result<Self, InvalidNodeUrl> {
        let malformed =
            |reason: &str| InvalidNodeUrl::Malformed { text: text.to_owned(), reason: reason.to_owned() };
        if text.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return Err(malformed("there is white space in it"));
        }
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => malformed("it begins with no scheme, as in https://"),
            other => malformed(&other.to_string()),
        })?;
        check_parts(&url)?;
        let stored = url.as_str().trim_end_matches('/').to_owned();
        match stored.chars().count() {
            length if length > MAX_LENGTH => Err(InvalidNodeUrl::TooLong { length }),
            _ => Ok(Self(stored)),
        }
    }

    /// The stored form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a row names this node, in whatever form it was written into it.
    pub(crate) fn is_written(&self, text: &str) -> bool {
        text == self.0 || Self::parse(text).is_ok_and(|written| written == *self)
    }
}

/// A node of a service, as an operator names it: by its id, or by its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeName {
    /// Whose node it is.
    pub(crate) service: ServiceName,
    which: Which,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    /// Its number in the list.
    Id(i64),
    /// Its URL, as it was given.
    Url(String),
}

impl NodeName {
    /// Digits alone are an id; all else is to be a URL.
    pub(crate) fn new(service: &ServiceName, text: &str) -> Self {
        let which = text.parse().map_or_else(|_| Which::Url(text.to_owned()), Which::Id);
        Self { service: service.clone(), which }
    }

    /// The node of that id.
    pub(crate) fn id(service: &ServiceName, id: i64) -> Self {
        Self { service: service.clone(), which: Which::Id(id) }
    }

    /// What was given as its URL.
    pub(crate) fn url(&self) -> Option<&str> {
        match &self.which {
            Which::Id(_) => None,
            Which::Url(text) => Some(text),
        }
    }

    /// Which of these nodes is meant (id, URL as it is stored). One that is written just so goes before one that is written
    /// otherwise: a database of others may hold both.
    pub(crate) fn find(&self, nodes: &[(i64, &str)]) -> Option<i64> {
        let found = match &self.which {
            Which::Id(id) => nodes.iter().find(|(it, _)| it == id),
            Which::Url(text) => nodes.iter().find(|(_, url)| url == text).or_else(|| {
                let meant = NodeUrl::parse(text).ok()?;
                nodes.iter().find(|(_, url)| meant.is_written(url))
            }),
        };
        found.map(|(id, _)| *id)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Id(id) => id.fmt(f),
            Which::Url(url) => f.write_str(url),
        }
    }
}

fn check_parts(url: &Url) -> Result<(), InvalidNodeUrl> {
    let without = |part| Err(InvalidNodeUrl::Part { part });
    if !matches!(url.scheme(), "http" | "https") {
        return Err(InvalidNodeUrl::Scheme { scheme: url.scheme().to_owned() });
    }
    if url.query().is_some() {
        return without("query");
    }
    if url.fragment().is_some() {
        return without("fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return without("user or password");
    }
    Ok(())
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str) -> String {
        NodeUrl::parse(text).map_or_else(|error| error.to_string(), |node| node.0)
    }

    #[test]
    fn a_node_is_stored_in_one_form() {
        assert_eq!(stored("https://Node.Example.COM/"), "https://node.example.com");
        assert_eq!(stored("HTTP://host:8000//"), "http://host:8000");
        assert_eq!(stored("https://host:443/Sync/"), "https://host/Sync");
        assert_eq!(stored("http://[::1]:5000"), "http://[::1]:5000");
    }

    #[test]
    fn what_is_no_node_is_told_why() {
        assert_eq!(stored("ftp://host"), "a node is reached by http or https, not by \"ftp\"");
        assert_eq!(stored("host"), "\"host\" is no URL: it begins with no scheme, as in https://");
        assert_eq!(stored("https:// host"), "\"https:// host\" is no URL: there is white space in it");
        assert_eq!(stored("https://host?a"), "a node's URL has no query");
        assert_eq!(stored("https://host#a"), "a node's URL has no fragment");
        assert_eq!(stored("https://u:p@host"), "a node's URL has no user or password");
        assert_eq!(
            stored(&format!("https://{}.example", "x".repeat(60))),
            "the node's URL is 76 characters long; at most 64 are kept"
        );
    }

    #[test]
    fn a_node_is_found_however_it_was_written() {
        let nodes =
            [(1, "https://a.example/"), (2, "https://b.example"), (3, "https://B.example"), (40, "odd")];
        let found = |text: &str| NodeName::new(&ServiceName::default(), text).find(&nodes);
        assert_eq!(found("https://a.example"), Some(1), "stored with a slash");
        assert_eq!(found("https://B.example"), Some(3), "just as it is written");
        assert_eq!(found("HTTPS://B.Example/"), Some(2), "the first of those that may be meant");
        assert_eq!((found("odd"), found("40"), found("4")), (Some(40), Some(40), None));
        assert_eq!(found("https://c.example"), None);
    }
}
