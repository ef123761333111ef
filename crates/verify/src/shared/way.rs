//! The way to what the identity provider says: what is kept, what another process hears in a moment, or a question.

use super::claim::{Claim, Failures, TERM};
use super::meters::Meters;
use super::sealing::{Keys, Name, hexadecimal};
use super::written::{Ending, LastWords, Read, WrittenFacts, WrittenNo, open};
use super::{Kept, Shared, SharedTier, TierDown};
use crate::learning::SKEW;
use crate::{Facts, Place};
use account::{IdpId, Millis};
use aws_lc_rs::rand;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the flight of another process is waited for, at most. Then this one asks too.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many flights of others may come and go without leaving anything, before this process asks too.
const MOST_FLIGHTS: usize = 2;
/// Between two looks at a flight of another process; it grows from the first to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(40);

/// What has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// What was learned after that.
    After(Millis),
    /// What is being learned now, by whomever.
    Now,
    /// What is learned by this very question.
    Alone,
}

impl Wanted {
    /// What the same caller wants once what was kept has turned out to be worth nothing.
    pub(crate) fn news(self) -> Self {
        match self {
            Self::After(_) | Self::Now => Self::Now,
            Self::Alone => Self::Alone,
        }
    }

    /// Whether something kept, or learned, at that time will do.
    pub(crate) fn is_met_by(self, learned_at: Millis) -> bool {
        matches!(self, Self::After(after) if learned_at > after)
    }
}

/// How something came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// It was asked, or verified, here.
    Asked,
    /// It was asked elsewhere while it was waited for.
    Waited,
    /// It was kept.
    Recalled,
}

/// What is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub(crate) idp: &'a IdpId,
    pub(crate) token: &'a str,
    pub(crate) wanted: Wanted,
    pub(crate) now: Millis,
    pub(crate) failures: &'a Failures,
}

/// What the identity provider said to some process.
pub(crate) enum Known {
    /// Facts, and where in the feed the question had begun.
    Facts(Box<(Facts, Place)>),
    /// No.
    No {
        /// When it was asked.
        learned_at: Millis,
    },
}

/// How to come to know.
pub(crate) enum Way {
    /// It is known.
    Known(Known, Via),
    /// By asking, for all processes.
    Ask(Claim),
    /// By asking, for this process.
    Alone,
    /// Not now.
    Trouble {
        /// When to try again.
        retry_after: Duration,
    },
}

/// What processes know together.
pub(crate) struct Together {
    tier: Arc<dyn SharedTier>,
    /// The first one is written under.
    keys: Vec<Arc<Keys>>,
    remember_told: Duration,
    remember_inactive: Duration,
    meters: Meters,
}

/// One who wants to ask, and perhaps waits for others who do.
struct Wait {
    name: Name,
    flight: String,
    /// The flights of others that were under way meanwhile.
    seen: Vec<String>,
    /// Those of them that failed.
    failed: Vec<String>,
    began: Instant,
    pause: Duration,
}

impl Together {
    pub(crate) fn new(shared: &Shared, remember_told: Duration, remember_inactive: Duration) -> Self {
        let secrets = [&shared.secret].into_iter().chain(&shared.other_secrets);
        Self {
            tier: Arc::clone(&shared.tier),
            keys: secrets.map(Keys::new).collect(),
            remember_told,
            remember_inactive,
            meters: Meters::new(),
        }
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.tier.trouble()
    }

    /// Facts were kept from before an event of their account.
    pub(crate) fn was_overtaken(&self) {
        self.meters.overtaken.increment(1);
    }

    /// How long facts are kept from now on.
    pub(crate) fn life(&self, facts: &Facts, claim: &Claim, now: Millis) -> Duration {
        self.end_of_facts(&claim.name, facts.learned_at, facts.expires_at).since(now)
    }

    /// How long a no is kept.
    pub(crate) fn life_of_no(&self, claim: &Claim) -> Duration {
        claim.name.spread.around(self.remember_inactive)
    }

    /// The way to what is wanted; takes a moment, or as long as another process takes to ask.
    pub(crate) async fn way(&self, search: &Search<'_>) -> Way {
        if search.wanted == Wanted::Alone {
            return Way::Alone;
        }
        let known = match search.wanted {
            Wanted::After(_) => self.recall(search).await,
            Wanted::Now | Wanted::Alone => Ok(None),
        };
        match known {
            Ok(Some(known)) => known,
            Ok(None) => self.claim(search).await,
            Err(TierDown) => self.alone(),
        }
    }

    /// What is kept and good enough, under any of the secrets.
    async fn recall(&self, search: &Search<'_>) -> Result<Option<Way>, TierDown> {
        let mut found = false;
        for keys in &self.keys {
            let name = keys.name(search.idp, search.token);
            let read = self.read(&name, &self.tier.look(&name.text).await?);
            found |= read != Read::Nothing;
            if let Some((known, _)) = self.good(&name, read, search, &[]) {
                return Ok(Some(self.known(known, false)));
            }
        }
        let lookups = &self.meters.lookups;
        let counter = if found { &lookups.stale } else { &lookups.miss };
        counter.increment(1);
        Ok(None)
    }

    /// Becomes the one who asks, or waits for the one who does.
    async fn claim(&self, search: &Search<'_>) -> Way {
        let mut wait = Wait::new(self.keys[0].name(search.idp, search.token));
        loop {
            if let Some(retry_after) = search.failures.are_enough() {
                return Way::Trouble { retry_after };
            }
            if let Some(way) = self.look_again(&mut wait, search).await {
                return way;
            }
            if !wait.pause().await {
                return Way::Alone;
            }
        }
    }

