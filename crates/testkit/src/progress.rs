use std::io::{Write, stderr};
use std::time::Instant;

/// So many things for a line: no ordinary test comes so far.
const LINE: u64 = 50_000;

/// How far a long test is, on standard error: a line for every fifty thousand things, with how many a second there were.
/// A short test says nothing.
#[derive(Debug)]
pub struct Progress {
    what: String,
    total: u64,
    told: u64,
    began: Instant,
}

impl Progress {
    /// Nothing of so much is done.
    pub fn new(what: impl Into<String>, total: u64) -> Self {
        Self { what: what.into(), total, told: 0, began: Instant::now() }
    }

    /// So much is done.
    pub fn at(&mut self, done: u64) {
        if let Some(line) = self.line(done) {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// The line that is due.
    fn line(&mut self, done: u64) -> Option<String> {
        let is_last = done == self.total && done >= LINE && done > self.told;
        if done < self.told + LINE && !is_last {
            return None;
        }
        self.told = done;
        let took = self.began.elapsed();
        let rate = u128::from(done) * 1000 / took.as_millis().max(1);
        Some(format!("{}: {done} of {}, {rate} a second for {} s", self.what, self.total, took.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_of_every_fifty_thousand_and_of_the_end() {
        let mut progress = Progress::new("users come", 120_000);
        let told: Vec<_> = [1, 49_999, 50_000, 50_064, 100_001, 119_999, 120_000, 120_000]
            .into_iter()
            .filter_map(|done| progress.line(done))
            .collect();
        let begins: Vec<_> = told.iter().filter_map(|line| line.split(',').next()).collect();
        assert_eq!(begins, ["50000", "100001", "120000"].map(|done| format!("users come: {done} of 120000")));
    }

    #[test]
    fn a_short_test_says_nothing() {
        let mut progress = Progress::new("users come", 10_000);
        assert_eq!([1, 9_999, 10_000].map(|done| progress.line(done)), [const { None }; 3]);
    }
}
