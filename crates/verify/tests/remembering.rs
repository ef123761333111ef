//! What is remembered of tokens, for how long, and what ends it.

use account::{AccountId, IdpId, Millis, Subject};
use futures::future::{BoxFuture, join_all};
use idp::{IdpConfig, Idps, OpaqueTokens};
use jose::{Algorithm, SigningKey};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::ScopedJoinHandle;
use std::time::Duration;
use verify::{
    Answer, CheckError, Freshness, How, NoRecords, Options, Record, Records, Refusal, Settings, Sight,
    Verifier,
};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const NOW: i64 = 1_700_000_000;
static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid("a"));

const ANY: Freshness = Freshness { max_age: None, stale_if_error: Duration::ZERO, patience: None };

fn at(seconds: i64) -> Millis {
    Millis::from_seconds(NOW + seconds)
}

fn no_older_than(seconds: u64) -> Freshness {
    Freshness { max_age: Some(Duration::from_secs(seconds)), ..ANY }
}

fn stale_for(seconds: u64) -> Freshness {
    Freshness { stale_if_error: Duration::from_secs(seconds), ..ANY }
}

fn account(subject: &str) -> AccountId {
    AccountId::new(IdpId::new("idp").expect("valid"), Subject::new(subject).expect("valid"))
}

/// An opaque token.
fn opaque(number: usize) -> String {
    format!("{number:064x}")
}

fn refused() -> Result<Answer, CheckError> {
    Err(CheckError::Refused(Refusal::IdentityProvider))
}

/// An identity provider that is asked about opaque tokens, and its verifier.
struct House {
    server: MockServer,
    verifier: Verifier,
}

impl House {
    async fn new() -> Self {
        Self::with(Options::default(), &Settings::default()).await
    }

    async fn with(options: Options, settings: &Settings) -> Self {
        let server = MockServer::start().await;
        let mut config =
            IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
        config.server_url = Some(server.uri());
        config.fetch_keys = false;
        config.primary_jwk = Some(KEY.jwk().clone());
        config.opaque_tokens = OpaqueTokens::Hex64;
        let verifier = Verifier::with(Idps::new(&[config]).expect("valid"), settings, options);
        Self { server, verifier }
    }

    /// From now on the identity provider answers like this.
    async fn answers(&self, how: impl Respond + 'static) {
        self.server.reset().await;
        Mock::given(path("/v1/verify")).respond_with(how).mount(&self.server).await;
    }

    async fn says_yes(&self) {
        self.answers(yes()).await;
    }

    async fn is_away(&self) {
        self.answers(ResponseTemplate::new(503)).await;
    }

    async fn check(&self, freshness: &Freshness, now: Millis) -> Result<Answer, CheckError> {
        self.verifier.check(&opaque(1), freshness, now).await
    }

    /// How one comes to an answer.
    async fn how(&self, freshness: &Freshness, now: Millis) -> How {
        self.check(freshness, now).await.expect("good").how
    }

    async fn questions(&self) -> usize {
        self.server.received_requests().await.expect("recorded").len()
    }
}

fn yes() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"user": "u", "scope": ["profile"]}))
}

#[tokio::test]
async fn a_thousand_who_ask_for_one_cold_token_are_one_question() {
    let house = House::new().await;
    house.answers(yes().set_delay(Duration::from_millis(50))).await;
    let answers = join_all((0..1_000).map(|_| house.check(&ANY, at(0)))).await;
    let how = |how| answers.iter().filter(|answer| answer.as_ref().is_ok_and(|it| it.how == how)).count();
    assert_eq!((how(How::Learned), how(How::Coalesced)), (1, 999));
    assert_eq!(house.questions().await, 1);
}

#[tokio::test]
async fn ten_thousand_garbage_tokens_are_none() {
    let house = House::new().await;
    house.says_yes().await;
    for i in 0..10_000 {
        let outcome = house.verifier.check(&format!("{i:063x}"), &ANY, at(0)).await;
        assert_eq!(outcome, Err(CheckError::Refused(Refusal::Shape)));
    }
    assert_eq!(house.questions().await, 0);
}

