//! Checks of bearer tokens a second, all from memory.
//!
//! * `warm`, `warm_100k`: an axum service behind the layer, asked with 1,000 and with 100,000 tokens in turn, each of an
//!   account of its own. The limit is the same service without the layer.
//! * `proxied`: a node asked by a proxy (`/verify/nginx`), 1,000 tokens; the limit is the same.

use crate::home::Home;
use crate::limit::Bare;
use crate::load::{Load, Order, Run};
use crate::pin::Cores;
use crate::process::Server;
use crate::report::{Measured, Report, rounded};
use crate::serve::BODY;
use crate::signed::Signed;
use crate::tokens::render;
use crate::{Engine, Options};
use anyhow::{Result, ensure};
use std::time::Duration;

const FEW: u32 = 1_000;
const MANY: u32 = 100_000;
/// So many requests are rendered at a time for what is asked once.
const LOT: usize = 5_000;
const WARM_UP: Duration = Duration::from_millis(500);
/// No run takes this long; it ends with its requests.
const UNBOUNDED: Duration = Duration::from_hours(1);

/// Runs it; what stands on a store on each engine that was asked for.
pub(crate) fn bench(options: &Options) -> Result<Report> {
    let cores = Cores::share_out();
    let signed = Signed::sign(MANY)?;
    cores.move_to_load();
    let bare = Bare::sending(signed.token(0), &cores, options)?;
    let bench = Bench { options, cores: &cores, signed: &signed, bare: &bare };
    let mut results = bench.layered()?;
    for engine in options.engines() {
        results.push(bench.proxied(engine)?);
    }
    Ok(Report { bench: "verify", results })
}

struct Bench<'a> {
    options: &'a Options,
    cores: &'a Cores,
    signed: &'a Signed,
    bare: &'a Bare,
}

impl Bench<'_> {
    fn layered(&self) -> Result<Vec<Measured>> {
        let server = Server::start(self.cores, &["layered", "--key", &self.signed.key])?;
        self.settle(&server, 0..FEW as usize)?;
        let warm = self.warm("warm", &server, FEW)?;
        let before = server.usage()?;
        self.settle(&server, FEW as usize..MANY as usize)?;
        let grown = (server.usage()?.rss_mib - before.rss_mib) * f64::from(1 << 20);
        let warm_100k = self.warm("warm_100k", &server, MANY)?;
        server.end()?;
        let each = rounded(grown / f64::from(MANY - FEW));
        Ok(vec![warm, Measured { bytes_per_item: Some(each), ..warm_100k }])
    }

    /// Each token for the first time; the service says whose it takes it for.
    fn settle(&self, server: &Server, tokens: std::ops::Range<usize>) -> Result<()> {
        for first in tokens.clone().step_by(LOT) {
            let lot = first..tokens.end.min(first + LOT);
            let requests: Vec<_> = lot.map(|index| render("/whose", self.signed.token(index), "-")).collect();
            let load = self.load(server, &requests, Order::Once, UNBOUNDED)?;
            load.run(|index, body| {
                ensure!(body == Signed::subject(first + index).as_bytes(), "another account's");
                Ok(())
            })?;
        }
        Ok(())
    }

    fn warm(&self, name: &'static str, server: &Server, tokens: u32) -> Result<Measured> {
        let key_id = "1700000000000-AAAAAAAAAAAAAAAAAAAAAA";
        let requests: Vec<_> =
            (0..tokens as usize).map(|index| render("/", self.signed.token(index), key_id)).collect();
        let mut asked = 0;
        let mut ask = |duration| -> Result<Run> {
            // From where the last slice ended, so that each token has its turn.
            let run = self.load(server, &requests, Order::InTurnFrom(asked), duration)?.run(|_, body| {
                ensure!(body == BODY.as_bytes(), "another body");
                Ok(())
            })?;
            asked += run.latencies.len();
            Ok(run)
        };
        ask(WARM_UP)?;
        let figure = self.bare.beside(name, server, self.options.duration(), |_, slice| ask(slice))?;
        Ok(Measured { unit: "checks/s", ..figure })
    }

    fn proxied(&self, engine: Engine) -> Result<Measured> {
        let home = Home::make(engine, self.cores)?;
        let arguments = ["check", "--store", &home.url(), "--key", &self.signed.key];
        let server = Server::start(self.cores, &arguments)?;
        let caller = caller(&server, self.options)?;
        let requests: Vec<_> =
            (0..FEW as usize).map(|index| render_check(&caller, self.signed.token(index))).collect();
        let subjects: Vec<_> = (0..FEW as usize).map(subject_header).collect();
        let ask = |order, duration| -> Result<Run> {
            self.load(&server, &requests, order, duration)?.run_whole(|index, answer| {
                ensure!(answer.has(subjects[index].as_bytes()), "another account's");
                Ok(())
            })
        };
        ask(Order::Once, UNBOUNDED)?;
        ask(Order::InTurn, WARM_UP)?;
        let figure = self
            .bare
            .beside("proxied", &server, self.options.duration(), |_, slice| ask(Order::InTurn, slice))?;
        server.end()?;
        Ok(Measured { engine: Some(engine.name()), unit: "checks/s", ..figure })
    }

    fn load<'a>(
        &self,
        server: &Server,
        requests: &'a [Box<[u8]>],
        order: Order,
        duration: Duration,
    ) -> Result<Load<'a>> {
        let connections = self.options.connections;
        Ok(Load { address: server.address()?, requests, order, connections, duration })
    }
}

/// A token for a proxy at that node.
pub(crate) fn caller(node: &Server, options: &Options) -> Result<String> {
    let requests = [Box::from(b"GET /caller HTTP/1.1\r\nhost: localhost\r\n\r\n".as_slice())];
    let mut token = String::new();
    let connections = options.connections.min(1);
    let (order, duration) = (Order::Once, UNBOUNDED);
    let load = Load { address: node.address()?, requests: &requests, order, connections, duration };
    load.run(|_, body| {
        std::str::from_utf8(body)?.clone_into(&mut token);
        Ok(())
    })?;
    Ok(token)
}

/// What nginx asks of a GET of `/masks`.
pub(crate) fn render_check(caller: &str, token: &str) -> Box<[u8]> {
    let request = format!(
        "GET /verify/nginx HTTP/1.1\r\nhost: localhost\r\nx-highwater-caller: {caller}\r\n\
         authorization: Bearer {token}\r\nx-original-method: GET\r\nx-original-uri: /masks\r\n\r\n"
    );
    request.into_bytes().into_boxed_slice()
}

/// What the answer says of the account, if it is a yes.
pub(crate) fn subject_header(index: usize) -> String {
    format!("x-highwater-subject: {}", Signed::subject(index))
}
