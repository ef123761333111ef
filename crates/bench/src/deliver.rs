//! Deliveries a second, end to end: from account events through the ledger, the broker's worker and HTTP to receivers in
//! a process of their own, which verify each token.
//!
//! * `rs256`, `es256`, `eddsa`: as fast as they go, with two limits: the signatures alone, and the posts alone. With RS256 the
//!   product has a core to itself, whose signatures are its limit; the others share all cores with their receivers and with
//!   PostgreSQL.
//! * `rs256_to_four`: as `rs256`, of accounts that four relying parties know, not one: what an event costs is shared then.
//! * `…_half`: at half that rate, the time from the commit to the receiver; `…_half_from_event`: from the moment the event
//!   was due, which has the ledger's transaction in it.
//! * `--large`: one healthy relying party, alone and beside a dead one that a million deliveries are pending for.

use crate::home::Home;
use crate::pin::Cores;
use crate::process::{self, Server};
use crate::report::{Measured, Report, rounded};
use crate::serve::{Backlog, Delivered, Healthy, Told};
use crate::{Engine, Options};
use anyhow::Result;
use serde::de::DeserializeOwned;

/// How many relying parties there are.
const RPS: &str = "8";

const DELIVERIES: &str = "deliveries/s";

/// An algorithm, and the names of its figures.
struct Algorithm {
    name: &'static str,
    /// Whether its signatures are most of the work.
    is_limit_of_a_core: bool,
    /// How many relying parties know an account.
    known_to: &'static str,
    full: &'static str,
    half: &'static str,
    half_from_event: &'static str,
    signing: &'static str,
    posting: &'static str,
}

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm {
        name: "RS256",
        is_limit_of_a_core: true,
        known_to: "1",
        full: "rs256",
        half: "rs256_half",
        half_from_event: "rs256_half_from_event",
        signing: "rs256_signing",
        posting: "rs256_posting",
    },
    Algorithm {
        name: "RS256",
        is_limit_of_a_core: true,
        known_to: "4",
        full: "rs256_to_four",
        half: "rs256_to_four_half",
        half_from_event: "rs256_to_four_half_from_event",
        signing: "rs256_to_four_signing",
        posting: "rs256_to_four_posting",
    },
    Algorithm {
        name: "ES256",
        is_limit_of_a_core: false,
        known_to: "1",
        full: "es256",
        half: "es256_half",
        half_from_event: "es256_half_from_event",
        signing: "es256_signing",
        posting: "es256_posting",
    },
    Algorithm {
        name: "EdDSA",
        is_limit_of_a_core: false,
        known_to: "1",
        full: "eddsa",
        half: "eddsa_half",
        half_from_event: "eddsa_half_from_event",
        signing: "eddsa_signing",
        posting: "eddsa_posting",
    },
];

/// Runs it on each engine that was asked for.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let (apart, together) = (Cores::share_out(), Cores::for_all());
    let mut results = Vec::new();
    for engine in options.engines() {
        for algorithm in &ALGORITHMS {
            let cores = if algorithm.is_limit_of_a_core { &apart } else { &together };
            let job = ["deliver", "--algorithm", algorithm.name, "--known-to", algorithm.known_to];
            let delivered = work(cores, engine, &job, RPS, options)?;
            results.extend(figures(algorithm, engine, delivered));
        }
        if options.large {
            let job = ["deliver-beside-backlog", "--algorithm", "EdDSA"];
            let backlog = work(&apart, engine, &job, "1", options)?;
            results.extend(beside_backlog(engine, &backlog));
        }
    }
    Ok(Report { bench: "deliver", results })
}

/// Starts so many receivers and lets them be told, on a fresh store.
fn work<D: DeserializeOwned>(
    cores: &Cores,
    engine: Engine,
    job: &[&str],
    hooks: &str,
    options: &Options,
) -> Result<D> {
    let home = Home::make(engine, cores)?;
    let receivers = Server::beside_the_load(cores, &["receive", "--hooks", hooks])?;
    let (store, seconds) = (home.url(), options.seconds.to_string());
    let work = ["--store", &store, "--receivers", receivers.place(), "--seconds", &seconds];
    let done = process::job(cores, &[job, &work[..]].concat())?;
    receivers.end()?;
    Ok(done)
}

fn figure(name: &'static str, engine: Engine, unit: &'static str, told: Told) -> Measured {
    Measured {
        name,
        engine: Some(engine.name()),
        rate: rounded(told.rate()),
        unit,
        cpu_us: Some(rounded(told.cpu_each())),
        items: Some(told.items.into()),
        ..Measured::default()
    }
}

fn figures(algorithm: &Algorithm, engine: Engine, delivered: Delivered) -> [Measured; 5] {
    let deliveries = |name, told| figure(name, engine, DELIVERIES, told);
    let at_half = |name, latency| Measured { latency, ..deliveries(name, delivered.half) };
    let full = deliveries(algorithm.full, delivered.full).against(delivered.signing.rate());
    [
        Measured { rss_mib: Some(rounded(delivered.rss_mib)), ..full },
        at_half(algorithm.half, delivered.from_commit),
        at_half(algorithm.half_from_event, delivered.from_event),
        figure(algorithm.signing, engine, "signatures/s", delivered.signing),
        figure(algorithm.posting, engine, "posts/s", delivered.posting),
    ]
}

/// One healthy relying party: alone, and beside the dead one. Its limit there is what it had alone.
fn beside_backlog(engine: Engine, backlog: &Backlog) -> [Measured; 7] {
    let Backlog { alone, filling, beside } = *backlog;
    let full = |name, it: &Healthy| Measured {
        rss_mib: Some(rounded(it.rss_mib)),
        ..figure(name, engine, DELIVERIES, it.full)
    };
    let steady = |name, it: &Healthy| Measured {
        latency: it.from_commit,
        ..figure(name, engine, DELIVERIES, it.steady)
    };
    let claims = |name, it: &Healthy| Measured {
        name,
        engine: Some(engine.name()),
        rate: rounded(it.claim_rate()),
        unit: "claims/s",
        items: Some(it.claim_count),
        latency: it.claims,
        ..Measured::default()
    };
    [
        full("healthy_alone", &alone),
        steady("healthy_alone_steady", &alone),
        claims("claims_alone", &alone),
        figure("backlog_of_1m", engine, "events/s", filling),
        full("healthy_beside_1m", &beside).against(alone.full.rate()),
        steady("healthy_beside_1m_steady", &beside),
        claims("claims_beside_1m", &beside),
    ]
}
