//! The broker's keys, for whoever else signs: what it publishes verifies that too.

use bearer::{CannotSign, Signs};
use broker::{Broker, SigningAlgorithm, TokenType};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::num::NonZero;
use std::thread::available_parallelism;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The house's key ring. It signs as RFC 9701 has it where nothing else is agreed: by RS256.
pub(crate) struct HouseKeys {
    broker: Broker,
    /// An RSA signature takes long: they are made beside the runtime's threads, one at a time for each core.
    turns: Semaphore,
}

impl HouseKeys {
    pub(crate) fn new(broker: Broker) -> Self {
        Self { broker, turns: Semaphore::new(available_parallelism().map_or(1, NonZero::get)) }
    }

    async fn signed(&self, claims: Vec<u8>) -> Result<String, CannotSign> {
        // It is never closed.
        let _turn = self.turns.acquire().await.ok();
        let signer = self.broker.signer().clone();
        let sign = move || signer.sign(SigningAlgorithm::Rs256, TokenType::Introspection, &claims);
        let token = spawn_blocking(sign).await.map_err(|error| CannotSign(error.to_string()))?;
        token.map_err(|error| CannotSign(error.to_string()))
    }
}

impl Signs for HouseKeys {
    fn issuer(&self) -> &str {
        self.broker.issuer()
    }

    fn introspection(&self, claims: Vec<u8>) -> BoxFuture<'_, Result<String, CannotSign>> {
        self.signed(claims).boxed()
    }
}
