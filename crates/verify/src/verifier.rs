use crate::answer::{Answer, How};
use crate::errands::Errands;
use crate::flights::{Flights, Learned, Outcome, Role};
use crate::learning::{Asking, Inquiry, Learner, Question};
use crate::lives::{Life, NewVersion};
use crate::memory::{Remembered, TokenKey};
use crate::meters::Meters;
use crate::shared::{Failures, Via, Wanted};
use crate::sight::{Lookout, Sight};
use crate::span::{Age, Judging};
use crate::{CheckError, Facts, Freshness, Record, Records, Refusal, Settings, Shared};
use account::{AccountId, Millis};
use idp::Idps;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Checks bearer tokens of the identity providers it knows. A clone is the same verifier.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
    caller: Arc<str>,
}

/// What a verifier may be given besides its settings.
pub struct Options {
    /// Who knows what the house has on record of accounts. `None`: nothing is.
    pub records: Option<Arc<dyn Records>>,
    /// How the identity provider is asked; [`Asking::Verify`].
    pub asking: Asking,
    /// About how much memory the caller's [`Facts::derive`] takes for each token, in bytes; 384. Counted as remembered.
    pub derived_bytes: usize,
    /// What this process shares with others. `None`: nothing. Facts are shared only with `records` that know places
    /// ([`Records::placed_record`]), and only while a feed is followed.
    pub shared: Option<Shared>,
}

impl Default for Options {
    fn default() -> Self {
        Self { records: None, asking: Asking::default(), derived_bytes: 384, shared: None }
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
        let inner = Inner {
            learner: Arc::new(Learner::new(idps, settings, options)),
            flights: Flights::new(Arc::clone(&errands)),
            errands,
            lookout: Lookout::new(settings),
            max_token: settings.max_token_bytes,
            meters: Meters::new(),
        };
        Self { inner: Arc::new(inner), caller: Arc::from("") }
    }

    /// The same verifier, asking for somebody: where the identity provider can be asked less than is wanted, callers
    /// take turns. Let it be one who was recognised, never a name of an outsider's choosing.
    #[must_use]
    pub fn asking_for(&self, caller: &str) -> Self {
        Self { inner: Arc::clone(&self.inner), caller: Arc::from(caller) }
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
    /// All who want to know something new of one token at the same time share one question. (A JWT whose key is at hand
    /// raises none, unless there are records to be read.) A question that was begun
    /// before an event of the account is asked anew: neither its answer nor anything remembered before the event is
    /// given out once [`Verifier::account_changed`] has returned.
    pub async fn check(&self, token: &str, freshness: &Freshness, now: Millis) -> Result<Answer, CheckError> {
        match self.check_at_once(token.as_bytes(), || Ok::<_, CheckError>(token), freshness, now)? {
            Check::Done(answer) => Ok(answer),
            Check::Open(open) => self.find_out(token, freshness, now, open).await,
        }
    }

    /// As far as it goes without waiting for anybody. `token` reads the bytes as a token: what is remembered was read
    /// before.
    pub(crate) fn check_at_once<'t, E: From<CheckError>>(
        &self,
        bytes: &[u8],
        token: impl Fn() -> Result<&'t str, E>,
        freshness: &Freshness,
        now: Millis,
    ) -> Result<Check, E> {
        let inner = &*self.inner;
        if bytes.len() > inner.max_token {
            token()?;
        }
        let key = inner.key(bytes)?;
        let recalled = inner.recall(&key, freshness, now);
        if let Recalled::Known(known, Age::Young) = recalled {
            inner.meters.recalled();
            return Ok(Check::Done(given(known, How::Remembered)));
        }
        let failures = &Failures::default();
        let inquiry = self.inquiry(Question::Facts, token()?, key, failures, now);
        if let Recalled::Known(known, Age::Ripe) = recalled {
            inner.refresh(inquiry, &known);
            inner.meters.recalled();
            return Ok(Check::Done(given(known, How::Remembered)));
        }
        match inner.learner.learn_at_once(&inquiry) {
            Some(outcome) => Ok(Check::Done(inner.told(outcome, Role::Began)?)),
            None => Ok(Check::Open(Open { key, recalled })),
        }
    }

    /// Goes on where [`Verifier::check_at_once`] could not.
    pub(crate) async fn find_out(
        &self,
        token: &str,
        freshness: &Freshness,
        now: Millis,
        open: Open,
    ) -> Result<Answer, CheckError> {
        let failures = Failures::default();
        let inquiry = self.inquiry(Question::Facts, token, open.key, &failures, now);
        // Boxed, so that the futures of those who rarely come here stay small.
        Box::pin(self.inner.find_out(inquiry, freshness, open.recalled)).await
    }

