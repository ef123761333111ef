use crate::answer::{Answer, How};
use crate::errands::Errands;
use crate::flights::{Flights, Learned, Outcome, Role};
use crate::learning::{Learner, Question};
use crate::memory::{Remembered, TokenKey};
use crate::meters::Meters;
use crate::sight::{Lookout, Sight};
use crate::span::{Age, Judging};
use crate::{CheckError, Facts, Freshness, Records, Refusal, Settings};
use account::{AccountId, Millis};
use idp::Idps;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Checks bearer tokens of the identity providers it knows. A clone is the same verifier.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

/// What a verifier may be given besides its settings.
pub struct Options {
    /// Who knows what the house has on record of accounts. `None`: nothing is.
    pub records: Option<Arc<dyn Records>>,
    /// About how much memory the caller's [`Facts::derive`] takes for each token, in bytes; 384. Counted as remembered.
    pub derived_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { records: None, derived_bytes: 384 }
    }
}

struct Inner {
    learner: Arc<Learner>,
    flights: Arc<Flights>,
    errands: Arc<Errands>,
    lookout: Lookout,
    max_token: usize,
    meters: Meters,
}

impl Verifier {
    /// For tokens of these identity providers. Takes its metrics' handles from the recorder installed by now.
    pub fn new(idps: Idps, settings: &Settings) -> Self {
        Self::with(idps, settings, Options::default())
    }

    /// The same, with records of accounts.
    pub fn with(idps: Idps, settings: &Settings, options: Options) -> Self {
        let errands = Arc::new(Errands::new());
        Self(Arc::new(Inner {
            learner: Arc::new(Learner::new(idps, settings, options.derived_bytes, options.records)),
            flights: Flights::new(Arc::clone(&errands)),
            errands,
            lookout: Lookout::new(settings),
            max_token: settings.max_token_bytes,
            meters: Meters::new(),
        }))
    }

    /// What a token says, if it is good now.
    ///
    /// Remembered facts cost one HMAC and one look-up. Otherwise a JWT is verified with the key it names; any other
    /// token is asked about. The facts are the token's alone: scopes, the account's state and its mark are for the
    /// caller to judge.
    pub async fn facts(&self, token: &str, now: Millis) -> Result<Arc<Facts>, CheckError> {
        self.check(token, &Freshness::default(), now).await.map(|answer| answer.facts)
    }

    /// What a token says, as fresh as it is asked for, and what is on record of its account.
    ///
    /// All who want to know something new of one token at the same time share one question. A question that was begun
    /// before an event of the account is asked anew: neither its answer nor anything remembered before the event is
    /// given out once [`Verifier::account_changed`] has returned.
    pub async fn check(&self, token: &str, freshness: &Freshness, now: Millis) -> Result<Answer, CheckError> {
        let inner = &*self.0;
        let key = inner.key(token)?;
        let remembered = inner.recall(&key, freshness, now);
        match remembered {
            Some((known, Age::Young)) => {
                inner.meters.remembered.increment(1);
                Ok(given(known, How::Remembered))
            }
            Some((known, Age::Ripe)) => {
                inner.refresh(token, key, &known, now);
                inner.meters.remembered.increment(1);
                Ok(given(known, How::Remembered))
            }
            // Boxed, so that the future of the common case stays small.
            stale => {
                Box::pin(inner.find_out(token, key, freshness, stale.map(|(known, _)| known), now)).await
            }
        }
    }

    /// What the identity provider says of a token now, whatever is remembered of it and whoever else is asking. For
    /// grants whose birth is too coarsely known to be compared with a mark ([`account::Standing::Straddles`]). An
    /// identity provider that cannot be asked is a refusal.
    pub async fn ask(&self, token: &str, now: Millis) -> Result<Arc<Facts>, CheckError> {
        let key = self.0.key(token)?;
        let outcome = self.0.learner.learn(Question::Word, token, key, now).await;
        self.0.told(outcome, Role::Began).map(|answer| answer.facts)
    }

    /// The same, shared with those who ask at the same time: the question may have been begun a moment ago, at
    /// [`Facts::learned_at`].
    pub async fn ask_together(
        &self,
        token: &str,
        patience: Option<Duration>,
        now: Millis,
    ) -> Result<Answer, CheckError> {
        let key = self.0.key(token)?;
        let flight = self.0.flight(Question::Word, token, key, now);
        let (outcome, role) = self.0.flights.join(key.of_another_question(), patience, flight).await;
        self.0.told(outcome, role)
    }

    /// Something happened to an account, and the feed tells it at `position`: whatever is remembered of the account is
    /// forgotten, and no question that was begun before [`Verifier::feed_read`] told of this position is answered from.
    pub fn account_changed(&self, account: &AccountId, position: i64) {
        self.0.learner.lives.end(account, position);
    }

    /// Every event up to `position` of the feed was told by [`Verifier::account_changed`], and at `proven_at` there
    /// were no more. From the first call on the verifier counts on being told ([`Verifier::sight`]).
    pub fn feed_read(&self, position: i64, proven_at: Millis) {
        self.0.learner.lives.read_to(position);
        self.0.lookout.proven(proven_at);
    }

