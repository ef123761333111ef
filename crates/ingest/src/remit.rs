use crate::junk::{Junk, Reason};
use account::{AccountId, IdpId, InvalidId, Subject};
use idp::Idp;

/// An identity provider, by the names that events call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its id in this house.
    pub id: IdpId,
    /// What `iss` may say for it. One slash at the end makes no difference.
    pub issuers: Vec<String>,
    /// The domain in `uid@domain`; also taken for an `iss`.
    pub domain: String,
}

impl From<&Idp> for Authority {
    fn from(idp: &Idp) -> Self {
        Self {
            id: idp.id().clone(),
            issuers: idp.issuers().map(str::to_owned).collect(),
            domain: idp.account_domain().to_owned(),
        }
    }
}

impl Authority {
    /// Whether `iss` is one of its issuers.
    pub fn has_issuer(&self, iss: &str) -> bool {
        self.issuers.iter().any(|known| without_slash(known) == without_slash(iss))
    }

    /// Whether an event's `iss` names it: one of its issuers, or its account domain.
    pub fn is_named(&self, iss: &str) -> bool {
        self.has_issuer(iss) || self.has_domain(iss)
    }

    /// Whether its accounts are written `uid@domain`. Domain names know no case (RFC 4343).
    pub fn has_domain(&self, domain: &str) -> bool {
        self.domain.eq_ignore_ascii_case(domain)
    }
}

fn without_slash(iss: &str) -> &str {
    iss.strip_suffix('/').unwrap_or(iss)
}

/// For whom a source may speak. An event about anybody else's account is junk by the name of `foreign`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remit {
    home: Authority,
    others: Vec<Authority>,
}

impl Remit {
    /// Accounts that come without an issuer and without a domain are `home`'s; those of `others` must say so.
    pub fn new(home: Authority, others: Vec<Authority>) -> Self {
        Self { home, others }
    }

    /// The identity provider that an event is of when it does not say.
    pub fn home(&self) -> &Authority {
        &self.home
    }

    fn authorities(&self) -> impl Iterator<Item = &Authority> {
        std::iter::once(&self.home).chain(&self.others)
    }

    /// Whose account `uid` is, given the event's `iss`. A domain inside `uid` must be that identity provider's own
    /// (split at the last `@`), and is never kept twice.
    pub fn account(&self, uid: &str, iss: Option<&str>) -> Result<AccountId, Junk> {
        let (authority, subject) = match iss {
            Some(iss) => {
                let authority = self.named(iss)?;
                (authority, within(authority, uid)?)
            }
            None => self.by_domain(uid)?,
        };
        account_of(authority, subject)
    }

    /// Whose account a `sub` is (RFC 7519 section 4.1.2): opaque, so an `@` in it says nothing, unless what follows is
    /// the identity provider's own account domain, which is never kept twice.
    pub fn subject(&self, sub: &str, iss: Option<&str>) -> Result<AccountId, Junk> {
        let authority = iss.map_or(Ok(&self.home), |iss| self.named(iss))?;
        account_of(authority, within(authority, sub).unwrap_or(sub))
    }

    fn named(&self, iss: &str) -> Result<&Authority, Junk> {
        let named = self.authorities().find(|authority| authority.is_named(iss));
        named.ok_or_else(|| foreign(&format!("the issuer {iss:?} is not one the source may speak for")))
    }

    fn by_domain<'u>(&self, uid: &'u str) -> Result<(&Authority, &'u str), Junk> {
        let named = uid.rsplit_once('@').and_then(|(subject, domain)| {
            self.authorities()
                .find(|authority| authority.has_domain(domain))
                .map(|authority| (authority, subject))
        });
        match named {
            Some(found) => Ok(found),
            None => Ok((&self.home, within(&self.home, uid)?)),
        }
    }
}

fn account_of(authority: &Authority, subject: &str) -> Result<AccountId, Junk> {
    let subject = Subject::new(subject).map_err(|error| unfit(&error))?;
    Ok(AccountId::new(authority.id.clone(), subject))
}

/// The subject inside `uid`, at an identity provider that is known already.
fn within<'u>(authority: &Authority, uid: &'u str) -> Result<&'u str, Junk> {
    match uid.rsplit_once('@') {
        Some((subject, domain)) if authority.has_domain(domain) => Ok(subject),
        Some((_, domain)) => {
            Err(foreign(&format!("the domain {domain:?} in `uid` is not that of {}", authority.id)))
        }
        None => Ok(uid),
    }
}