#[tokio::test]
async fn a_no_is_remembered_for_seconds_and_takes_no_yes_with_it() {
    let house = House::new().await;
    house.answers(ResponseTemplate::new(400)).await;
    assert_eq!(house.check(&ANY, at(0)).await, refused());
    assert_eq!(house.check(&ANY, at(10)).await, refused());
    assert_eq!(house.questions().await, 1);
    assert_eq!(house.check(&no_older_than(5), at(10)).await, refused(), "asked anew");
    assert_eq!(house.questions().await, 2);
    house.says_yes().await;
    assert_eq!(house.how(&ANY, at(41)).await, How::Learned);
    assert_eq!(house.how(&ANY, at(42)).await, How::Remembered);
    house.answers(ResponseTemplate::new(400)).await;
    assert_eq!(house.check(&Freshness::NOW, at(43)).await, refused());
    assert_eq!(house.check(&stale_for(3_600), at(43)).await, refused(), "the yes before it is gone");
}

#[tokio::test]
async fn trouble_is_remembered_of_no_token() {
    let house = House::new().await;
    house.is_away().await;
    assert!(matches!(house.check(&ANY, at(0)).await, Err(CheckError::Unavailable { .. })));
    house.says_yes().await;
    assert_eq!(house.how(&ANY, at(0)).await, How::Learned);
}

#[tokio::test]
async fn each_caller_has_its_own_idea_of_fresh() {
    let house = House::new().await;
    house.says_yes().await;
    assert_eq!(house.how(&ANY, at(0)).await, How::Learned);
    assert_eq!(house.how(&no_older_than(10), at(9)).await, How::Remembered);
    assert_eq!(house.how(&no_older_than(5), at(9)).await, How::Learned);
    assert_eq!(house.how(&no_older_than(5), at(13)).await, How::Remembered, "one entry serves all");
    assert_eq!(house.how(&Freshness::NOW, at(13)).await, How::Learned);
    assert_eq!(house.questions().await, 3);
}

#[tokio::test]
async fn those_who_ask_now_at_the_same_time_share_the_answer() {
    let house = House::new().await;
    house.answers(yes().set_delay(Duration::from_millis(50))).await;
    let answers = join_all((0..100).map(|_| house.check(&Freshness::NOW, at(0)))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(house.questions().await, 1);
}

#[tokio::test]
async fn stale_is_given_only_in_an_outage_and_only_to_those_who_allow_it() {
    let house = House::new().await;
    house.says_yes().await;
    assert_eq!(house.how(&ANY, at(0)).await, How::Learned);
    house.is_away().await;
    assert!(matches!(house.check(&ANY, at(60)).await, Err(CheckError::Unavailable { .. })));
    assert_eq!(house.how(&stale_for(30), at(60)).await, How::Stale);
    assert!(matches!(house.check(&stale_for(30), at(91)).await, Err(CheckError::Unavailable { .. })));
    let five_then_stale = Freshness { stale_if_error: Duration::from_secs(20), ..no_older_than(5) };
    assert_eq!(house.how(&five_then_stale, at(24)).await, How::Stale);
    assert!(house.check(&five_then_stale, at(25)).await.is_err());
    house.verifier.account_changed(&account("u"), 1);
    assert!(house.check(&stale_for(30), at(60)).await.is_err(), "not once something happened");
    house.verifier.feed_read(1, at(60));
    house.says_yes().await;
    assert_eq!(house.how(&stale_for(30), at(61)).await, How::Learned);
}

#[tokio::test]
async fn an_event_ends_what_is_remembered_of_its_account_alone() {
    let house = House::new().await;
    house.says_yes().await;
    assert_eq!(house.how(&ANY, at(0)).await, How::Learned);
    house.verifier.account_changed(&account("stranger"), 1);
    house.verifier.feed_read(1, at(1));
    assert_eq!(house.how(&ANY, at(1)).await, How::Remembered);
    house.verifier.account_changed(&account("u"), 2);
    house.verifier.feed_read(2, at(2));
    house.answers(ResponseTemplate::new(400)).await;
    assert_eq!(house.check(&ANY, at(2)).await, refused());
}

/// An identity provider where the account changes while the first questions are on their way.
struct ChangesMeanwhile {
    verifier: Verifier,
    events: Mutex<std::ops::Range<i64>>,
}

impl Respond for ChangesMeanwhile {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        if let Some(position) = self.events.lock().next() {
            self.verifier.account_changed(&account("u"), position);
            self.verifier.feed_read(position, at(0));
        }
        yes()
    }
}

