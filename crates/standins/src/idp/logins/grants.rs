//! Refresh tokens: whose they are, how they rotate, and whether one that was replaced comes back.

use account::Millis;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What becomes of a refresh token that is presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// It is replaced each time. One that was replaced and comes back ends its whole family: somebody has stolen it.
    #[default]
    Strict,
    /// The same, but for so long the one that was replaced last may come back, and gets what the first one got.
    Grace(Duration),
    /// It is replaced every so many times, and stays otherwise. One that was replaced ends its family as above.
    Every(u32),
    /// It stays.
    Never,
}

/// All that came of one sign-in.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) client_id: String,
    pub(super) subject: String,
    pub(super) sid: String,
    pub(super) scope: String,
    pub(super) auth_time: i64,
    /// The thumbprint of the key that its tokens are bound to.
    pub(super) bound_to: Option<String>,
    /// The last access tokens: older ones are forgotten.
    pub(super) access_tokens: VecDeque<String>,
    current: String,
    previous: Option<(String, Millis)>,
    refreshed: u32,
    is_over: bool,
}

#[derive(Debug, Default)]
pub(super) struct Grants {
    families: HashMap<u64, Family>,
    tokens: HashMap<String, Token>,
    reuses: u64,
}

#[derive(Debug)]
struct Token {
    family: u64,
    presented: u64,
}

/// The token means nothing (any more), or not for this client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidGrant;

impl Family {
    pub(super) fn new(client_id: &str, subject: &str, scope: &str, auth_time: i64) -> Self {
        Self {
            client_id: client_id.to_owned(),
            subject: subject.to_owned(),
            sid: crate::idp::random_hex::<16>(),
            scope: scope.to_owned(),
            auth_time,
            bound_to: None,
            access_tokens: VecDeque::new(),
            current: String::new(),
            previous: None,
            refreshed: 0,
            is_over: false,
        }
    }
}

impl Grants {
    /// Begins a family; its number and its first refresh token.
    pub(super) fn begin(&mut self, family: Family) -> (u64, String) {
        let number = self.families.len() as u64;
        self.families.insert(number, family);
        let token = self.issue(number);
        (number, token)
    }

    /// Counts that a token was presented.
    pub(super) fn count(&mut self, token: &str) {
        if let Some(token) = self.tokens.get_mut(token) {
            token.presented += 1;
        }
    }

    /// Trades a refresh token in: its family, and the one that counts from now on.
    pub(super) fn present(
        &mut self,
        token: &str,
        client_id: &str,
        rotation: Rotation,
        now: Millis,
    ) -> Result<(u64, String), InvalidGrant> {
        let number = self.tokens.get(token).ok_or(InvalidGrant)?.family;
        let family = self.families.get_mut(&number).ok_or(InvalidGrant)?;
        if family.is_over || family.client_id != client_id {
            return Err(InvalidGrant);
        }
        if family.current != token {
            let is_in_grace = |(previous, at): &(String, Millis)| matches!(rotation, Rotation::Grace(grace) if previous == token && now.since(*at) < grace);
            if family.previous.as_ref().is_some_and(is_in_grace) {
                return Ok((number, family.current.clone()));
            }
            family.is_over = true;
            self.reuses += 1;
            return Err(InvalidGrant);
        }
        family.refreshed += 1;
        let is_replaced = match rotation {
            Rotation::Strict | Rotation::Grace(_) => true,
            Rotation::Every(times) => family.refreshed.is_multiple_of(times),
            Rotation::Never => false,
        };
        if !is_replaced {
            return Ok((number, token.to_owned()));
        }
        family.previous = Some((token.to_owned(), now));
        Ok((number, self.issue(number)))
    }

    pub(super) fn family(&mut self, number: u64) -> Option<&mut Family> {
        self.families.get_mut(&number)
    }

    /// The family of a refresh token, or of an access token.
    pub(super) fn family_of(&mut self, token: &str) -> Option<&mut Family> {
        let number = self.tokens.get(token).map(|token| token.family).or_else(|| {
            let of = |family: &Family| family.access_tokens.iter().any(|own| own == token);
            self.families.iter().find(|(_, family)| of(family)).map(|(number, _)| *number)
        });
        self.families.get_mut(&number?)
    }

    pub(super) fn by_sid(&self, sid: &str) -> Option<&Family> {
        self.families.values().find(|family| family.sid == sid)
    }

    pub(super) fn is_refresh_token(&self, token: &str) -> bool {
        self.tokens.contains_key(token)
    }

