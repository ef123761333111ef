//! The client of an identity provider: its keys, and its word on tokens that only it can read.
//!
//! An [`Idp`] is one identity provider: its id, the set of issuer names it goes by, the domain its accounts carry, the
//! keys it signs with, and, where it has one, the endpoint that says what an opaque token means. [`Idps`] are all that
//! are configured; whoever is not among them is a stranger.
//!
//! The keys ([`KeySet`]) are those configured plus those fetched from its JWKS, refreshed in the background by
//! [`Idp::keep_fresh`]. The last good set stays in use while the identity provider cannot be reached. A token that
//! names an unknown key makes them be fetched again, by one request for all who wait and not more often than
//! configured.
//!
//! It is asked to look into a token by [`Idp::introspect`], with manners: a budget of questions a minute that is divided
//! between known tokens, unknown ones and those who ask ([`Lane`]), a breaker, and an ear for `Retry-After`.
//!
//! Where people log in by it, [`Idp::login`] keeps their logins: it exchanges codes, refreshes tokens, tells who the user is,
//! takes tokens back and believes logout tokens. A refresh token is presented once, and what came of it has one of five
//! classes ([`FailureClass`]), only one of which says that the grant is over.
//!
//! Trouble on the way to the identity provider is never the token's fault: it is told apart from a refusal by its
//! type ([`SignatureError::Unavailable`], [`AskError::Unavailable`], [`Introspected::Unavailable`]), so that it can become a 503 and never a 401.

mod ask;
mod client_auth;
mod config;
mod fetch;
mod flight;
mod idp;
mod introspection;
mod introspector;
mod issuers;
mod key_set;
mod login;
mod registry;
mod secret;
mod upstream;

pub use ask::{AskError, Told};
pub use config::{
    ClientAuthMethod, ConfigError, IdpConfig, IntrospectionConfig, LoginConfig, OpaqueTokens, Protocol,
};
pub use idp::{Idp, SignatureError};
pub use introspection::{Inactive, Introspected, Introspection, Trouble};
pub use introspector::IntrospectionState;
pub use key_set::KeySet;
pub use login::{
    Against, BadDpopKey, CodeExchange, DpopKey, DpopProof, Failure, FailureClass, Granted, HeldBack, IdToken,
    IdTokenClaims, LastError, Login, LoginState, LogoutToken, LogoutTokenError, Mismatch, NotGranted,
    NotRevoked, Original, Priority, Refresh, Revocation, Revoked, Tokens, Unusable, UserInfo, UserInfoAsk,
    UserInfoError,
};
pub use registry::Idps;
pub use secret::Secret;
pub use upstream::{BudgetLeft, Lane};
