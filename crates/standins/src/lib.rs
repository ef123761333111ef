//! Small honest stand-ins for the outside world, on real sockets: what Highwater's demo, tests and benches stand between.
//!
//! * [`StandInIdp`] is an identity provider: accounts, sign-ins, keys that rotate, outages, signed account events, logins
//!   whose refresh tokens rotate, and all that can go wrong with them.
//! * [`StandInNode`] is a service node that accepts Hawk-signed requests as a sync storage server does.
//! * [`StandInRp`] is a relying party that is told by Security Event Tokens, and believes the good ones.
//! * [`StandInApi`] is an API that asks the token check about each request before it serves it.
//! * [`StandInQueue`] is a queue that speaks SQS, quick enough to measure a consumer by. (Tests use moto's server.)
//! * [`Device`] is the half of a client that speaks to both: it shows its access token to the Tokenserver and signs its
//!   requests to the node with what it got.
//!
//! Honest means: each checks what the real one checks, by code of its own that shares nothing with what it is used to
//! test. None keeps anything: dropping one stops it.

mod api;
mod device;
mod fetch;
mod hawk;
mod idp;
mod node;
mod queue;
mod rp;
mod running;
mod ticket;

pub use api::StandInApi;
pub use device::{Device, TokenAnswer};
pub use hawk::{HawkHeader, HawkRequest, InvalidHawk};
pub use idp::{AccessClaims, Canned, Health, SYNC_SCOPE, SecurityEvent, SignIn, StandInIdp};
pub use idp::{
    Authorization, ClientProof, Endpoint, Fault, How, LoginClient, LoginTokens, Logins, Odd, Rotation, When,
};
pub use node::{Refusal, StandInNode};
pub use queue::StandInQueue;
pub use rp::{StandInRp, TellWay, Told};
pub use ticket::{InvalidTicket, Ticket, TicketKeys};

use account::Millis;
use std::sync::Arc;

/// Where a stand-in takes the time from. Pass the clock of the test, so that moving it moves everyone.
pub type Now = Arc<dyn Fn() -> Millis + Send + Sync>;
