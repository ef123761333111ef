//! `rp listen`: a receiver that verifies what comes, and prints it.

use super::said::revealed;
use crate::cli::{Global, RpListenOptions};
use crate::listen::{ConnectionLimits, LimitSettings, Listener as Door, Socket};
use crate::moment::date;
use crate::output::say;
use crate::serve::Signals;
use crate::settings::Settings;
use crate::telemetry::{LogSettings, Verbosity, start_logs};
use anyhow::{Context, Result, ensure};
use broker::listen::{Heard, Keys, Listener, Poller, Trust};
use broker::{ClientId, Secret};
use serde_json::{Value, json};
use std::pin::pin;
use std::time::Duration;
use store::Clock;
use tokio::sync::mpsc::Receiver;
use url::Url;
use work::Lifecycle;

/// The last senders get their answers within this.
const GRACE: Duration = Duration::from_secs(5);

/// Receives until a signal, or so many.
pub(crate) async fn run(options: &RpListenOptions, global: &Global) -> Result<()> {
    start_logs(&LogSettings::of_a_command(), Verbosity::from_flags(global.verbose))?;
    let mut signals = Signals::listen()?;
    let life = Lifecycle::new();
    let (listener, heard) = Listener::new(trust(options, global)?, Clock::system());
    let mut receiving = pin!(receive(options, listener, &life, global.json));
    let printed = tokio::select! {
        printed = print(heard, options.count, global.json) => printed,
        () = signals.next() => Ok(()),
        broken_off = &mut receiving => return broken_off,
    };
    // What was heard is answered, or acknowledged.
    life.stop();
    receiving.await?;
    life.ended(GRACE).await?;
    printed
}

/// Listens, or asks, until the soft stop.
async fn receive(
    options: &RpListenOptions,
    listener: Listener,
    life: &Lifecycle,
    as_json: bool,
) -> Result<()> {
    if let (Some(url), Some(token)) = (&options.poll, &options.token) {
        let url: Url = url.parse().context("--poll is no URL")?;
        let poller = Poller::new(listener, url, &Secret::new(revealed(token)?))?;
        return Ok(poller.run(life.stopping()).await?);
    }
    let limits = ConnectionLimits::from(&LimitSettings::default());
    let socket = Socket::tcp(options.at).await?;
    let place = format!("http://{}/", socket.place());
    say(&if as_json { json!({ "listening": place }).to_string() } else { format!("listening on {place}") })?;
    Door { name: "receiver", socket, routes: listener.routes(), limits, tls: None }.run(life.clone()).await;
    Ok(())
}

/// Prints what comes. With a count it ends, and well only if all of them were good.
async fn print(mut heard: Receiver<Heard>, count: Option<usize>, as_json: bool) -> Result<()> {
    let (mut all, mut bad) = (0, 0);
    while count.is_none_or(|count| all < count) {
        let Some(it) = heard.recv().await else { break };
        all += 1;
        bad += usize::from(!it.is_good());
        say(&if as_json { serde_json::to_string(&it)? } else { told(&it) })?;
    }
    ensure!(bad == 0, "{bad} of {all} were refused; see above");
    Ok(())
}

/// In a line; what it says beneath.
fn told(heard: &Heard) -> String {
    let mark = if heard.is_good() { "✓" } else { "✗" };
    let event = heard.event.as_deref().and_then(|it| it.rsplit('/').next()).unwrap_or("-");
    let again = if heard.duplicate { ", again" } else { "" };
    let refused = heard.refusal.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let subject = heard.subject.as_deref().unwrap_or("-");
    let said = heard.said.as_ref().map_or(&Value::Null, |said| payload(heard, said));
    format!("{mark} {}  {event}  {subject}{again}{refused}\n    {said}", date(heard.at))
}

fn payload<'a>(heard: &Heard, said: &'a Value) -> &'a Value {
    let event = heard.event.as_deref().and_then(|event| said["events"].get(event));
    event.unwrap_or_else(|| if said["data"].is_null() { said } else { &said["data"] })
}

fn trust(options: &RpListenOptions, global: &Global) -> Result<Trust> {
    let webhook = options.webhook_secrets.iter().map(|it| revealed(it).map(Secret::new));
    let webhook = webhook.collect::<Result<Vec<_>>>()?;
    let (keys, issuer) = match &options.keys {
        Some(given) => (keys(given)?, options.issuer.clone()),
        None if !webhook.is_empty() => (Keys::Nobody, None),
        None => of_the_house(options, global)?,
    };
    let audience = options.client_id.as_deref().map(ClientId::new).transpose()?;
    Ok(Trust::new(keys, issuer, audience, webhook)?)
}

fn keys(given: &str) -> Result<Keys> {
    if given.starts_with("http://") || given.starts_with("https://") {
        return Ok(Keys::at(&given.parse().context("--keys is no URL")?)?);
    }
    let json = std::fs::read(given).with_context(|| format!("{given} cannot be read"))?;
    Ok(Keys::of_set(&json)?)
}

/// Those of the broker that is configured here.
fn of_the_house(options: &RpListenOptions, global: &Global) -> Result<(Keys, Option<String>)> {
    let settings = Settings::load(global.config.as_deref(), &global.set)?;
    let broker =
        settings.broker.context("whose keys are to be trusted? No broker is configured: give --keys")?;
    let url = format!("{}/.well-known/jwks.json", broker.base_url()?);
    Ok((keys(&url)?, options.issuer.clone().or(Some(broker.issuer))))
}
