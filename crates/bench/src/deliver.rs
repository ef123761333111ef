//! Deliveries a second, end to end: from account events through the ledger, the broker's worker and HTTP to receivers in
//! a process of their own, which verify each token.
//!
//! * `rs256`, `es256`, `eddsa`: as fast as they go, with two limits: the signatures alone, and the posts alone.
//! * `…_half`: at half that rate, the time from the commit to the receiver; `…_half_from_event`: from the moment the event
//!   was due, which has the ledger's transaction in it.

use crate::home::Home;
use crate::pin::Cores;
use crate::process::{self, Server};
use crate::report::{Measured, Report, rounded};
use crate::serve::{Delivered, Told};
use crate::{Engine, Options};
use anyhow::Result;

/// How many relying parties there are.
const RPS: &str = "8";

/// An algorithm, and the names of its figures.
struct Algorithm {
    name: &'static str,
    full: &'static str,
    half: &'static str,
    half_from_event: &'static str,
    signing: &'static str,
    posting: &'static str,
}

const ALGORITHMS: [Algorithm; 3] = [
    Algorithm {
        name: "RS256",
        full: "rs256",
        half: "rs256_half",
        half_from_event: "rs256_half_from_event",
        signing: "rs256_signing",
        posting: "rs256_posting",
    },
    Algorithm {
        name: "ES256",
        full: "es256",
        half: "es256_half",
        half_from_event: "es256_half_from_event",
        signing: "es256_signing",
        posting: "es256_posting",
    },
    Algorithm {
        name: "EdDSA",
        full: "eddsa",
        half: "eddsa_half",
        half_from_event: "eddsa_half_from_event",
        signing: "eddsa_signing",
        posting: "eddsa_posting",
    },
];

/// Runs it on each engine that was asked for.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let cores = Cores::share_out();
    cores.move_to_load();
    let mut results = Vec::new();
    for engine in options.engines() {
        for algorithm in &ALGORITHMS {
            results.extend(figures(algorithm, engine, deliver(&cores, engine, algorithm.name, options)?));
        }
    }
    Ok(Report { bench: "deliver", results })
}

fn deliver(cores: &Cores, engine: Engine, algorithm: &str, options: &Options) -> Result<Delivered> {
    let home = Home::make(engine, cores)?;
    let receivers = Server::beside_the_load(cores, &["receive", "--hooks", RPS])?;
    let (store, seconds) = (home.url(), options.seconds.to_string());
    let work = ["--receivers", receivers.place(), "--algorithm", algorithm, "--seconds", &seconds];
    let delivered = process::job(cores, &[&["deliver", "--store", &store], &work[..]].concat())?;
    receivers.end()?;
    Ok(delivered)
}

fn figures(algorithm: &Algorithm, engine: Engine, delivered: Delivered) -> [Measured; 5] {
    let figure = |name, unit, told: Told| Measured {
        name,
        engine: Some(engine.name()),
        rate: rounded(told.rate()),
        unit,
        cpu_us: Some(rounded(told.cpu_each())),
        items: Some(told.items.into()),
        ..Measured::default()
    };
    let deliveries = |name, told| figure(name, "deliveries/s", told);
    let at_half = |name, latency| Measured { latency, ..deliveries(name, delivered.half) };
    let full = deliveries(algorithm.full, delivered.full).against(delivered.signing.rate());
    [
        Measured { rss_mib: Some(rounded(delivered.rss_mib)), ..full },
        at_half(algorithm.half, delivered.from_commit),
        at_half(algorithm.half_from_event, delivered.from_event),
        figure(algorithm.signing, "signatures/s", delivered.signing),
        figure(algorithm.posting, "posts/s", delivered.posting),
    ]
}