    fn inquiry<'a>(
        &'a self,
        question: Question,
        token: &'a str,
        key: TokenKey,
        failures: &'a Failures,
        now: Millis,
    ) -> Inquiry<'a> {
        Inquiry { question, token, key, caller: &self.caller, wanted: Wanted::Now, failures, now }
    }

    /// What the identity provider says of a token now, whatever is remembered of it and whoever else is asking. For
    /// grants whose birth is too coarsely known to be compared with a mark ([`account::Standing::Straddles`]). An
    /// identity provider that cannot be asked is a refusal.
    pub async fn ask(&self, token: &str, now: Millis) -> Result<Arc<Facts>, CheckError> {
        let key = self.inner.key(token.as_bytes())?;
        let failures = Failures::default();
        let inquiry = self.inquiry(Question::Word, token, key, &failures, now);
        let inquiry = Inquiry { wanted: Wanted::Alone, ..inquiry };
        let outcome = self.inner.learner.learn(inquiry).await;
        self.inner.told(outcome, Role::Began).map(|answer| answer.facts)
    }

    /// The same, shared with those who ask at the same time: the question may have been begun a moment ago, at
    /// [`Facts::learned_at`].
    pub async fn ask_together(
        &self,
        token: &str,
        patience: Option<Duration>,
        now: Millis,
    ) -> Result<Answer, CheckError> {
        let key = self.inner.key(token.as_bytes())?;
        let failures = Failures::default();
        let inquiry = self.inquiry(Question::Word, token, key, &failures, now);
        let (outcome, role) = self.inner.answered(key.of_another_question(), patience, inquiry).await;
        self.inner.told(outcome, role)
    }

    /// Something happened to an account, and the feed tells it at `position`: whatever is remembered of the account is
    /// forgotten, and no question that was begun before this call is answered from. Positions are those of one feed, in
    /// the order in which events committed.
    pub fn account_changed(&self, account: &AccountId, position: i64) {
        self.inner.learner.lives.end(account, position, None);
    }

    /// The same, by this change: how long it takes from there to the first request that is refused for it is measured
    /// (`verify.first_refusal`).
    pub fn account_changed_by(&self, account: &AccountId, position: i64, change: NewVersion) {
        self.inner.learner.lives.end(account, position, Some(change));
    }

    /// This process has committed a change of an account, and the feed will tell it, with its position, a moment later.
    /// What is remembered from before the change is judged by the new `record` from now on.
    pub fn account_changed_here(&self, account: &AccountId, record: Record, changed_at: Millis) {
        self.inner.learner.lives.raise(account, record, changed_at);
    }

    /// A request was refused for what is on record of its account.
    pub(crate) fn refused_by_record(&self, account: &AccountId, now: Millis) {
        self.inner.meters.refused_for_change(self.inner.learner.lives.refused(account), now);
    }

    /// Every event up to `position` of the feed was told by [`Verifier::account_changed`], and at `proven_at` there
    /// were no more. From the first call on the verifier counts on being told ([`Verifier::sight`]).
    pub fn feed_read(&self, position: i64, proven_at: Millis) {
        self.inner.learner.lives.read_to(position);
        self.inner.lookout.proven(proven_at);
    }

    /// Events may have been missed, or positions begin anew, which then are those of another `epoch`: everything is
    /// forgotten, and nothing under way counts. Also for whoever begins to follow a feed.
    pub fn feed_lost(&self, epoch: &str, position: i64) {
        self.inner.learner.lives.begin_anew(epoch, position);
        self.inner.learner.memory.clear();
    }

    /// How well this node sees what happens to accounts.
    pub fn sight(&self, now: Millis) -> Sight {
        self.inner.lookout.sight(now)
    }

    /// How the tier is that this process shares with others: `None` when there is none, then what is wrong with it, if
    /// anything is.
    pub fn shared_trouble(&self) -> Option<Option<String>> {
        self.inner.learner.shares().then(|| self.inner.learner.trouble_with_others())
    }

    /// How many tokens are remembered, and about how many bytes that takes.
    pub fn remembered(&self) -> (usize, u64) {
        self.inner.learner.memory.size()
    }

    /// Refreshes in the background what is read and getting old, and goes on with questions that everybody gave up. To
    /// be run for as long as the process serves; without it, both are left undone. Ends when it is dropped.
    pub async fn run_errands(&self) -> Infallible {
        self.inner.errands.run().await
    }
}

impl Inner {
    fn key(&self, token: &[u8]) -> Result<TokenKey, CheckError> {
        if token.len() > self.max_token {
            return Err(self.meters.failed(Refusal::TooLong.into()));
        }
        Ok(self.learner.memory.key(token))
    }

    fn recall(&self, key: &TokenKey, freshness: &Freshness, now: Millis) -> Recalled {
        let known = match self.learner.memory.recall(key) {
            Ok(known) => known,
            Err(ended) => return ended.map_or(Recalled::Nothing, Recalled::Ended),
        };
        if !self.learner.proof_holds(&known.facts) {
            self.learner.memory.forget(key);
            return Recalled::Nothing;
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
            Age::Over => Recalled::Nothing,
            age => Recalled::Known(known, age),
        }
    }

