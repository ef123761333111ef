//! What the client of an identity provider says, in the words of this house.

use super::{
    Class, Fresh, Given, Identity, Original, Proven, Revoked, SetAside, TokenType, Trouble, UserTrouble,
};
use crate::Object;
use account::{AccountId, Subject};
use idp::{
    BadDpopKey, FailureClass, Granted, HeldBack, IdToken, IdTokenClaims, NotGranted, NotRevoked, Secret,
    Tokens, UserInfoError,
};
use zeroize::Zeroizing;

/// What an ID token is held against; at least the user, who is known in any case.
pub(super) fn original(account: &AccountId, told: Option<&Original>) -> idp::Original {
    idp::Original {
        issuer: told.map(|it| it.issuer.as_str().into()),
        subject: account.subject.as_str().into(),
        audience: told
            .map(|it| it.audience.iter().map(|it| it.as_str().into()).collect())
            .unwrap_or_default(),
        auth_time: told.and_then(|it| it.auth_time),
    }
}

/// The tokens are good whatever their ID token is worth, unless it is somebody else's.
pub(super) fn granted(granted: Granted) -> Result<Fresh, Trouble> {
    let fresh = fresh(&granted.tokens);
    match granted.id_token {
        IdToken::Verified(claims) => Ok(Fresh { claims: Some(of_the_user(claims.all)), ..fresh }),
        IdToken::Absent | IdToken::Unusable(_) => Ok(fresh),
        IdToken::NotNow { retry_after } => {
            let id_token = granted.tokens.id_token.as_ref().map(text);
            Ok(Fresh { set_aside: id_token.map(|id_token| SetAside { id_token, retry_after }), ..fresh })
        }
        IdToken::Mismatch(what) => {
            let text = format!("the ID token of a refresh is another's: {what:?}");
            Err(Trouble { class: Class::Mismatch, retry_after: None, text })
        }
    }
}

fn fresh(tokens: &Tokens) -> Fresh {
    Fresh {
        access_token: text(&tokens.access_token),
        token_type: TokenType::named(&tokens.token_type),
        expires_in: tokens.expires_in,
        refresh_token: tokens.refresh_token.as_ref().map(text),
        scope: tokens.scope.as_deref().map(str::to_owned),
        claims: None,
        set_aside: None,
    }
}

fn text(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(secret.reveal().to_owned())
}

/// What came for a code.
pub(super) fn given(granted: Granted) -> Given {
    Given {
        tokens: fresh(&granted.tokens),
        id_token: granted.tokens.id_token.as_ref().map(text),
        proven: proven(granted.id_token),
    }
}

/// Who has logged in.
pub(super) fn proven(id_token: IdToken) -> Proven {
    match id_token {
        IdToken::Verified(claims) => match Subject::new(&claims.subject) {
            Ok(subject) => Proven::By(Box::new(identity(subject, *claims))),
            Err(error) => Proven::Not(format!("the ID token's sub cannot be kept: {error}")),
        },
        IdToken::Absent => Proven::Absent,
        IdToken::NotNow { retry_after } => Proven::NotNow { retry_after },
        IdToken::Unusable(why) => Proven::Not(format!("the ID token cannot be used: {why}")),
        IdToken::Mismatch(what) => Proven::Not(format!("the ID token is another's: {what}")),
    }
}

fn identity(subject: Subject, claims: IdTokenClaims) -> Identity {
    let original = Original {
        issuer: claims.issuer.into(),
        audience: claims.audience.into_iter().map(String::from).collect(),
        auth_time: claims.auth_time,
    };
    let (sid, auth_time) = (claims.sid.map(String::from), claims.auth_time);
    Identity { subject, sid, auth_time, original, claims: of_the_user(claims.all) }
}

/// What an ID token says of the user; what it says of itself is another each time, and changes nothing for anybody.
fn of_the_user(mut claims: Object) -> Object {
    for name in ["exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "s_hash"] {
        claims.remove(name);
    }
    claims
}

pub(super) fn not_granted(error: NotGranted) -> Trouble {
    match error {
        NotGranted::HeldBack(held) => held_back(held),
        NotGranted::Failed(failure) => Trouble {
            class: match failure.class {
                FailureClass::Terminal => Class::Terminal,
                FailureClass::Misconfigured => Class::Misconfigured,
                FailureClass::Throttled => Class::Throttled,
                FailureClass::KnownFailed => Class::KnownFailed,
                FailureClass::Ambiguous => Class::Ambiguous,
            },
            retry_after: failure.retry_after,
            text: failure.text.into(),
        },
    }
}

pub(super) fn revoked(done: idp::Revoked) -> Revoked {
    match done {
        idp::Revoked::RefreshToken => Revoked::RefreshToken,
        idp::Revoked::AccessToken => Revoked::AccessToken,
        idp::Revoked::Nothing => Revoked::Nothing,
    }
}

pub(super) fn not_revoked(error: NotRevoked) -> Trouble {
    match error {
        NotRevoked::HeldBack(held) => held_back(held),
        NotRevoked::Later { retry_after, text } => {
            Trouble { class: Class::KnownFailed, retry_after, text: text.into() }
        }
        refused @ NotRevoked::Refused { .. } => {
            Trouble { class: Class::Misconfigured, retry_after: None, text: refused.to_string() }
        }
    }
}

fn held_back(held: HeldBack) -> Trouble {
    Trouble { class: Class::NotAsked, retry_after: Some(held.retry_after()), text: held.to_string() }
}

/// One that is not configured any more is an operator's slip: nobody's session ends by it.
pub(super) fn not_configured() -> Trouble {
    let text = "no login by this identity provider is configured".to_owned();
    Trouble { class: Class::Misconfigured, retry_after: None, text }
}

/// A key that does not open says nothing of what is bound to it.
pub(super) fn bad_key(error: &BadDpopKey) -> Trouble {
    Trouble { class: Class::KnownFailed, retry_after: None, text: error.to_string() }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error")]
pub(super) fn not_told(error: UserInfoError) -> UserTrouble {
    let (name, text) = (error.as_str(), error.to_string());
    match error {
        UserInfoError::NoEndpoint => UserTrouble::Nothing,
        UserInfoError::HeldBack(held) => UserTrouble::NotAsked { retry_after: held.retry_after() },
        UserInfoError::TokenRefused => UserTrouble::Refused,
        UserInfoError::Unavailable { retry_after, .. } => UserTrouble::Failed { name, retry_after, text },
        UserInfoError::Forbidden | UserInfoError::OtherSubject | UserInfoError::Unusable(_) => {
            UserTrouble::Failed { name, retry_after: None, text }
        }
    }
}