    pub(super) fn refresh_tokens(&self) -> Vec<String> {
        self.tokens.keys().cloned().collect()
    }

    /// Ends those that this holds for; how many lived until now.
    pub(super) fn end(&mut self, whose: impl Fn(&Family) -> bool) -> usize {
        let ended = self.families.values_mut().filter(|family| !family.is_over && whose(family));
        ended.map(|family| family.is_over = true).count()
    }

    /// Whether this refresh token would be taken now.
    pub(super) fn is_live(&self, token: &str) -> bool {
        let family = self.tokens.get(token).and_then(|token| self.families.get(&token.family));
        family.is_some_and(|family| !family.is_over && family.current == token)
    }

    pub(super) fn presentations(&self, token: &str) -> u64 {
        self.tokens.get(token).map_or(0, |token| token.presented)
    }

    pub(super) fn most_presented(&self) -> u64 {
        self.tokens.values().map(|token| token.presented).max().unwrap_or(0)
    }

    pub(super) fn reuses(&self) -> u64 {
        self.reuses
    }

    fn issue(&mut self, number: u64) -> String {
        let token = crate::idp::random_hex::<32>();
        self.tokens.insert(token.clone(), Token { family: number, presented: 0 });
        if let Some(family) = self.families.get_mut(&number) {
            family.current.clone_from(&token);
        }
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis::from_seconds(1_000);

    struct House(Grants, Rotation);

    impl House {
        fn new(rotation: Rotation) -> (Self, String) {
            let mut grants = Grants::default();
            let (_, token) = grants.begin(Family::new("web", "ada", "openid", 1_000));
            (Self(grants, rotation), token)
        }

        fn present(&mut self, token: &str, after: u64) -> Option<String> {
            self.0.count(token);
            let now = NOW.plus(Duration::from_secs(after));
            self.0.present(token, "web", self.1, now).ok().map(|(_, token)| token)
        }
    }

    #[test]
    fn the_detector_fires_when_a_replaced_token_comes_back() {
        let (mut house, first) = House::new(Rotation::Strict);
        let second = house.present(&first, 0).expect("live");
        assert_ne!(second, first);
        assert_eq!(house.0.reuses(), 0);
        assert_eq!(house.present(&first, 0), None);
        assert_eq!(house.0.reuses(), 1);
        assert_eq!(house.present(&second, 0), None, "the whole family is over");
        assert_eq!((house.0.presentations(&first), house.0.most_presented()), (2, 2));
    }

    #[test]
    fn within_the_grace_the_last_replaced_one_gets_what_the_first_got() {
        let (mut house, first) = House::new(Rotation::Grace(Duration::from_secs(30)));
        let second = house.present(&first, 0).expect("live");
        assert_eq!(house.present(&first, 29).as_ref(), Some(&second));
        let third = house.present(&second, 29).expect("live");
        assert_eq!(house.present(&second, 58).as_ref(), Some(&third));
        assert_eq!(house.present(&first, 58), None, "not the one before the last");
        assert_eq!(house.0.reuses(), 1);
    }

    #[test]
    fn after_the_grace_it_is_reuse() {
        let (mut house, first) = House::new(Rotation::Grace(Duration::from_secs(30)));
        let second = house.present(&first, 0).expect("live");
        assert_eq!(house.present(&first, 30), None);
        assert!(!house.0.is_live(&second));
    }

    #[test]
    fn some_replace_it_now_and_then_and_some_never() {
        let (mut house, first) = House::new(Rotation::Every(3));
        for _ in 0..2 {
            assert_eq!(house.present(&first, 0).as_ref(), Some(&first));
        }
        assert_ne!(house.present(&first, 0).expect("live"), first);
        let (mut house, first) = House::new(Rotation::Never);
        for _ in 0..9 {
            assert_eq!(house.present(&first, 0).as_ref(), Some(&first));
        }
        assert_eq!(house.0.reuses(), 0);
    }

    #[test]
    fn a_token_is_its_clients_and_ends_with_its_family() {
        let (mut house, first) = House::new(Rotation::Strict);
        assert_eq!(house.0.present(&first, "other", Rotation::Strict, NOW), Err(InvalidGrant));
        assert!(house.0.is_live(&first));
        assert_eq!(house.0.end(|family| family.subject == "ada"), 1);
        assert_eq!(house.present(&first, 0), None);
        assert_eq!(house.0.reuses(), 0);
    }
}