#[tokio::test]
async fn a_question_begun_before_an_event_is_asked_again_after_it() {
    let house = House::new().await;
    let changes = |events| ChangesMeanwhile { verifier: house.verifier.clone(), events: Mutex::new(events) };
    house.answers(changes(1..2)).await;
    assert_eq!(house.how(&ANY, at(0)).await, How::Learned);
    assert_eq!(house.questions().await, 2);
    assert_eq!(house.how(&ANY, at(0)).await, How::Remembered);
    house.answers(changes(2..9)).await;
    let outcome = house.check(&Freshness::NOW, at(1)).await;
    assert!(matches!(outcome, Err(CheckError::Unavailable { .. })), "no end of events: {outcome:?}");
    assert_eq!(house.questions().await, 3);
}

#[tokio::test]
async fn an_answer_that_an_event_overtook_before_it_was_taken_up_is_asked_for_again() {
    let house = House::new().await;
    house.answers(yes().set_delay(Duration::from_millis(50))).await;
    let mut slow = std::pin::pin!(house.check(&ANY, at(0)));
    assert!(futures::poll!(slow.as_mut()).is_pending());
    assert_eq!(house.how(&ANY, at(0)).await, How::Coalesced, "the answer is there");
    house.verifier.account_changed(&account("u"), 1);
    house.answers(ResponseTemplate::new(400)).await;
    assert_eq!(slow.await, refused());
}

#[tokio::test]
async fn losing_the_feed_shortens_lives_by_stages_and_forgets_when_events_were_missed() {
    let house = House::new().await;
    house.says_yes().await;
    house.verifier.feed_read(0, at(0));
    assert_eq!(house.how(&ANY, at(0)).await, How::Learned);
    let settings =
        Settings { remember_told_seconds: 3_600, refresh_told_seconds: 3_600, ..Settings::default() };
    let house = House::with(Options::default(), &settings).await;
    house.says_yes().await;
    house.verifier.feed_read(0, at(0));
    assert_eq!(house.how(&ANY, at(0)).await, How::Learned);
    house.is_away().await;
    let allowed = stale_for(3_600);
    assert_eq!(
        (house.verifier.sight(at(30)), house.how(&ANY, at(30)).await),
        (Sight::Clear, How::Remembered)
    );
    assert_eq!((house.verifier.sight(at(47)), house.how(&ANY, at(47)).await), (Sight::Dim, How::Remembered));
    assert!(house.check(&ANY, at(60)).await.is_err(), "the longest life with dim sight");
    assert_eq!((house.verifier.sight(at(300)), house.how(&allowed, at(300)).await), (Sight::Dim, How::Stale));
    assert_eq!(house.verifier.sight(at(301)), Sight::Lost);
    assert!(house.check(&allowed, at(301)).await.is_err());
    house.verifier.feed_read(0, at(301));
    assert_eq!(house.how(&ANY, at(301)).await, How::Remembered, "nothing had happened");
    house.verifier.feed_lost("e", 0);
    assert!(house.check(&allowed, at(302)).await.is_err());
    assert_eq!(house.verifier.remembered(), (0, 0));
}

#[tokio::test]
async fn what_is_read_is_refreshed_in_the_background() {
    let house = House::new().await;
    house.says_yes().await;
    assert_eq!(house.how(&ANY, at(0)).await, How::Learned);
    let reads = async {
        // Until somebody runs errands, there is no refresh.
        while house.how(&ANY, at(47)).await == How::Remembered && house.questions().await < 2 {
            tokio::task::yield_now().await;
        }
        // From the answer's arrival on its facts are given out.
        while house.check(&ANY, at(47)).await.expect("good").facts.learned_at == at(0) {
            tokio::task::yield_now().await;
        }
        assert_eq!(house.how(&ANY, at(94)).await, How::Remembered, "past the end of the first");
    };
    let refreshing = house.verifier.clone();
    tokio::select! { never = refreshing.run_errands() => match never {}, () = reads => {} }
    assert_eq!(house.questions().await, 2, "one refresh for all who read");
}

#[tokio::test]
async fn one_who_does_not_wait_leaves_the_answer_to_the_next() {
    let house = House::new().await;
    house.answers(yes().set_delay(Duration::from_millis(100))).await;
    let hasty = Freshness { patience: Some(Duration::from_millis(1)), ..ANY };
    let reads = async {
        let mut outcome = house.check(&hasty, at(0)).await;
        assert!(matches!(outcome, Err(CheckError::TimedOut { .. })), "{outcome:?}");
        while outcome.is_err() {
            outcome = house.check(&hasty, at(0)).await;
        }
        assert_ne!(outcome.expect("good").how, How::Learned);
    };
    let running = house.verifier.clone();
    tokio::select! { biased; never = running.run_errands() => match never {}, () = reads => {} }
    assert_eq!(house.questions().await, 1);
}

