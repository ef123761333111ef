use crate::commands;
use crate::line::Line;
use crate::settings::Settings;
use std::time::Duration;
use tokio::time::timeout;
use verify::{Kind, Value};

/// For how long what the probe leaves there stays at most.
const MOMENT: Duration = Duration::from_secs(5);
const WORD: &[u8] = b"probe";

/// Whether everything that is asked of the server works: what it is, or what is wrong.
pub async fn probe(settings: &Settings) -> Result<String, String> {
    settings.check().map_err(|error| error.to_string())?;
    let connecting = timeout(settings.connect_timeout(), Line::connect(settings)).await;
    let late = || "it does not answer in time".to_owned();
    let line = connecting.map_err(|_| late())?.map_err(|error| error.to_string())?;
    let asking = timeout(settings.connect_timeout(), used(&line)).await;
    asking.map_err(|_| late())?.map_err(|error| error.to_string())?;
    let kind = if settings.cluster { "a cluster" } else { "a server" };
    Ok(format!("{} answers: {kind}, and we may do what we have to", settings.url))
}

/// Everything once, under a name that no token has.
async fn used(line: &Line) -> redis::RedisResult<()> {
    let (name, flight) = ("probe", "probe");
    let value = Value { kind: Kind::No, sealed: WORD, life: MOMENT };
    let _: commands::Claimed = line.ask(&commands::claim(name, flight, MOMENT)).await?;
    line.ask::<()>(&commands::hold(name, flight, MOMENT)).await?;
    line.ask::<()>(&commands::keep(name, value, flight)).await?;
    let _: commands::Looked = line.ask(&commands::look(name)).await?;
    line.ask::<()>(&commands::leave(name, flight, &[], MOMENT)).await
}
