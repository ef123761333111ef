use crate::rules::{EndsOn, Policy, Profile, Rotation, Timing, WhenRetired};
use account::IdpId;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The section `sessions`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Hours a session lives, unless it is created with an end of its own.
    pub session_hours: u32,
    /// Hours a session lives at most, whatever it is created with.
    pub longest_session_hours: u32,
    /// Seconds ahead of its end that an access token is refreshed …
    pub grace_seconds: u32,
    /// … or this part of its life, in hundredths, if that is more; never more than half of it.
    pub lifetime_share_percent: u32,
    /// The least seconds between two attempts at one grant.
    pub cool_off_seconds: u32,
    /// Seconds between two refreshes where it is not told how long access tokens live.
    pub unknown_lifetime_seconds: u32,
    /// The most seconds that a grant waits after failures, unless its identity provider asks for more.
    pub longest_wait_seconds: u32,
    /// Hours after which a grant that nobody uses is left alone until somebody does; 0: none is.
    pub idle_hours: u32,
    /// Seconds between two looks at who a user is, by the identity provider's userinfo endpoint; 0: none.
    pub userinfo_seconds: u32,
    /// Refreshes of one identity provider's that one node has begun and not settled, at most; fewer while it throttles or does
    /// not answer in time.
    pub concurrency: u32,
    /// The most bytes of what a service keeps with a session.
    pub data_bytes: usize,
    /// Days that ended sessions are kept.
    pub ended_days: u32,
    /// Days that it is kept who had sessions ended or refreshed.
    pub acts_days: u32,
    /// Hours that changes are kept for those who watch: who was away longer starts over.
    pub changes_hours: u32,
    /// A folder of this node's own, where outcomes of refreshes are kept, sealed, while the database cannot be reached; none
    /// unless set.
    pub state_folder: Option<PathBuf>,
    /// What is particular to identity providers.
    pub idps: Vec<IdpSettings>,
}

/// What is particular to an identity provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdpSettings {
    /// Which.
    pub id: IdpId,
    /// Whether its refresh tokens change at a refresh: `never`, `always`, `sometimes`, or `unknown` (what each grant sees
    /// decides).
    #[serde(default)]
    pub rotation: Rotation,
    /// Seconds that it still takes a refresh token which was used.
    #[serde(default)]
    pub reuse_grace_seconds: u32,
    /// Which password events end logins; all unless set.
    #[serde(default = "all")]
    pub ends_on: Vec<EndsOn>,
    /// What becomes of the sessions of a login that can be refreshed no more: `keep`, `end` or `step_up`.
    #[serde(default)]
    pub when_retired: WhenRetired,
}

impl IdpSettings {
    /// With nothing particular.
    pub fn new(id: IdpId) -> Self {
        Self {
            id,
            rotation: Rotation::default(),
            reuse_grace_seconds: 0,
            ends_on: all(),
            when_retired: WhenRetired::default(),
        }
    }
}

fn all() -> Vec<EndsOn> {
    EndsOn::ALL.to_vec()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_hours: 14,
            longest_session_hours: 2_160,
            grace_seconds: 60,
            lifetime_share_percent: 10,
            cool_off_seconds: 10,
            unknown_lifetime_seconds: 1_800,
            longest_wait_seconds: 300,
            idle_hours: 0,
            userinfo_seconds: 600,
            concurrency: 64,
            data_bytes: 16_384,
            ended_days: 7,
            acts_days: 90,
            changes_hours: 24,
            state_folder: None,
            idps: Vec::new(),
        }
    }
}

/// Settings that do not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sessions.{key}: {why}")]
pub struct InvalidSettings {
    /// Which of them.
    pub key: &'static str,
    /// What is the matter.
    pub why: String,
}

