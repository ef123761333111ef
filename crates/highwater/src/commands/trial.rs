//! What `simulate` and `rp verify` have in common: a receiver that is tried, by the house or by a key of one's own.

use super::rp::said::Said;
use crate::cli::TrialOptions;
use crate::listen::{ConnectionLimits, LimitSettings, Listener, Socket};
use anyhow::{Context, Result};
use broker::{ClientId, Config, Secrets, SigningAlgorithm, Trial, TrialKeys};
use serde_json::{Map, Value, json};
use store::Clock;
use work::Lifecycle;

/// The receiver, as the admin API takes it. What an operator types may be a private address.
pub(super) fn receiver(client_id: &str, webhook: Option<&str>, options: &TrialOptions) -> Result<Value> {
    let Said { config, secrets } = told(webhook, options)?;
    let mut receiver = json!({ "client_id": client_id, "webhook": webhook, "config": config });
    if !secrets.is_empty() {
        receiver["secrets"] = Value::Object(secrets);
    }
    Ok(receiver)
}

fn told(webhook: Option<&str>, options: &TrialOptions) -> Result<Said> {
    let mut said = Said::how_told(&options.how)?;
    if webhook.is_some() {
        said.config.entry("allow_private").or_insert(true.into());
    }
    Ok(said)
}

/// A trial that needs no house: signed with a key of one's own, which may be published meanwhile.
pub(super) struct Alone {
    pub(super) trial: Trial,
    publishing: Option<Lifecycle>,
}

impl Alone {
    /// Makes the key, and publishes it where that was asked for.
    pub(super) async fn begin(client_id: &str, webhook: &str, options: &TrialOptions) -> Result<Self> {
        let Said { mut config, secrets } = told(Some(webhook), options)?;
        config.insert("webhook".to_owned(), webhook.into());
        let keys = keys(options, &mut config)?;
        let config: Config = serde_json::from_value(Value::Object(config))?;
        let secrets: Secrets = serde_json::from_value(Value::Object(secrets))?;
        let publishing = publish(options, &keys).await?;
        let client_id = ClientId::new(client_id)?;
        let trial = Trial::new(client_id, config, secrets, &options.issuer, keys, Clock::system())?;
        Ok(Self { trial: trial.with_accounts_of(&options.issuer), publishing })
    }

    /// The answer, as the admin API would have given it, with who signed.
    pub(super) fn answer(&self, options: &TrialOptions, rest: Map<String, Value>) -> Value {
        let keys: Value = serde_json::from_slice(&self.trial.keys().published()).unwrap_or_default();
        let mut answer = json!({ "issuer": options.issuer, "keys": keys });
        answer.as_object_mut().expect("it was made as one").extend(rest);
        answer
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(life) = &self.publishing {
            life.stop();
        }
    }
}

/// The key of the file, with its own algorithm; else a fresh one.
fn keys(options: &TrialOptions, config: &mut Map<String, Value>) -> Result<TrialKeys> {
    let wanted = config.get("algorithm").cloned();
    let Some(file) = &options.key else {
        let algorithm = wanted.map(serde_json::from_value::<SigningAlgorithm>).transpose()?;
        return Ok(TrialKeys::fresh(algorithm.unwrap_or_default())?);
    };
    let named = || format!("{} holds no private key (a JWK)", file.display());
    let json = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let keys = TrialKeys::from_private_jwk(&json).with_context(named)?;
    if let Some(algorithm) = keys.algorithm() {
        config.insert("algorithm".to_owned(), serde_json::to_value(algorithm)?);
    }
    Ok(keys)
}

async fn publish(options: &TrialOptions, keys: &TrialKeys) -> Result<Option<Lifecycle>> {
    let Some(address) = options.publish else { return Ok(None) };
    let limits = ConnectionLimits::from(&LimitSettings::default());
    let listener = Listener {
        name: "keys",
        socket: Socket::tcp(address).await?,
        routes: keys.routes(),
        limits,
        tls: None,
    };
    let life = Lifecycle::new();
    life.spawn(listener.name, listener.run(life.clone()));
    Ok(Some(life))
}
