//! What was said of a relying party, as the admin API has it: only what was said.

use crate::cli::{HowTold, RpOptions};
use crate::output::word;
use anyhow::{Context, Result, ensure};
use broker::EventType;
use serde_json::{Map, Value};

/// A registration, or a change of one: what is null is as by default again.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Of what may be shown.
    pub(crate) config: Map<String, Value>,
    /// Of what may not.
    pub(crate) secrets: Map<String, Value>,
}

impl Said {
    /// Everything that was said, and what is to be unset.
    pub(super) fn all(options: &RpOptions, unset: &[String]) -> Result<Self> {
        let mut said = Self::how_told(&options.how)?;
        said.config.extend(registration(options));
        for name in unset {
            let (part, member) = said.place(name);
            ensure!(!part.contains_key(&member), "{name} is set and unset at once");
            part.insert(member, Value::Null);
        }
        Ok(said)
    }

    /// Only how it is told.
    pub(crate) fn how_told(how: &HowTold) -> Result<Self> {
        Ok(Self { config: manner(how)?, secrets: secrets(how)? })
    }

    /// Where something is, by its name on the command line.
    fn place(&mut self, name: &str) -> (&mut Map<String, Value>, String) {
        match name {
            "webhook-secrets" => (&mut self.secrets, "webhook".to_owned()),
            "authorization" | "headers" | "oauth" | "client-certificate" => {
                (&mut self.secrets, name.replace('-', "_"))
            }
            _ => (&mut self.config, name.replace('-', "_")),
        }
    }
}

fn registration(options: &RpOptions) -> Map<String, Value> {
    let events: Vec<&str> = options.events.iter().copied().map(EventType::uri).collect();
    members([
        ("webhook", options.webhook.clone().map(Value::from)),
        ("name", options.name.clone().map(Value::from)),
        ("events", list(&events)),
        ("capabilities", list(&options.capabilities)),
        ("resource_server", options.resource_server.map(Value::from)),
        ("idp", options.idp.clone().map(Value::from)),
        ("concurrency", options.concurrency.map(Value::from)),
        ("rate", options.rate.map(Value::from)),
        ("retry", list(&options.retry)),
        ("coalesce", options.coalesce.map(Value::from)),
    ])
}

fn manner(how: &HowTold) -> Result<Map<String, Value>> {
    Ok(members([
        ("format", how.format.as_ref().map(word).map(Value::from)),
        ("vocabulary", how.vocabulary.as_ref().map(word).map(Value::from)),
        ("algorithm", how.algorithm.as_ref().map(word).map(Value::from)),
        ("explicit_type", how.explicit_type.map(Value::from)),
        ("allow_private", how.allow_private.map(Value::from)),
        ("deadline_seconds", how.deadline_seconds.map(Value::from)),
        ("certificate_authorities", text(how.certificate_authorities.as_deref())?),
    ]))
}

fn secrets(how: &HowTold) -> Result<Map<String, Value>> {
    let webhook = how.webhook_secrets.iter().map(|it| revealed(it)).collect::<Result<Vec<_>>>()?;
    let headers = how.headers.iter().map(|(name, value)| Ok((name.clone(), revealed(value)?.into())));
    let headers = headers.collect::<Result<Map<_, _>>>()?;
    Ok(members([
        ("authorization", text(how.authorization.as_deref())?),
        ("headers", Some(headers).filter(|it| !it.is_empty()).map(Value::Object)),
        ("oauth", oauth(how)?),
        ("webhook", list(&webhook)),
        ("client_certificate", text(how.client_certificate.as_deref())?),
    ]))
}

/// How we get an access token for it.
fn oauth(how: &HowTold) -> Result<Option<Value>> {
    if how.oauth_token_url.is_none() {
        return Ok(None);
    }
    Ok(Some(Value::Object(members([
        ("token_url", how.oauth_token_url.clone().map(Value::from)),
        ("client_id", how.oauth_client_id.clone().map(Value::from)),
        ("client_secret", text(how.oauth_client_secret.as_deref())?),
        ("scope", how.oauth_scope.clone().map(Value::from)),
        ("resource", how.oauth_resource.clone().map(Value::from)),
    ]))))
}

fn text(typed: Option<&str>) -> Result<Option<Value>> {
    Ok(typed.map(revealed).transpose()?.map(Value::from))
}

fn members<const N: usize>(said: [(&str, Option<Value>); N]) -> Map<String, Value> {
    said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn list<T: Clone + Into<Value>>(items: &[T]) -> Option<Value> {
    (!items.is_empty()).then(|| items.to_vec().into())
}

/// A text: what was typed, or what is in the file behind an @.
pub(super) fn revealed(text: &str) -> Result<String> {
    let Some(file) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    let read = std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?;
    Ok(read.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(options: &RpOptions, unset: &[&str]) -> Result<Value> {
        let unset: Vec<String> = unset.iter().map(ToString::to_string).collect();
        Said::all(options, &unset).map(|said| json!([said.config, said.secrets]))
    }

    #[test]
    fn only_what_was_said_is_sent() {
        assert_eq!(said(&RpOptions::default(), &[]).expect("good"), json!([{}, {}]));
        let options = RpOptions {
            resource_server: Some(false),
            events: vec![EventType::DeleteUser],
            how: HowTold { headers: vec![("x-key".into(), "1".into())], ..HowTold::default() },
            ..RpOptions::default()
        };
        let events = [EventType::DeleteUser.uri()];
        assert_eq!(
            said(&options, &["rate", "webhook-secrets", "certificate-authorities"]).expect("good"),
            json!([
                {"resource_server": false, "events": events, "rate": null, "certificate_authorities": null},
                {"headers": {"x-key": "1"}, "webhook": null}
            ])
        );
    }

    #[test]
    fn a_secret_can_be_in_a_file_and_a_contradiction_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        std::fs::write(&file, "Bearer s3cret\n").expect("written");
        let at = |path: String| RpOptions {
            how: HowTold { authorization: Some(format!("@{path}")), ..HowTold::default() },
            ..RpOptions::default()
        };
        let there = at(file.display().to_string());
        assert_eq!(said(&there, &[]).expect("good")[1], json!({"authorization": "Bearer s3cret"}));
        assert!(said(&there, &["authorization"]).is_err());
        assert!(said(&at("nowhere".into()), &[]).expect_err("no file").to_string().contains("nowhere"));
    }
}