    /// What of others' knowledge would do, by what the caller and this node's sight allow.
    fn wanted(&self, key: &TokenKey, freshness: &Freshness, now: Millis) -> Wanted {
        let by_sight = self.lookout.longest_life(self.lookout.sight(now));
        let by_sight = by_sight.map(|life| key.spread().shortened(life));
        match [freshness.max_age, by_sight].into_iter().flatten().min() {
            None => Wanted::After(Millis::new(i64::MIN)),
            Some(Duration::ZERO) => Wanted::Now,
            Some(age) => Wanted::After(now.minus(age)),
        }
    }

    /// Learns it anew in the background, for those who come later.
    fn refresh(&self, inquiry: Inquiry<'_>, known: &Remembered) {
        if self.errands.are_run() {
            let inquiry = Inquiry { wanted: Wanted::After(known.facts.learned_at), ..inquiry };
            let postponed = Remembered { span: known.span.postponed(inquiry.now), ..known.clone() };
            self.learner.memory.postpone(inquiry.key, postponed);
            self.meters.refreshed.increment(1);
            self.flights.begin(inquiry.key, self.flight(inquiry));
        }
    }

    /// What was recalled may be given out when nothing better is to be had.
    async fn find_out(
        &self,
        inquiry: Inquiry<'_>,
        freshness: &Freshness,
        recalled: Recalled,
    ) -> Result<Answer, CheckError> {
        let Inquiry { token, key, now, .. } = inquiry;
        let inquiry = Inquiry { wanted: self.wanted(&key, freshness, now), ..inquiry };
        if let Err(refusal) = self.learner.worth_it(token) {
            return Err(self.meters.failed(refusal.into()));
        }
        if self.is_known_inactive(&key, freshness, now) {
            self.meters.local.negative.increment(1);
            self.meters.negative.increment(1);
            return Err(Refusal::IdentityProvider.into());
        }
        self.meters.local.miss.increment(1);
        let (outcome, role) = self.answered(key, freshness.patience, inquiry).await;
        match (outcome, recalled) {
            (
                Err(CheckError::Unavailable { .. } | CheckError::TimedOut { .. }),
                Recalled::Known(stale, _),
            ) if stale.life.goes_on() => {
                self.meters.local.stale.increment(1);
                self.meters.stale.increment(1);
                Ok(given(stale, How::Stale))
            }
            (outcome, recalled) => {
                if let (Err(CheckError::Refused(_)), Recalled::Ended(life)) = (&outcome, &recalled) {
                    self.meters.refused_for_change(life.refused(), now);
                }
                self.told(outcome, role)
            }
        }
    }

    /// Waits for the answer to a question. One that an event overtook after it had arrived is asked for once more, and so
    /// is one that was good enough only for the one who had begun to ask.
    async fn answered(
        &self,
        flight: TokenKey,
        patience: Option<Duration>,
        inquiry: Inquiry<'_>,
    ) -> (Outcome, Role) {
        let is_good = |learned: &Learned| {
            let is_news = learned.via != Via::Recalled || inquiry.wanted.is_met_by(learned.facts.learned_at);
            is_news && learned.life.goes_on()
        };
        for _ in 0..3 {
            let (outcome, role) = self.flights.join(flight, patience, self.flight(inquiry)).await;
            if outcome.as_ref().map_or(true, is_good) {
                return (outcome, role);
            }
        }
        (Err(CheckError::Unavailable { retry_after: Duration::from_secs(1) }), Role::Began)
    }

    fn flight(&self, inquiry: Inquiry<'_>) -> impl Fn() -> BoxedOutcome + Send + use<> {
        let learner = Arc::clone(&self.learner);
        let Inquiry { question, token, key, caller, wanted, now, .. } = inquiry;
        let words: Arc<(Zeroizing<String>, Box<str>, Failures)> =
            Arc::new((Zeroizing::new(token.to_owned()), Box::from(caller), Failures::default()));
        move || {
            let (learner, words) = (Arc::clone(&learner), Arc::clone(&words));
            Box::pin(async move {
                let (token, caller, failures) = &*words;
                learner.learn(Inquiry { question, token, key, caller, wanted, failures, now }).await
            })
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
                self.meters.learned(&learned, role);
                Ok(newly(learned, role))
            }
            Err(error) => Err(self.meters.failed(error)),
        }
    }
}

/// How far a check came.
pub(crate) enum Check {
    Done(Answer),
    Open(Open),
}

/// A check that has to wait for somebody.
pub(crate) struct Open {
    key: TokenKey,
    recalled: Recalled,
}

/// What is remembered of a token.
enum Recalled {
    Known(Remembered, Age),
    /// Something was, until something happened to the account.
    Ended(Arc<Life>),
    Nothing,
}

type BoxedOutcome = futures::future::BoxFuture<'static, Outcome>;

fn given(known: Remembered, how: How) -> Answer {
    Answer { record: known.life.record(), facts: known.facts, how }
}

fn newly(learned: Learned, role: Role) -> Answer {
    let how = match (role, learned.via) {
        (_, Via::Recalled) => How::Remembered,
        (Role::Began, Via::Asked) => How::Learned,
        (Role::Joined, _) | (_, Via::Waited) => How::Coalesced,
    };
    Answer { record: learned.life.record(), facts: learned.facts, how }
}