    /// Claims the name's flight, unless somebody has it. `None`: somebody does, and is to be waited for.
    async fn look_again(&self, wait: &mut Wait, search: &Search<'_>) -> Option<Way> {
        let claimed = self.tier.claim(&wait.name.text, &wait.flight, TERM).await;
        let Ok((holder, kept)) = claimed else { return Some(self.alone()) };
        let claim =
            || Claim { tier: Arc::clone(&self.tier), name: wait.name.clone(), flight: wait.flight.clone() };
        let read = self.read(&wait.name, &kept);
        if let Some((known, flight)) = self.good(&wait.name, read, search, &wait.seen) {
            if holder.is_none() {
                claim().let_go().await;
            }
            return Some(self.known(known, wait.seen.contains(&flight)));
        }
        match holder {
            None => Some(Way::Ask(claim())),
            Some(holder) => self.meet(&holder, wait, search),
        }
    }

    fn known(&self, known: Known, was_waited_for: bool) -> Way {
        let lookups = &self.meters.lookups;
        let (counter, via) = match (was_waited_for, &known) {
            (true, _) => (&lookups.coalesced, Via::Waited),
            (false, Known::Facts(_)) => (&lookups.hit, Via::Recalled),
            (false, Known::No { .. }) => (&lookups.negative, Via::Recalled),
        };
        counter.increment(1);
        Way::Known(known, via)
    }

    /// Looks at whoever has the name's flight; a way, when that is not to wait.
    fn meet(&self, holder: &[u8], wait: &mut Wait, search: &Search<'_>) -> Option<Way> {
        if let Some(flight) = flight(holder) {
            wait.see(flight);
            return (wait.seen.len() > MOST_FLIGHTS).then_some(Way::Alone);
        }
        let Some(words) = open::<LastWords>(&wait.name, holder) else {
            self.meters.unreadable.increment(1);
            return Some(Way::Alone);
        };
        let was_waited_for = wait.seen.contains(&words.flight);
        match words.ending {
            Ending::No { learned_at } if was_waited_for => Some(self.known(Known::No { learned_at }, true)),
            Ending::Trouble { retry_after_ms, once_more: false } => {
                Some(Way::Trouble { retry_after: Duration::from_millis(retry_after_ms) })
            }
            Ending::Trouble { retry_after_ms, once_more: true } if was_waited_for => {
                if wait.hear_of_failure(words.flight) {
                    search.failures.add(Duration::from_millis(retry_after_ms));
                }
                None
            }
            // It is over, and so are its words in a moment.
            Ending::No { .. } | Ending::Trouble { .. } => None,
        }
    }

    fn alone(&self) -> Way {
        self.meters.down.increment(1);
        Way::Alone
    }

    fn read(&self, name: &Name, kept: &Kept) -> Read {
        let read = Read::new(name, kept);
        if read == Read::Unreadable {
            self.meters.unreadable.increment(1);
        }
        read
    }

    /// What was read, if it is good enough, and which flight it is of. What `flights` found out, which were waited for, is.
    fn good(
        &self,
        name: &Name,
        read: Read,
        search: &Search<'_>,
        flights: &[String],
    ) -> Option<(Known, String)> {
        let counts = |flight: &String, learned_at: Millis, end: Millis| {
            let is_awaited = flights.contains(flight);
            // From a clock that is ahead, it would live for longer.
            let is_kept = learned_at <= search.now.plus(SKEW) && search.wanted.is_met_by(learned_at);
            is_awaited || is_kept && search.now < end
        };
        match read {
            Read::Facts(facts) => {
                let WrittenFacts { learned_at, expires_at, .. } = *facts;
                let end = self.end_of_facts(name, learned_at, expires_at);
                counts(&facts.flight, learned_at, end).then(|| {
                    let flight = facts.flight.clone();
                    (Known::Facts(Box::new(facts.into_facts(search.idp))), flight)
                })
            }
            Read::No(WrittenNo { flight, learned_at }) => {
                let end = learned_at.plus(name.spread.around(self.remember_inactive));
                counts(&flight, learned_at, end).then_some((Known::No { learned_at }, flight))
            }
            Read::Nothing | Read::Unreadable => None,
        }
    }

    /// From when facts do not count, whatever the tier still has. RFC 7662 section 4: not past `exp`.
    fn end_of_facts(&self, name: &Name, learned_at: Millis, expires_at: Option<Millis>) -> Millis {
        let end = learned_at.plus(name.spread.shortened(self.remember_told));
        expires_at.map_or(end, |expires_at| end.min(expires_at.minus(SKEW)))
    }
}

impl Wait {
    fn new(name: Name) -> Self {
        let (began, pause) = (Instant::now(), FIRST_PAUSE);
        Self { name, flight: fresh(), seen: Vec::new(), failed: Vec::new(), began, pause }
    }

    fn see(&mut self, flight: &str) {
        if !self.seen.iter().any(|it| it == flight) {
            self.seen.push(flight.to_owned());
        }
    }

    /// Whether it is news.
    fn hear_of_failure(&mut self, flight: String) -> bool {
        let is_news = !self.failed.contains(&flight);
        if is_news {
            self.failed.push(flight);
        }
        is_news
    }

    /// False: it has been long enough.
    async fn pause(&mut self) -> bool {
        if self.began.elapsed() + self.pause > PATIENCE {
            return false;
        }
        sleep(self.pause).await;
        self.pause = self.name.spread.around(self.pause * 3 / 2).min(LONGEST_PAUSE);
        true
    }
}

/// A flight's name: 32 hexadecimal digits, which nothing sealed is.
fn fresh() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the system has randomness");
    hexadecimal(&bytes)
}

fn flight(holder: &[u8]) -> Option<&str> {
    let text = str::from_utf8(holder).ok()?;
    (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(text)
}
