use std::fmt;
use std::sync::Arc;

/// The longest name that the column holds.
const LONGEST: usize = 30;

/// A service as the `services` table names it: application and version, with a dash between. `sync-1.5`, unless said
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceName(Arc<str>);

/// What no service can be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "application {application:?} and version {version:?} name no service: each is letters, digits, `.`, `_` and `-`, and \
     both together are at most 29"
)]
pub struct InvalidServiceName {
    /// The application.
    pub application: String,
    /// The version.
    pub version: String,
}

impl ServiceName {
    /// The service of an application in a version. Both stand in paths as they are.
    pub(crate) fn new(application: &str, version: &str) -> Result<Self, InvalidServiceName> {
        let is_plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it))
        };
        let name = format!("{application}-{version}");
        if is_plain(application) && is_plain(version) && name.len() <= LONGEST {
            return Ok(Self(name.into()));
        }
        Err(InvalidServiceName { application: application.to_owned(), version: version.to_owned() })
    }

    /// As the table has it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The field's one service.
impl Default for ServiceName {
    fn default() -> Self {
        Self("sync-1.5".into())
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an endpoint follows from a node and the id of a row: `{node}/1.5/{uid}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    /// What comes after the node. Nothing in it has to be escaped, in a URL or in JSON.
    rest: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Uid,
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no pattern of endpoints: it begins with `{{node}}/`, has `{{uid}}` in it, and else `{{application}}`, \
     `{{version}}` and what a path may hold; at most 128 characters"
)]
pub struct InvalidPattern {
    /// As given.
    pub text: String,
}

impl Pattern {
    /// Reads it; application and version are put in at once.
    pub(crate) fn parse(text: &str, application: &str, version: &str) -> Result<Self, InvalidPattern> {
        let invalid = || InvalidPattern { text: text.to_owned() };
        let filled = text.replace("{application}", application).replace("{version}", version);
        let rest = filled.strip_prefix("{node}").filter(|rest| rest.starts_with('/')).ok_or_else(invalid)?;
        let mut parts = Vec::new();
        for (n, piece) in rest.split("{uid}").enumerate() {
            if n > 0 {
                parts.push(Part::Uid);
            }
            if !piece.is_empty() {
                parts.push(Part::Text(piece.to_owned()));
            }
        }
        let is_plain = |part: &Part| match part {
            Part::Text(text) => text.bytes().all(|it| it.is_ascii_alphanumeric() || b"/._~-:@".contains(&it)),
            Part::Uid => true,
        };
        if text.len() > 128 || !parts.contains(&Part::Uid) || !parts.iter().all(is_plain) {
            return Err(invalid());
        }
        Ok(Self { text: text.to_owned(), rest: parts })
    }

    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Appends what comes after the node.
    pub(crate) fn push_rest(&self, out: &mut Vec<u8>, uid: i64) {
        for part in &self.rest {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Uid => out.extend_from_slice(itoa::Buffer::new().format(uid).as_bytes()),
            }
        }
    }

    /// Where a node has a row's data.
    pub(crate) fn endpoint(&self, node: &str, uid: i64) -> String {
        let mut endpoint = node.trim_end_matches('/').as_bytes().to_vec();
        self.push_rest(&mut endpoint, uid);
        String::from_utf8(endpoint).expect("texts and digits are text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_what_stands_in_the_path() {
        let named =
            |application, version| ServiceName::new(application, version).map(|name| name.to_string());
        assert_eq!(named("sync", "1.5").as_deref(), Ok("sync-1.5"));
        assert_eq!(ServiceName::new("sync", "1.5"), Ok(ServiceName::default()));
        for (application, version) in
            [("", "1"), ("a", ""), ("a/b", "1"), ("{a}", "1"), ("a b", "1"), ("é", "1")]
        {
            assert!(named(application, version).is_err(), "{application} {version}");
        }
        let long = "x".repeat(29);
        assert!(named(&long[1..], "1").is_ok());
        assert!(named(&long, "1").is_err(), "the column holds thirty");
    }

    #[test]
    fn an_endpoint_follows_from_node_and_uid() {
        let endpoint = |text| {
            let pattern = Pattern::parse(text, "sync", "1.5").ok()?;
            Some(pattern.endpoint("https://node.example/", 42))
        };
        assert_eq!(endpoint("{node}/1.5/{uid}").as_deref(), Some("https://node.example/1.5/42"));
        assert_eq!(
            endpoint("{node}/{application}/{version}/u-{uid}/").as_deref(),
            Some("https://node.example/sync/1.5/u-42/")
        );
        for odd in [
            "",
            "{node}",
            "{node}/",
            "{uid}",
            "{node}{uid}",
            "https://x/{uid}",
            "{node}/{uid}/{node}",
            "{node}/\"{uid}",
            "{node}/{uid}?a",
        ] {
            assert_eq!(endpoint(odd), None, "{odd}");
        }
    }
}
