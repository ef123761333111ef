//! `check`: what is configured, and whether it works, asked of the real thing.

use crate::admin::health::{Finding, Status};
use crate::house::House;
use crate::output::{self, Shown};
use crate::settings::Settings;
use broker::InvalidSettings;
use idp::Idps;
use serde_json::{Value, json};
use store::StoreError;

/// What was looked at, in order.
type Findings = Vec<(String, Finding)>;

/// Looks at everything. Done only when all of it works.
pub(crate) async fn run(settings: &Settings) -> Shown {
    let mut found: Findings = vec![("configuration".to_owned(), configuration(settings))];
    found.push(("keys.root".to_owned(), root_key(settings)));
    found.push(("store".to_owned(), store(settings).await));
    found.push(("listen".to_owned(), Finding::ok(doors(settings))));
    found.extend(service_tls(settings));
    found.extend(identity_providers(settings).await);
    found.push(("tokenserver".to_owned(), tokenserver(settings)));
    found.push(("bearer".to_owned(), bearer(settings)));
    found.extend(shared_tier(settings).await);
    found.push(("broker".to_owned(), broker(settings)));
    found.extend(capability_list(settings).await);
    found.push(("sessions".to_owned(), sessions(settings)));
    let works = found.iter().all(|(_, found)| found.status == Status::Ok);
    if works { shown(&found) } else { shown(&found).but("not everything works; see above") }
}

fn shown(found: &Findings) -> Shown {
    let rows: Vec<Value> = found
        .iter()
        .map(|(what, found)| json!({ "what": what, "status": found.status, "detail": found.detail }))
        .collect();
    let table = output::table(&rows, &[("WHAT", "what"), ("STATUS", "status"), ("", "detail")], "");
    Shown::new(Value::Array(rows), table)
}

fn configuration(settings: &Settings) -> Finding {
    Finding::ok(match &settings.file {
        Some(file) => format!("{}, then the environment and flags", file.display()),
        None => "no file found: the environment, flags and defaults; `highwater init` writes one".to_owned(),
    })
}

fn root_key(settings: &Settings) -> Finding {
    if settings.keys.root.is_some() {
        Finding::ok("set")
    } else {
        Finding::down("not set; `highwater init` writes one")
    }
}

/// Opens the store and asks it, unless another process owns it.
async fn store(settings: &Settings) -> Finding {
    let place = without_password(&settings.store.url);
    let house = match House::open(settings, None) {
        Ok(house) => house,
        Err(error) => return unopened(&error, &place),
    };
    let schema = house.schema();
    if let Err(error) = schema.refuse_a_later_file().await {
        return Finding::down(format!("{place}: {error:#}"));
    }
    match schema.pending().await {
        Ok(report) if report.applied.is_empty() => {
            Finding::ok(format!("{place} answers; its tables are up to date"))
        }
        Ok(report) => {
            Finding::ok(format!("{place} answers; {} steps for `highwater migrate`", report.applied.len()))
        }
        Err(error) => Finding::down(format!("{place}: {error}")),
    }
}

fn unopened(error: &anyhow::Error, place: &str) -> Finding {
    match error.downcast_ref::<StoreError>() {
        Some(StoreError::Owned { .. }) => Finding::ok(format!("{place} is served by a running process")),
        _ if error.is::<InvalidSettings>() => Finding::ok(format!("{place} was not asked; see the broker")),
        _ => Finding::down(format!("{error:#}")),
    }
}

/// A URL as it may be shown.
fn without_password(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => parsed
            .set_password(Some("***"))
            .map_or_else(|()| "the database".to_owned(), |()| parsed.to_string()),
        _ => url.to_owned(),
    }
}

fn doors(settings: &Settings) -> String {
    let listen = &settings.listen;
    let socket = settings.admin_socket().map(|path| format!(", {}", path.display())).unwrap_or_default();
    format!("public {}, service {}, admin {}{socket}", listen.public, listen.service, listen.admin)
}