impl Settings {
    /// Whether they work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let above_zero = [
            ("session_hours", self.session_hours),
            ("longest_session_hours", self.longest_session_hours),
            ("cool_off_seconds", self.cool_off_seconds),
            ("unknown_lifetime_seconds", self.unknown_lifetime_seconds),
            ("longest_wait_seconds", self.longest_wait_seconds),
            ("concurrency", self.concurrency),
            ("ended_days", self.ended_days),
            ("acts_days", self.acts_days),
            ("changes_hours", self.changes_hours),
        ];
        if let Some((key, _)) = above_zero.into_iter().find(|(_, value)| *value == 0) {
            return Err(InvalidSettings { key, why: "must be above zero".into() });
        }
        if self.lifetime_share_percent > 50 {
            let why = "is at most 50: no token is refreshed before half of its life".into();
            return Err(InvalidSettings { key: "lifetime_share_percent", why });
        }
        // A change must not outlive the row it is about: who watches would never hear of its end.
        if u64::from(self.changes_hours) > u64::from(self.ended_days) * 24 {
            return Err(InvalidSettings { key: "changes_hours", why: "is at most ended_days".into() });
        }
        Ok(())
    }

    /// Folders are where the configuration is, wherever the process is started.
    pub fn settle_paths(&mut self, folder: &Path) {
        if let Some(own) = &mut self.state_folder {
            *own = folder.join(&*own);
        }
    }

    /// Whether grants that wait would be due at other times by the others.
    pub(crate) fn times_otherwise(&self, others: &Self) -> bool {
        self.timing() != others.timing()
    }

    /// What holds for an identity provider.
    pub fn policy(&self, idp: &IdpId) -> Policy {
        let own = self.of(idp);
        let profile = own.map_or_else(Profile::default, |own| Profile {
            rotation: own.rotation,
            reuse_grace: seconds(own.reuse_grace_seconds),
        });
        Policy { timing: self.timing(), profile, idle_after: hours(self.idle_hours) }
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            grace: seconds(self.grace_seconds),
            share_percent: self.lifetime_share_percent,
            cool_off: seconds(self.cool_off_seconds),
            interval: seconds(self.unknown_lifetime_seconds),
            longest_wait: seconds(self.longest_wait_seconds),
        }
    }

    /// Which password events end an identity provider's logins.
    pub fn ends_on(&self, idp: &IdpId) -> Arc<[EndsOn]> {
        self.of(idp).map_or_else(|| EndsOn::ALL.into(), |own| own.ends_on.clone().into())
    }

    /// What becomes there of the sessions of a grant that is refreshed no more.
    pub fn when_retired(&self, idp: &IdpId) -> WhenRetired {
        self.of(idp).map_or_else(WhenRetired::default, |own| own.when_retired)
    }

    fn of(&self, idp: &IdpId) -> Option<&IdpSettings> {
        self.idps.iter().find(|own| own.id == *idp)
    }
}

pub(crate) fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

pub(crate) fn hours(count: u32) -> Duration {
    Duration::from_hours(count.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        assert_eq!(Settings::default().check(), Ok(()));
        let wrong = |settings: Settings| settings.check().expect_err("it cannot work").key;
        assert_eq!(wrong(Settings { cool_off_seconds: 0, ..Settings::default() }), "cool_off_seconds");
        assert_eq!(wrong(Settings { changes_hours: 1_000, ..Settings::default() }), "changes_hours");
        let share = Settings { lifetime_share_percent: 51, ..Settings::default() };
        assert_eq!(wrong(share), "lifetime_share_percent");
    }

    #[test]
    fn each_identity_provider_has_its_own() {
        let id = IdpId::new("okta").expect("valid");
        let own = IdpSettings {
            rotation: Rotation::Always,
            reuse_grace_seconds: 30,
            ends_on: vec![EndsOn::PasswordReset],
            when_retired: WhenRetired::StepUp,
            ..IdpSettings::new(id.clone())
        };
        let settings = Settings { idps: vec![own], ..Settings::default() };
        assert_eq!(settings.policy(&id).profile.reuse_grace, Duration::from_secs(30));
        assert_eq!(&*settings.ends_on(&id), [EndsOn::PasswordReset]);
        let other = IdpId::new("other").expect("valid");
        assert_eq!(settings.policy(&other).profile, Profile::default());
        assert_eq!(&*settings.ends_on(&other), EndsOn::ALL);
        let when = [&id, &other].map(|idp| settings.when_retired(idp));
        assert_eq!(when, [WhenRetired::StepUp, WhenRetired::Keep]);
    }
}