fn foreign(detail: &str) -> Junk {
    Junk::new(Reason::Foreign, detail.chars().take(300).collect::<String>())
}

fn unfit(error: &InvalidId) -> Junk {
    let reason = match error {
        InvalidId::Empty { .. } => Reason::MissingUid,
        InvalidId::TooLong { .. } => Reason::TooLong,
        InvalidId::ControlCharacter { .. } => Reason::ControlCharacter,
    };
    Junk::new(reason, error.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn firefox() -> Authority {
        Authority {
            id: IdpId::new("fxa").expect("valid"),
            issuers: vec!["https://accounts.firefox.com".into()],
            domain: "api.accounts.firefox.com".into(),
        }
    }

    pub(crate) fn other() -> Authority {
        Authority {
            id: IdpId::new("other").expect("valid"),
            issuers: vec!["https://id.example.org/".into()],
            domain: "id.example.org".into(),
        }
    }

    fn account(remit: &Remit, uid: &str, iss: Option<&str>) -> Result<String, Reason> {
        remit.account(uid, iss).map(|account| account.to_string()).map_err(|junk| junk.reason)
    }

    #[test]
    fn an_account_is_found_by_issuer_by_domain_or_by_home() {
        let remit = Remit::new(firefox(), vec![other()]);
        let table: &[(&str, Option<&str>, Result<&str, Reason>)] = &[
            ("u1", None, Ok("fxa:u1")),
            ("u1", Some("api.accounts.firefox.com"), Ok("fxa:u1")),
            ("u1", Some("https://accounts.firefox.com"), Ok("fxa:u1")),
            ("u1", Some("https://accounts.firefox.com/"), Ok("fxa:u1")),
            ("u1@api.accounts.firefox.com", None, Ok("fxa:u1")),
            ("u1@API.accounts.firefox.com", None, Ok("fxa:u1")),
            ("u1@api.accounts.firefox.com", Some("api.accounts.firefox.com"), Ok("fxa:u1")),
            ("a@b@api.accounts.firefox.com", None, Ok("fxa:a@b")),
            ("u1@elsewhere.example", None, Err(Reason::Foreign)),
            ("u1@elsewhere.example", Some("api.accounts.firefox.com"), Err(Reason::Foreign)),
            ("u1", Some("https://elsewhere.example"), Err(Reason::Foreign)),
            ("u1", Some(""), Err(Reason::Foreign)),
            ("u1", Some("https://accounts.firefox.com//"), Err(Reason::Foreign)),
            ("u1", Some("https://id.example.org"), Ok("other:u1")),
            ("u1", Some("id.example.org"), Ok("other:u1")),
            ("u1@id.example.org", None, Ok("other:u1")),
            ("u1@mail.example", Some("https://id.example.org"), Err(Reason::Foreign)),
            ("u1@mail.example@id.example.org", Some("https://id.example.org"), Ok("other:u1@mail.example")),
            ("", None, Err(Reason::MissingUid)),
            ("@api.accounts.firefox.com", None, Err(Reason::MissingUid)),
            ("u\u{0}1", None, Err(Reason::ControlCharacter)),
        ];
        for (uid, iss, expected) in table {
            assert_eq!(account(&remit, uid, *iss), expected.map(str::to_owned), "{uid:?} {iss:?}");
        }
        assert_eq!(account(&remit, &"x".repeat(256), None), Err(Reason::TooLong));
    }

    #[test]
    fn a_subject_is_opaque_but_for_its_own_domain() {
        let remit = Remit::new(firefox(), vec![other()]);
        let subject =
            |sub, iss| remit.subject(sub, iss).map(|account| account.to_string()).map_err(|junk| junk.reason);
        assert_eq!(subject("u1", None), Ok("fxa:u1".into()));
        assert_eq!(subject("u1@mail.example", None), Ok("fxa:u1@mail.example".into()));
        assert_eq!(subject("u1@api.accounts.firefox.com", None), Ok("fxa:u1".into()));
        assert_eq!(subject("u1", Some("https://id.example.org")), Ok("other:u1".into()));
        assert_eq!(subject("u1", Some("https://elsewhere.example")), Err(Reason::Foreign));
        assert_eq!(subject("", None), Err(Reason::MissingUid));
    }
}
