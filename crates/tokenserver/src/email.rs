//! An account as the rows name it: `subject@domain`.

use account::{AccountId, Subject};
use idp::Idps;

/// `None` for an account of an identity provider that is not configured.
pub(crate) fn email(idps: &Idps, account: &AccountId) -> Option<String> {
    let domain = idps.by_id(&account.idp)?.account_domain();
    Some(format!("{}@{domain}", account.subject))
}

/// Whose row it is. `None` for a domain that no identity provider here has: its users are asked for by nobody.
pub(crate) fn account(idps: &Idps, email: &str) -> Option<AccountId> {
    let (subject, domain) = email.rsplit_once('@')?;
    let idp = idps.by_account_domain(domain)?;
    Some(AccountId::new(idp.id().clone(), Subject::new(subject).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::IdpId;
    use idp::IdpConfig;

    #[test]
    fn a_row_and_its_account_name_each_other() {
        let id = IdpId::new("main").expect("valid");
        let config = IdpConfig {
            server_url: Some("https://accounts.example".to_owned()),
            ..IdpConfig::new(id.clone(), "https://accounts.example", "accounts.example")
        };
        let idps = Idps::new(&[config]).expect("valid");
        let odd = AccountId::new(id, Subject::new("a@b").expect("valid"));
        let written = email(&idps, &odd).expect("configured");
        assert_eq!((written.as_str(), account(&idps, &written)), ("a@b@accounts.example", Some(odd)));
        assert_eq!(account(&idps, "a@elsewhere.example"), None);
        assert_eq!(account(&idps, "nobody"), None);
    }
}