    /// Events may have been missed, or positions begin anew: everything is forgotten, and nothing under way counts.
    pub fn feed_lost(&self, position: i64) {
        self.0.learner.lives.begin_anew(position);
        self.0.learner.memory.clear();
    }

    /// How well this node sees what happens to accounts.
    pub fn sight(&self, now: Millis) -> Sight {
        self.0.lookout.sight(now)
    }

    /// How many tokens are remembered, and about how many bytes that takes.
    pub fn remembered(&self) -> (usize, u64) {
        self.0.learner.memory.size()
    }

    /// Refreshes in the background what is read and getting old, and goes on with questions that everybody gave up. To
    /// be run for as long as the process serves; without it, both are left undone. Ends when it is dropped.
    pub async fn run_errands(&self) -> Infallible {
        self.0.errands.run().await
    }
}

impl Inner {
    fn key(&self, token: &str) -> Result<TokenKey, CheckError> {
        if token.len() > self.max_token {
            return Err(self.meters.failed(Refusal::TooLong.into()));
        }
        Ok(self.learner.memory.key(token))
    }

    fn recall(&self, key: &TokenKey, freshness: &Freshness, now: Millis) -> Option<(Remembered, Age)> {
        let known = self.learner.memory.recall(key)?;
        if !self.learner.proof_holds(&known.facts) {
            self.learner.memory.forget(key);
            return None;
        }
        let sight = self.lookout.sight(now);
        let longest_life = self.lookout.longest_life(sight).map(|life| key.spread().shortened(life));
        let judging = Judging {
            learned_at: known.facts.learned_at,
            expires_at: known.facts.expires_at,
            freshness,
            sight,
            longest_life,
        };
        match known.span.age(&judging, now) {
            Age::Over => None,
            age => Some((known, age)),
        }
    }

    /// Learns it anew in the background, for those who come later.
    fn refresh(&self, token: &str, key: TokenKey, known: &Remembered, now: Millis) {
        if self.errands.are_run() {
            let postponed = Remembered { span: known.span.postponed(now), ..known.clone() };
            self.learner.memory.remember(key, postponed);
            self.meters.refreshed.increment(1);
            self.flights.begin(key, self.flight(Question::Facts, token, key, now));
        }
    }

    /// `stale` is what may be given out when nothing better is to be had.
    async fn find_out(
        &self,
        token: &str,
        key: TokenKey,
        freshness: &Freshness,
        stale: Option<Remembered>,
        now: Millis,
    ) -> Result<Answer, CheckError> {
        if let Err(refusal) = self.learner.worth_it(token) {
            return Err(self.meters.failed(refusal.into()));
        }
        if self.is_known_inactive(&key, freshness, now) {
            self.meters.negative.increment(1);
            return Err(Refusal::IdentityProvider.into());
        }
        let flight = self.flight(Question::Facts, token, key, now);
        let (outcome, role) = self.flights.join(key, freshness.patience, flight).await;
        match (outcome, stale) {
            (Err(CheckError::Unavailable { .. } | CheckError::TimedOut { .. }), Some(stale))
                if stale.life.goes_on() =>
            {
                self.meters.stale.increment(1);
                Ok(given(stale, How::Stale))
            }
            (outcome, _) => self.told(outcome, role),
        }
    }

    fn flight(
        &self,
        question: Question,
        token: &str,
        key: TokenKey,
        now: Millis,
    ) -> impl Fn() -> BoxedOutcome + Send + 'static {
        let (learner, token) = (Arc::clone(&self.learner), Arc::new(Zeroizing::new(token.to_owned())));
        move || {
            let (learner, token) = (Arc::clone(&learner), Arc::clone(&token));
            Box::pin(async move { learner.learn(question, &token, key, now).await })
        }
    }

    fn is_known_inactive(&self, key: &TokenKey, freshness: &Freshness, now: Millis) -> bool {
        self.learner.memory.recall_inactive(key).is_some_and(|inactive| {
            let end = freshness.max_age.map_or(Millis::MAX, |age| inactive.learned_at.plus(age));
            now < inactive.until.min(end)
        })
    }

    fn told(&self, outcome: Outcome, role: Role) -> Result<Answer, CheckError> {
        match outcome {
            Ok(learned) => {
                self.meters.learned(&learned.facts, role);
                Ok(newly(learned, role))
            }
            Err(error) => Err(self.meters.failed(error)),
        }
    }
}

type BoxedOutcome = futures::future::BoxFuture<'static, Outcome>;

fn given(known: Remembered, how: How) -> Answer {
    Answer { record: known.life.record(), facts: known.facts, how }
}

fn newly(learned: Learned, role: Role) -> Answer {
    let how = match role {
        Role::Began => How::Learned,
        Role::Joined => How::Coalesced,
    };
    Answer { record: learned.life.record(), facts: learned.facts, how }
}
