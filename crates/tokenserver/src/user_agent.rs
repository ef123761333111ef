//! What a User-Agent says, as far as it matters: one old client that must be turned away, and a few words for the log.

/// Firefox for iOS below version 20 crashes on answers it did not expect; it is told to come back later instead.
///
/// `Firefox-iOS-Sync/<N>.…b<build> (…; iPhone OS …) (…)` with 0 < N < 20.
pub(crate) fn is_old_ios_sync(agent: &str) -> bool {
    old_ios_version(agent).is_some_and(|major| 0 < major && major < 20)
}

fn old_ios_version(agent: &str) -> Option<u32> {
    let rest = agent.strip_prefix("Firefox-iOS-Sync/")?;
    let (version, device) = rest.split_once(" (")?;
    let (device, product) = device.split_once(") (")?;
    let (release, build) = version.rsplit_once('b')?;
    let (major, minor) = release.split_once('.')?;
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = numeric(build)
        && numeric(major)
        && minor.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && device.split_once("; iPhone OS ").is_some_and(|(_, version)| !version.is_empty())
        && product.ends_with(')');
    well_formed.then(|| major.parse().ok()).flatten()
}

/// A client in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agent<'a> {
    /// The product's name, as it gives it.
    pub(crate) name: &'a str,
    /// Its version.
    pub(crate) version: &'a str,
    /// `Firefox` or `Other`.
    pub(crate) family: &'static str,
    /// The operating system's family, or `Other`.
    pub(crate) os_family: &'static str,
    /// The operating system's version.
    pub(crate) os_version: &'a str,
}

impl<'a> Agent<'a> {
    /// What a User-Agent says; empty where it says nothing.
    pub(crate) fn of(agent: &'a str) -> Self {
        let (name, version) = product(agent);
        let (os_family, os_version) = system(agent);
        let family = if name.starts_with("Firefox") { "Firefox" } else { "Other" };
        Self { name, version, family, os_family, os_version }
    }
}

/// The product Firefox names last; others by what comes first.
fn product(agent: &str) -> (&str, &str) {
    let firefox = agent.find("Firefox").map(|at| &agent[at..]);
    let token = firefox.unwrap_or(agent).split_whitespace().next().unwrap_or_default();
    token.split_once('/').unwrap_or((token, ""))
}

/// The system, by the words that announce it; its version follows them.
fn system(agent: &str) -> (&'static str, &str) {
    const WORDS: [(&str, &str); 7] = [
        ("Windows ", "Windows"),
        ("iPhone OS ", "iOS"),
        ("CPU OS ", "iOS"),
        ("Intel Mac OS X ", "Macintosh"),
        ("Mac OS X ", "Macintosh"),
        ("Android ", "Android"),
        ("Linux", "Linux"),
    ];
    let found =
        WORDS.iter().find_map(|(word, family)| Some((*family, &agent[agent.find(word)? + word.len()..])));
    found.map_or(("Other", ""), |(family, rest)| {
        (family, rest.split([';', ')']).next().unwrap_or_default().trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_firefox_for_ios_below_twenty_is_turned_away() {
        let old = |version: &str| {
            is_old_ios_sync(&format!(
                "Firefox-iOS-Sync/{version} (iPhone; iPhone OS 13.2.2) (Fennec (synctesting))"
            ))
        };
        assert!(old("18.0b1") && old("1.b2") && old("19.9.9b12345"));
        assert!(!old("20.0b1") && !old("0.1b1") && !old("18.0") && !old("18b1") && !old("x.0b1"));
        assert!(!is_old_ios_sync("Firefox-iOS-Sync/18.0b1 (iPhone; iPadOS 13) (Fennec)"));
        assert!(!is_old_ios_sync("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"));
    }

    #[test]
    fn the_log_gets_a_few_words() {
        let windows =
            Agent::of("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/120.0");
        let expected = Agent {
            name: "Firefox",
            version: "120.0",
            family: "Firefox",
            os_family: "Windows",
            os_version: "NT 10.0",
        };
        assert_eq!(windows, expected);
        let ios = Agent::of("Firefox-iOS-Sync/108.1b24242 (iPhone; iPhone OS 16.4.1) (Firefox)");
        assert_eq!(
            (ios.name, ios.version, ios.os_family, ios.os_version),
            ("Firefox-iOS-Sync", "108.1b24242", "iOS", "16.4.1")
        );
        let curl = Agent::of("curl/8.1.2");
        assert_eq!(
            (curl.name, curl.version, curl.family, curl.os_family),
            ("curl", "8.1.2", "Other", "Other")
        );
    }

    proptest! {
        #[test]
        fn no_user_agent_upsets_it(agent in any::<String>(), tail in any::<String>()) {
            Agent::of(&agent);
            is_old_ios_sync(&agent);
            is_old_ios_sync(&format!("Firefox-iOS-Sync/{tail}"));
            Agent::of(&format!("Mac OS X {tail}"));
        }
    }
}
