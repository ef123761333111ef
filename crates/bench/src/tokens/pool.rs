//! Requests for tokens, rendered before the clock starts: each with a real RS256 access token.

use standins::{AccessClaims, StandInIdp};
use std::num::NonZero;
use std::ops::Range;
use std::thread;
use testkit::data;

/// When everybody's credentials were last changed, milliseconds since the epoch.
const GENERATION: i64 = 1_700_000_000_000;

/// Requests of a number of users, one after the other and then the first again.
pub(super) struct Pool {
    /// Whole HTTP requests.
    pub(super) requests: Vec<Box<[u8]>>,
    users: Range<u64>,
}

impl Pool {
    /// Mints `count` tokens, all different, for `users` in turn; on every core that this process may use.
    pub(super) fn mint(idp: &StandInIdp, users: Range<u64>, count: u64, issued_at: i64) -> Self {
        let workers = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let share = count.div_ceil(workers);
        let requests = thread::scope(|scope| {
            let shares: Vec<_> = (0..workers)
                .map(|worker| {
                    let users = users.clone();
                    let mine = worker * share..count.min((worker + 1) * share);
                    scope.spawn(move || {
                        mine.map(|index| request(idp, user(&users, index), issued_at)).collect()
                    })
                })
                .collect();
            let minted = shares.into_iter().map(|share| share.join().expect("minting does not panic"));
            minted.collect::<Vec<Vec<_>>>().concat()
        });
        Self { requests, users }
    }

    /// The account that asks by the request of that index.
    pub(super) fn subject(&self, index: usize) -> String {
        data::uid(user(&self.users, index as u64))
    }

    /// How many accounts ask.
    pub(super) fn users(&self) -> usize {
        usize::try_from(self.users.end - self.users.start).unwrap_or(usize::MAX)
    }
}

fn user(users: &Range<u64>, index: u64) -> u64 {
    users.start + index % (users.end - users.start)
}

fn request(idp: &StandInIdp, user: u64, issued_at: i64) -> Box<[u8]> {
    let token = idp.mint_unremembered(&AccessClaims::new(&data::uid(user), GENERATION, issued_at));
    let key_id = data::key_id(GENERATION, &data::client_state(user));
    render("/1.0/sync/1.5", &token, &key_id)
}

/// A request with the headers of an exchange.
pub(crate) fn render(path: &str, token: &str, key_id: &str) -> Box<[u8]> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nx-keyid: {key_id}\r\n\r\n"
    );
    request.into_bytes().into_boxed_slice()
}