#[tokio::test]
async fn an_expired_token_polled_for_an_hour_is_never_accepted() {
    let house = House::new().await;
    let claims = json!({"iss": "https://idp.example", "sub": "u", "exp": NOW + 120});
    let token = KEY.sign_claims("at+jwt", &claims).expect("signed");
    let lenient = Freshness { stale_if_error: Duration::from_hours(2), ..ANY };
    for seconds in (0..3_600).step_by(10) {
        let good = house.verifier.check(&token, &lenient, at(seconds)).await.is_ok();
        assert_eq!(good, seconds < 120 + 60, "{seconds}: `exp` and the leeway of clocks");
    }
}

/// Records that can be changed, and can be away.
#[derive(Default)]
struct Shelf(Mutex<Option<Record>>);

impl Records for Shelf {
    fn record<'a>(&'a self, account: &'a AccountId) -> BoxFuture<'a, Result<Record, NoRecords>> {
        assert_eq!(account.subject.as_str(), "u");
        let record = self.0.lock().ok_or(NoRecords { retry_after: Duration::from_secs(3) });
        Box::pin(async move {
            // Whoever changes it has time to do so before this is heard of.
            std::thread::yield_now();
            record
        })
    }
}

#[tokio::test]
async fn what_is_on_record_comes_with_the_facts_and_is_read_anew_after_an_event() {
    let shelf = Arc::new(Shelf::default());
    let records: Arc<dyn Records> = Arc::clone(&shelf) as _;
    let house =
        House::with(Options { records: Some(records), ..Options::default() }, &Settings::default()).await;
    house.says_yes().await;
    let wait = CheckError::Unavailable { retry_after: Duration::from_secs(3) };
    assert_eq!(house.check(&ANY, at(0)).await, Err(wait), "an outage of ours is no fault of the token");
    let first = Record { version: 1, ..Record::default() };
    *shelf.0.lock() = Some(first);
    assert_eq!(house.check(&ANY, at(0)).await.expect("good").record, first);
    let second = Record { version: 2, ..first };
    *shelf.0.lock() = Some(second);
    assert_eq!(house.check(&ANY, at(1)).await.expect("good").record, first, "remembered");
    house.verifier.account_changed(&account("u"), 1);
    house.verifier.feed_read(1, at(1));
    assert_eq!(house.check(&ANY, at(1)).await.expect("good").record, second);
}

#[test]
fn however_checks_and_events_interleave_no_answer_is_older_than_the_last_event() {
    let shelf = Arc::new(Shelf::default());
    let version = |version| Record { version, ..Record::default() };
    *shelf.0.lock() = Some(version(0));
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), "https://idp.example", "idp.example");
    config.primary_jwk = Some(KEY.jwk().clone());
    let records: Arc<dyn Records> = Arc::clone(&shelf) as _;
    let options = Options { records: Some(records), ..Options::default() };
    let verifier = Verifier::with(Idps::new(&[config]).expect("valid"), &Settings::default(), options);
    let claims = json!({"iss": "https://idp.example", "sub": "u", "exp": NOW + 600});
    let token = KEY.sign_claims("at+jwt", &claims).expect("signed");
    let (told, answered) = (AtomicI64::new(0), AtomicI64::new(0));
    std::thread::scope(|scope| {
        let check = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            while told.load(Ordering::SeqCst) < 2_000 {
                let at_least = told.load(Ordering::SeqCst);
                if let Ok(answer) = runtime.block_on(verifier.check(&token, &ANY, at(0))) {
                    assert!(answer.record.version >= at_least, "{} after {at_least}", answer.record.version);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        let readers = [(); 3].map(|()| scope.spawn(check));
        for position in 1..=2_000 {
            *shelf.0.lock() = Some(version(position));
            verifier.account_changed(&account("u"), position);
            verifier.feed_read(position, at(0));
            told.store(position, Ordering::SeqCst);
            // Now and then events wait for answers, so that there is something to forget.
            let seen = answered.load(Ordering::SeqCst);
            let enough = || {
                answered.load(Ordering::SeqCst) >= seen + 2
                    || readers.iter().any(ScopedJoinHandle::is_finished)
            };
            while position % 10 == 0 && position < 2_000 && !enough() {
                std::thread::yield_now();
            }
        }
        for reader in readers {
            reader.join().expect("no answer was too old");
        }
    });
}
