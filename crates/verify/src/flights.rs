//! Questions under way, so that a token many ask about at once is one question.

use crate::memory::TokenKey;
use crate::{CheckError, Facts};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) type Outcome = Result<Arc<Facts>, CheckError>;
type Flight = BoxFuture<'static, Outcome>;

#[derive(Default)]
pub(crate) struct Flights {
    under_way: Mutex<HashMap<TokenKey, WeakShared<Flight>>>,
}

/// Clears the flight away, whether it arrived or everybody gave it up.
struct Landing {
    flights: Arc<Flights>,
    key: TokenKey,
}

impl Flights {
    /// Waits for the flight of this key, or begins it. Those who wait carry it on when the one who began it goes.
    pub(crate) async fn join<F>(self: &Arc<Self>, key: TokenKey, begin: impl FnOnce() -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.shared(key, begin).await
    }

    fn shared<F>(self: &Arc<Self>, key: TokenKey, begin: impl FnOnce() -> F) -> Shared<Flight>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut under_way = self.under_way.lock();
        if let Some(flight) = under_way.get(&key).and_then(WeakShared::upgrade) {
            return flight;
        }
        let (landing, flight) = (Landing { flights: Arc::clone(self), key }, begin());
        let flight = async move {
            let _landing = landing;
            flight.await
        };
        let flight = flight.boxed().shared();
        under_way.insert(key, flight.downgrade().expect("it has not been polled yet"));
        flight
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.under_way.lock().remove(&self.key);
    }
}
