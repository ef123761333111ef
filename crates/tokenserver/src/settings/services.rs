//! One service or several: what each is served by, put together from its own section and what is said for all.

use super::{InvalidSettings, Settings};
use crate::rules::{NewUsers, NodeUrl, Pattern, ServiceName};
use crate::store::Placement;
use crate::{Policy, Secret};
use serde::Deserialize;
use std::sync::Arc;

/// What a token must grant, and how endpoints are made, unless said otherwise.
const SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";
const PATTERN: &str = "{node}/1.5/{uid}";
/// A grant knows of each service whether it is for it, in a bit of its own.
const MOST: usize = 64;

/// A section `tokenserver.services`. What it leaves out is as the section `tokenserver` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceSettings {
    /// The application in the path: `sync`.
    pub application: String,
    /// Its version in the path: `1.5`.
    pub version: String,
    /// What access tokens must grant.
    pub scope: Option<String>,
    /// How endpoints are made: `{node}/1.5/{uid}`.
    pub pattern: Option<String>,
    /// The secrets that its nodes know: the first signs.
    pub secrets: Vec<Secret>,
    /// How long a token counts, in seconds, unless the client asks for less.
    pub token_duration_seconds: Option<u64>,
    /// Whether users that were never here are taken.
    pub allow_new_users: Option<bool>,
    /// Which node a user goes to who has none.
    pub allocation: Option<Policy>,
    /// A node to add at start when it is not there yet.
    pub init_node_url: Option<String>,
    /// How many users that node can hold.
    pub init_node_capacity: Option<i32>,
    /// What clients are told its nodes run on.
    pub node_type: Option<String>,
    /// Assigns everybody to the node of this id.
    pub spanner_node_id: Option<i64>,
}

/// A service, with everything that is said of it.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) name: ServiceName,
    pub(crate) application: String,
    pub(crate) version: String,
    pub(crate) scope: String,
    pub(crate) pattern: Pattern,
    /// The first signs.
    pub(crate) secrets: Vec<Secret>,
    pub(crate) token_duration_seconds: u64,
    pub(crate) node_type: String,
    pub(crate) init_node: Option<NodeUrl>,
    pub(crate) init_node_capacity: i32,
    /// How its users are placed.
    pub(crate) placement: Placement,
}

impl Settings {
    /// The services, put together: those that are listed, else the field's one.
    pub(crate) fn served(&self) -> Result<Vec<Served>, InvalidSettings> {
        if self.services.is_empty() {
            let (application, version) = ("sync".to_owned(), "1.5".to_owned());
            let one = ServiceSettings { application, version, ..ServiceSettings::default() };
            return Ok(vec![self.put_together(&one)?]);
        }
        if self.services.len() > MOST {
            return Err(InvalidSettings::TooManyServices { count: self.services.len() });
        }
        // A node's id is one service's.
        if self.services.len() > 1 && self.spanner_node_id.is_some() {
            return Err(InvalidSettings::WhoseNode);
        }
        let mut served: Vec<Served> = Vec::new();
        for section in &self.services {
            let one = self.put_together(section)?;
            if served.iter().any(|it| it.name == one.name) {
                return Err(InvalidSettings::Twice { service: one.name.to_string() });
            }
            served.push(one);
        }
        Ok(served)
    }