/// Reads its files, where it is configured.
fn service_tls(settings: &Settings) -> Option<(String, Finding)> {
    let tls = settings.listen.service_tls.as_ref()?;
    let found = match tls.check() {
        Ok(()) => Finding::ok(format!("the service listener shows {}", tls.certificate.display())),
        Err(error) => Finding::down(error.to_string()),
    };
    Some(("listen.service_tls".to_owned(), found))
}

/// Fetches the keys of each.
async fn identity_providers(settings: &Settings) -> Findings {
    let idps = match Idps::new(&settings.idp) {
        Ok(idps) => idps,
        Err(error) => return vec![("idp".to_owned(), Finding::down(error.to_string()))],
    };
    let mut found = Vec::new();
    for idp in &idps {
        let keys = match idp.probe().await {
            Ok(0) => Finding::ok("no keys; it is asked about every token"),
            Ok(count) => {
                Finding::ok(format!("{count} keys for {}", idp.issuers().collect::<Vec<_>>().join(", ")))
            }
            Err(why) => Finding::down(why),
        };
        found.push((format!("idp.{}", idp.id()), keys));
    }
    found
}

fn tokenserver(settings: &Settings) -> Finding {
    match settings.tokenserver.as_ref().map(tokenserver::Settings::check) {
        None => Finding::ok("not configured: it is not served"),
        Some(Ok(())) => Finding::ok("served on the public listener"),
        Some(Err(error)) => Finding::down(error.to_string()),
    }
}

fn bearer(settings: &Settings) -> Finding {
    let Some(own) = &settings.bearer else {
        return Finding::ok("not configured: no proxy is told whether a token is good");
    };
    let checked = Idps::new(&settings.idp).map_err(|error| error.to_string());
    match checked.and_then(|idps| own.check(&idps).map_err(|error| error.to_string())) {
        Ok(_) if own.policy.routes.is_empty() => Finding::ok("no routes: every request is refused"),
        Ok(_) => Finding::ok(format!("{} routes, asked on the service listener", own.policy.routes.len())),
        Err(why) => Finding::down(why),
    }
}

/// Does with what nodes share all that serving does.
async fn shared_tier(settings: &Settings) -> Option<(String, Finding)> {
    let own = settings.bearer.as_ref()?.shared.as_ref()?;
    let found = match shared::probe(own).await {
        Ok(what) => Finding::ok(what),
        Err(why) => Finding::degraded(why),
    };
    Some(("bearer.shared".to_owned(), found))
}

fn broker(settings: &Settings) -> Finding {
    let Some(own) = &settings.broker else {
        return Finding::ok("not configured: no relying party is told");
    };
    match own.check_whole().and_then(|()| own.base_url()) {
        Ok(url) => Finding::ok(format!(
            "relying parties are told by {}; they find the keys at {url}/.well-known/jwks.json",
            own.issuer
        )),
        Err(error) => Finding::down(error.to_string()),
    }
}

fn sessions(settings: &Settings) -> Finding {
    let Some(own) = &settings.sessions else {
        return Finding::ok("not configured: no upstream session is kept");
    };
    let unknown = own.idps.iter().find(|own| settings.idp.iter().all(|idp| idp.id != own.id));
    match (own.check(), unknown) {
        (Err(error), _) => Finding::down(error.to_string()),
        (_, Some(unknown)) => {
            Finding::down(format!("sessions.idps: no identity provider {} is configured", unknown.id))
        }
        _ => Finding::ok(format!("kept for {} h, asked on the service listener", own.session_hours)),
    }
}

/// Fetches the list of capabilities, where there is one.
async fn capability_list(settings: &Settings) -> Option<(String, Finding)> {
    let list = settings.broker.as_ref()?.capability_list.as_ref()?;
    let found = match list.probe().await {
        Ok(clients) => Finding::ok(format!("{clients} clients at {}", list.url)),
        Err(why) => Finding::down(why),
    };
    Some(("broker.capability_list".to_owned(), found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_stores_url_is_not_shown() {
        assert_eq!(without_password("postgres://u:secret@h/d"), "postgres://u:***@h/d");
        assert_eq!(without_password("sqlite:highwater.db"), "sqlite:highwater.db");
    }
}
