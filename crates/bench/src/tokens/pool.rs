//! Requests for tokens, rendered before the clock starts: each with a real RS256 access token.

use standins::{AccessClaims, StandInIdp};
use std::num::NonZero;
use std::thread;
use testkit::data;

/// When everybody's credentials were last changed, milliseconds since the epoch.
const GENERATION: i64 = 1_700_000_000_000;

/// Which accounts ask, one after the other and then the first again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    /// The number of the first.
    pub(crate) first: u64,
    /// From one to the next.
    pub(crate) stride: u64,
    /// How many there are.
    pub(crate) count: u64,
}

impl Who {
    fn number(self, index: u64) -> u64 {
        self.first + index % self.count * self.stride
    }
}

/// Requests for tokens.
pub(crate) struct Pool {
    /// Whole HTTP requests.
    pub(crate) requests: Vec<Box<[u8]>>,
    who: Who,
}

impl Pool {
    /// Mints `count` tokens, all different, for those accounts in turn; on every core that this process may use.
    pub(super) fn mint(idp: &StandInIdp, who: Who, count: u64, issued_at: i64) -> Self {
        let workers = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let share = count.div_ceil(workers);
        let requests = thread::scope(|scope| {
            let shares: Vec<_> = (0..workers)
                .map(|worker| {
                    let mine = worker * share..count.min((worker + 1) * share);
                    scope
                        .spawn(move || mine.map(|index| request(idp, who.number(index), issued_at)).collect())
                })
                .collect();
            let minted = shares.into_iter().map(|share| share.join().expect("minting does not panic"));
            minted.collect::<Vec<Vec<_>>>().concat()
        });
        Self { requests, who }
    }

    /// The account that asks by the request of that index.
    pub(super) fn subject(&self, index: usize) -> String {
        data::uid(self.who.number(index as u64))
    }

    /// How many accounts ask.
    pub(super) fn accounts(&self) -> usize {
        usize::try_from(self.who.count).unwrap_or(usize::MAX)
    }
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
