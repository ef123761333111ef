//! `--large`: a million accounts come one after the other, then some of all of them come back. The memory that the server
//! holds must not follow them.

use super::check::Checker;
use super::pool::{Pool, Who};
use super::{Bench, EXISTING, UNBOUNDED, keep};
use crate::home::Home;
use crate::limit;
use crate::load::Order;
use crate::process::Server;
use crate::report::Measured;
use crate::serve::{MASTER_SECRET, NODE};
use anyhow::{Result, ensure};
use std::collections::HashSet;

const ACCOUNTS: u64 = 1_000_000;
/// Tokens are minted for so many at a time.
const LOT: u64 = 50_000;
/// After how many accounts a figure is given, and its name. By the second all caches are full.
const TOLD: [(u64, &str); 3] =
    [(LOT, "new_user_of_50k"), (ACCOUNTS / 2, "new_user_of_500k"), (ACCOUNTS, "new_user_of_1m")];
/// Who comes back: every so-manieth account, a prime.
const STRIDE: u64 = 37;

/// Bodies, each with the account that asked.
type Answers = Vec<(String, Box<[u8]>)>;

impl Bench<'_> {
    /// Some lots of new accounts, and those who come back, each with the memory held by then.
    pub(super) fn large(&self) -> Result<Vec<Measured>> {
        let home = Home::make(self.engine, self.cores)?;
        let server = self.serve(&home)?;
        let checker = Checker::new(MASTER_SECRET, NODE);
        let mut uids = Vec::new();
        let mut figures = Vec::new();
        for lot in 1..=ACCOUNTS / LOT {
            let figure = self.lot(lot, &server, &checker, &mut uids)?;
            let name = TOLD.iter().find(|(after, _)| *after == lot * LOT).map(|(_, name)| *name);
            figures.extend(name.map(|name| Measured { name, ..figure }));
        }
        ensure!(
            uids.iter().collect::<HashSet<_>>().len() == uids.len(),
            "a user number is given to two accounts"
        );
        figures.push(self.come_back(&server, &checker, &uids)?);
        server.end()?;
        let engine = Some(self.engine.name());
        Ok(figures.into_iter().map(|figure| Measured { engine, ..figure }).collect())
    }

    /// A lot of new accounts, counted from one; their numbers are added to `uids`, in the accounts' order.
    fn lot(&self, lot: u64, server: &Server, checker: &Checker, uids: &mut Vec<i64>) -> Result<Measured> {
        let who = Who { first: EXISTING + (lot - 1) * LOT, stride: 1, count: LOT };
        let (figure, answers) = self.once("new_user", server, &self.outside.mint(who, LOT))?;
        for (subject, body) in &answers {
            uids.push(checker.open(subject, body)?);
        }
        Ok(Measured { unit: "users/s", ..figure })
    }

    /// Accounts from all over the million; each must have the number it was given.
    fn come_back(&self, server: &Server, checker: &Checker, uids: &[i64]) -> Result<Measured> {
        let count = ACCOUNTS / STRIDE;
        let who = Who { first: EXISTING, stride: STRIDE, count };
        let (figure, answers) = self.once("existing_user_of_1m", server, &self.outside.mint(who, count))?;
        let given = uids.iter().step_by(usize::try_from(STRIDE)?);
        for ((subject, body), given) in answers.iter().zip(given) {
            let uid = checker.open(subject, body)?;
            ensure!(uid == *given, "{subject} was {given} and is {uid} now");
        }
        Ok(figure)
    }

    /// Each request once; the answers with their subjects, in the requests' order.
    fn once(&self, name: &'static str, server: &Server, pool: &Pool) -> Result<(Measured, Answers)> {
        let mut answers = Vec::with_capacity(pool.requests.len());
        let before = server.usage()?;
        let load = self.load(server, &pool.requests, Order::Once, UNBOUNDED)?;
        let run = load.run(|index, body| keep(&mut answers, index, body))?;
        let figure = limit::requests(name, run, server, before)?;
        answers.sort_by_key(|(index, _)| *index);
        Ok((figure, answers.into_iter().map(|(index, body)| (pool.subject(index), body)).collect()))
    }
}