    fn put_together(&self, section: &ServiceSettings) -> Result<Served, InvalidSettings> {
        let ServiceSettings { application, version, .. } = section;
        let name = ServiceName::new(application, version)?;
        let pattern = section.pattern.as_deref().unwrap_or(PATTERN);
        let secrets = if section.secrets.is_empty() { self.secrets() } else { section.secrets.clone() };
        let init_node = section.init_node_url.as_ref().or(self.init_node_url.as_ref());
        let capacity = section.init_node_capacity.unwrap_or(self.init_node_capacity);
        if capacity < 0 {
            return Err(InvalidSettings::InitNodeCapacity { capacity });
        }
        let takes = section.allow_new_users.unwrap_or(self.allow_new_users);
        Ok(Served {
            pattern: Pattern::parse(pattern, application, version)?,
            scope: section.scope.clone().unwrap_or_else(|| SCOPE.to_owned()),
            secrets,
            token_duration_seconds: section.token_duration_seconds.unwrap_or(self.token_duration_seconds),
            node_type: section.node_type.as_ref().unwrap_or(&self.node_type).clone(),
            init_node: init_node.map(|url| NodeUrl::parse(url)).transpose()?,
            init_node_capacity: capacity,
            placement: Placement {
                service: name.clone(),
                allowed: Arc::new(self.new_users.allowed.iter().cloned().collect()),
                new_users: if takes { NewUsers::Welcome } else { NewUsers::Refused },
                policy: section.allocation.unwrap_or(self.allocation),
                release_millionths: self.release_millionths(),
                only_node: section.spanner_node_id.or(self.spanner_node_id),
            },
            application: application.clone(),
            version: version.clone(),
            name,
        })
    }

    /// Those that are said for all: the one first, then its list.
    fn secrets(&self) -> Vec<Secret> {
        let one = Some(&self.master_secret).filter(|secret| !secret.is_empty());
        one.into_iter().chain(&self.secrets).cloned().collect()
    }

    fn release_millionths(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be from 0 to 1")]
        let millionths = (self.node_capacity_release_rate * 1e6).ceil() as i64;
        millionths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(application: &str) -> ServiceSettings {
        let (application, version) = (application.to_owned(), "1".to_owned());
        ServiceSettings { application, version, ..ServiceSettings::default() }
    }

    fn with(services: Vec<ServiceSettings>) -> Settings {
        Settings { master_secret: Secret::new("s"), services, ..Settings::default() }
    }

    #[test]
    fn without_sections_there_is_the_one_service_of_the_field() {
        let [one] = <[Served; 1]>::try_from(with(vec![]).served().expect("they work")).expect("one");
        assert_eq!(
            (one.name.as_str(), one.scope.as_str(), one.pattern.as_str()),
            ("sync-1.5", SCOPE, PATTERN)
        );
        assert_eq!((one.token_duration_seconds, one.secrets.len()), (3600, 1));
    }

    #[test]
    fn a_section_says_what_is_different() {
        let other = ServiceSettings {
            secrets: vec![Secret::new("a"), Secret::new("b")],
            token_duration_seconds: Some(60),
            pattern: Some("{node}/{application}/{uid}".to_owned()),
            ..section("notes")
        };
        let served = with(vec![section("sync"), other]).served().expect("they work");
        let said: Vec<_> =
            served.iter().map(|it| (it.name.as_str(), it.token_duration_seconds, it.secrets.len())).collect();
        assert_eq!(said, [("sync-1", 3600, 1), ("notes-1", 60, 2)]);
        assert_eq!(served[1].pattern.endpoint("https://n", 7), "https://n/notes/7");
    }

    #[test]
    fn sections_that_cannot_work_are_told_at_start() {
        let told = |settings: Settings| settings.check().expect_err("it cannot work").to_string();
        assert_eq!(
            told(with(vec![section("a"), section("a")])),
            "there are two sections for the service a-1"
        );
        assert!(told(with(vec![section("a/b")])).starts_with("application \"a/b\""));
        let odd = ServiceSettings { pattern: Some("{uid}".to_owned()), ..section("a") };
        assert!(told(with(vec![odd])).starts_with("\"{uid}\" is no pattern"));
        let spanner = Settings { spanner_node_id: Some(1), ..with(vec![section("a"), section("b")]) };
        assert!(told(spanner).contains("spanner_node_id"));
        let bare = Settings { services: vec![section("a")], ..Settings::default() };
        assert_eq!(bare.check(), Err(InvalidSettings::NoMasterSecret));
        let empty = ServiceSettings { secrets: vec![Secret::new("a"), Secret::default()], ..section("a") };
        assert_eq!(with(vec![empty]).check(), Err(InvalidSettings::NoMasterSecret));
    }
}
