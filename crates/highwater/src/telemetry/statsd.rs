//! Metrics for a StatsD server: gathered in memory, sent over UDP once a second.
//!
//! Names are the facade's own, dots and all, behind a configured prefix: the names that dashboards of the Tokenserver
//! know. Counters are sent as what was added since, gauges when they changed, histograms (seconds) as timers in
//! milliseconds. Nothing here waits for the network; a datagram that is lost is lost.

mod lines;
mod old_names;

pub(crate) use lines::TagStyle;

use anyhow::{Context, Result};
use lines::{Lines, Sample};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_util::registry::{AtomicStorage, Registry};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{ToSocketAddrs, UdpSocket};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// The section `metrics.statsd`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StatsdSettings {
    /// Where the server is; without one nothing is sent.
    pub(crate) host: Option<String>,
    /// Its UDP port.
    pub(crate) port: u16,
    /// Before every name, with a dot between; may be empty.
    pub(crate) prefix: String,
    /// In its place before the names of fxa-event-broker (`message.…`, `proxy.…`).
    pub(crate) broker_prefix: Option<String>,
    /// How tags are written, if at all.
    pub(crate) tags: TagStyle,
    /// Also sends what fxa-event-broker's README once called differently, by these names.
    pub(crate) old_names: bool,
}

impl Default for StatsdSettings {
    fn default() -> Self {
        Self {
            host: None,
            port: 8125,
            prefix: "syncstorage.tokenserver".to_owned(),
            broker_prefix: None,
            tags: TagStyle::Dogstatsd,
            old_names: false,
        }
    }
}

/// The most timers of one name sent in a second; beyond it they are sampled, and say so.
const TIMERS_A_FLUSH: usize = 200;

/// The sender.
pub(crate) struct Statsd {
    registry: Arc<Registry<Key, AtomicStorage>>,
    socket: UdpSocket,
    settings: StatsdSettings,
    sent: Mutex<Sent>,
}

/// What was sent last: counters' totals, gauges' bits.
#[derive(Default)]
struct Sent {
    counters: HashMap<Key, u64>,
    gauges: HashMap<Key, u64>,
}

impl Statsd {
    /// The sender to the configured server; `None` where none is configured.
    pub(crate) fn new(settings: &StatsdSettings) -> Result<Option<Self>> {
        let Some(host) = &settings.host else { return Ok(None) };
        let server =
            (host.as_str(), settings.port).to_socket_addrs().with_context(|| format!("host `{host}`"))?;
        let server = server.into_iter().next().with_context(|| format!("host `{host}` has no address"))?;
        let any = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        let registry = Arc::new(Registry::atomic());
        Ok(Some(Self { registry, socket, settings: settings.clone(), sent: Mutex::default() }))
    }

    /// What the facade records into.
    pub(crate) fn recorder(&self) -> StatsdRecorder {
        StatsdRecorder(self.registry.clone())
    }

    /// Sends what changed since the last time. A full socket buffer or a missing server loses it.
    pub(crate) fn flush(&self) {
        for datagram in self.gather().into_datagrams() {
            let _ = self.socket.send(datagram.as_bytes());
        }
    }

    fn gather(&self) -> Lines<'_> {
        let mut lines = Lines::new(&self.settings);
        let mut sent = self.sent.lock().expect("nothing panics while it is held");
        self.registry.visit_counters(|key, counter| {
            let total = counter.load(Ordering::Relaxed);
            let before = sent.counters.insert(key.clone(), total).unwrap_or(0);
            if total > before {
                lines.push(key, Sample::Count(total - before));
            }
        });
        self.registry.visit_gauges(|key, gauge| {
            let bits = gauge.load(Ordering::Relaxed);
            if sent.gauges.insert(key.clone(), bits) != Some(bits) {
                lines.push(key, Sample::Gauge(f64::from_bits(bits)));
            }
        });
        self.registry.visit_histograms(|key, histogram| {
            let mut seconds = Vec::new();
            histogram.clear_with(|block| seconds.extend_from_slice(block));
            push_timers(&mut lines, key, &seconds);
        });
        lines
    }
}

fn push_timers(lines: &mut Lines<'_>, key: &Key, values: &[f64]) {
    let step = values.len().div_ceil(TIMERS_A_FLUSH).max(1);
    let chosen = values.iter().step_by(step);
    #[expect(clippy::cast_precision_loss, reason = "a share of at most some million samples")]
    let rate = chosen.len() as f64 / values.len() as f64;
    // A `…_size` is no duration; StatsD's timers take it as it is.
    let factor = if key.name().ends_with("_size") { 1.0 } else { 1_000.0 };
    chosen.for_each(|value| lines.push(key, Sample::Timer { ms: value * factor, rate }));
}

/// The facade's side: handles into the registry.
pub(crate) struct StatsdRecorder(Arc<Registry<Key, AtomicStorage>>);

impl Recorder for StatsdRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.0.get_or_create_counter(key, |counter| counter.clone().into())
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.0.get_or_create_gauge(key, |gauge| gauge.clone().into())
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.0.get_or_create_histogram(key, |histogram| histogram.clone().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn pair() -> (UdpSocket, Statsd) {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        server.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        let port = server.local_addr().expect("bound").port();
        let settings = StatsdSettings {
            host: Some("127.0.0.1".into()),
            port,
            prefix: "hw".into(),
            ..StatsdSettings::default()
        };
        (server, Statsd::new(&settings).expect("settings").expect("configured"))
    }

    fn received(server: &UdpSocket) -> String {
        let mut buffer = [0; 2_048];
        let length = server.recv(&mut buffer).expect("a datagram");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }

    #[test]
    fn a_counter_is_sent_as_what_was_added_since() {
        let (server, statsd) = pair();
        metrics::with_local_recorder(&statsd.recorder(), || metrics::counter!("reset").increment(2));
        statsd.flush();
        assert_eq!(received(&server), "hw.reset:2|c");
        statsd.flush();
        metrics::with_local_recorder(&statsd.recorder(), || metrics::counter!("reset").increment(1));
        statsd.flush();
        assert_eq!(received(&server), "hw.reset:1|c", "the empty flush between sent nothing");
    }

    #[test]
    fn a_histogram_of_seconds_is_sent_as_timers_of_milliseconds() {
        let (server, statsd) = pair();
        metrics::with_local_recorder(&statsd.recorder(), || {
            metrics::histogram!("token_creation").record(0.25);
        });
        statsd.flush();
        assert_eq!(received(&server), "hw.token_creation:250.000|ms");
    }

    #[test]
    fn a_flood_of_timers_is_sampled_and_says_so() {
        let settings =
            StatsdSettings { prefix: String::new(), tags: TagStyle::None, ..StatsdSettings::default() };
        let mut lines = Lines::new(&settings);
        push_timers(&mut lines, &Key::from_name("t"), &vec![0.001; 1_000]);
        let datagrams = lines.into_datagrams();
        let sent: Vec<&str> = datagrams.iter().flat_map(|datagram| datagram.lines()).collect();
        assert_eq!((sent.len(), sent[0]), (200, "t:1.000|ms|@0.200000"));
    }

    #[test]
    fn nothing_is_sent_where_no_server_is_configured() {
        assert!(Statsd::new(&StatsdSettings::default()).expect("settings").is_none());
    }
}
