//! StatsD's wire: one line a sample, lines packed into datagrams.

use super::StatsdSettings;
use super::old_names::old_name;
use metrics::Key;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The most bytes in a datagram: what passes an Ethernet unfragmented (1500 less the IPv6 and UDP headers).
const DATAGRAM: usize = 1_432;

/// How tags are written into a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TagStyle {
    /// After the type: `name:1|c|#key:value`.
    Dogstatsd,
    /// After the name: `name,key=value:1|c`.
    Influx,
    /// Not at all, for a server that knows no tags.
    None,
}

/// One sample, as its type on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sample {
    /// How much was added.
    Count(u64),
    /// What it is now.
    Gauge(f64),
    /// A duration in milliseconds, standing for as many as `1 / rate`.
    Timer {
        /// Milliseconds.
        ms: f64,
        /// The share of the samples that are sent; 1 is all.
        rate: f64,
    },
}

/// Lines on their way into datagrams.
pub(crate) struct Lines<'a> {
    settings: &'a StatsdSettings,
    datagrams: Vec<String>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(settings: &'a StatsdSettings) -> Self {
        Self { settings, datagrams: Vec::new() }
    }

    pub(crate) fn push(&mut self, key: &Key, sample: Sample) {
        self.push_one(key, sample);
        if let Some(old) = old_name(key).filter(|_| self.settings.old_names) {
            self.push_one(&old, sample);
        }
    }

    fn push_one(&mut self, key: &Key, sample: Sample) {
        let line = self.line(key, sample);
        match self.datagrams.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= DATAGRAM => {
                last.push('\n');
                last.push_str(&line);
            }
            _ => self.datagrams.push(line),
        }
    }

    pub(crate) fn into_datagrams(self) -> Vec<String> {
        self.datagrams
    }

    fn line(&self, key: &Key, sample: Sample) -> String {
        let mut line = String::with_capacity(96);
        let prefix = self.prefix_of(key.name());
        if !prefix.is_empty() {
            line.push_str(prefix);
            line.push('.');
        }
        push_clean(&mut line, key.name());
        let tags = self.settings.tags;
        if tags == TagStyle::Influx {
            key.labels().for_each(|label| push_tag(&mut line, ',', label.key(), '=', label.value()));
        }
        match sample {
            Sample::Count(added) => write!(line, ":{added}|c"),
            Sample::Gauge(now) => write!(line, ":{now}|g"),
            Sample::Timer { ms, rate } if rate < 1.0 => write!(line, ":{ms:.3}|ms|@{rate:.6}"),
            Sample::Timer { ms, .. } => write!(line, ":{ms:.3}|ms"),
        }
        .expect("a String takes every write");
        if tags == TagStyle::Dogstatsd {
            let separators = std::iter::once("|#").chain(std::iter::repeat(","));
            key.labels().zip(separators).for_each(|(label, separator)| {
                line.push_str(separator);
                push_clean(&mut line, label.key());
                line.push(':');
                push_clean(&mut line, label.value());
            });
        }
        line
    }
}

impl Lines<'_> {
    fn prefix_of(&self, name: &str) -> &str {
        let StatsdSettings { prefix, broker_prefix, .. } = self.settings;
        let is_brokers = name.starts_with("message.") || name.starts_with("proxy.");
        broker_prefix.as_deref().filter(|_| is_brokers).unwrap_or(prefix)
    }
}

fn push_tag(line: &mut String, before: char, key: &str, between: char, value: &str) {
    line.push(before);
    push_clean(line, key);
    line.push(between);
    push_clean(line, value);
}

/// What separates on the wire becomes an underscore, so that a value cannot end its line.
fn push_clean(line: &mut String, text: &str) {
    let is_separator =
        |c: char| matches!(c, ':' | '|' | '@' | '#' | ',' | '=') || c.is_whitespace() || c.is_control();
    line.extend(text.chars().map(|c| if is_separator(c) { '_' } else { c }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::Label;

    fn line(prefix: &str, tags: TagStyle, key: &Key, sample: Sample) -> String {
        let settings = StatsdSettings { prefix: prefix.into(), tags, ..StatsdSettings::default() };
        Lines::new(&settings).line(key, sample)
    }

    fn processed() -> Key {
        let labels = vec![Label::new("event_type", "delete_user"), Label::new("odd", "a:b|c,d")];
        Key::from_parts("webhook.events_processed", labels)
    }

    #[test]
    fn each_tag_style_has_its_place() {
        for (style, expected) in [
            (TagStyle::Dogstatsd, "p.webhook.events_processed:3|c|#event_type:delete_user,odd:a_b_c_d"),
            (TagStyle::Influx, "p.webhook.events_processed,event_type=delete_user,odd=a_b_c_d:3|c"),
            (TagStyle::None, "p.webhook.events_processed:3|c"),
        ] {
            assert_eq!(line("p", style, &processed(), Sample::Count(3)), expected);
        }
    }

    #[test]
    fn each_type_has_its_letters_and_a_prefix_may_be_empty() {
        let key = Key::from_name("token_creation");
        for (sample, expected) in [
            (Sample::Count(1), "token_creation:1|c"),
            (Sample::Gauge(2.5), "token_creation:2.5|g"),
            (Sample::Timer { ms: 1.23456, rate: 1.0 }, "token_creation:1.235|ms"),
            (Sample::Timer { ms: 1.0, rate: 0.25 }, "token_creation:1.000|ms|@0.250000"),
        ] {
            assert_eq!(line("", TagStyle::Dogstatsd, &key, sample), expected);
        }
    }

    #[test]
    fn what_fxa_event_broker_sent_has_its_prefix_and_on_demand_its_older_names() {
        let settings = StatsdSettings {
            broker_prefix: Some("fxa-event-broker".into()),
            old_names: true,
            ..StatsdSettings::default()
        };
        let mut lines = Lines::new(&settings);
        let labels = vec![Label::new("eventType", "login")];
        lines.push(&Key::from_parts("message.type", labels), Sample::Count(2));
        lines.push(&Key::from_name("token_creation"), Sample::Count(1));
        assert_eq!(
            lines.into_datagrams(),
            [[
                "fxa-event-broker.message.type:2|c|#eventType:login",
                "fxa-event-broker.message.type.login:2|c",
                "syncstorage.tokenserver.token_creation:1|c",
            ]
            .join("\n")]
        );
    }

    #[test]
    fn lines_are_packed_into_datagrams_that_pass_unfragmented() {
        let settings = StatsdSettings { prefix: "p".into(), ..StatsdSettings::default() };
        let mut lines = Lines::new(&settings);
        (0..200).for_each(|added| lines.push(&processed(), Sample::Count(added)));
        let datagrams = lines.into_datagrams();
        assert!(datagrams.len() > 1 && datagrams.iter().all(|datagram| datagram.len() <= DATAGRAM));
        assert_eq!(datagrams.iter().flat_map(|datagram| datagram.lines()).count(), 200);
    }
}
