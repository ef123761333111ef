//! The conformance suite against receivers on sockets: a good one, and some with one defect each.

use super::served::Served;
use super::*;
use crate::conformance::{CaseResult, Conformance, Grade, conformance};
use crate::listen::{Heard, Keys, Refusal, Trust, listen};
use crate::{EventType, Format, Secret, SigningAlgorithm, Trial, TrialKeys, Vocabulary};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Request, StatusCode};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tower::ServiceExt;

const HMAC: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const EVERY_FORMAT: [Format; 4] =
    [Format::FxaHeader, Format::Push, Format::WebhookHmac, Format::WebhookEd25519];

/// Ed25519's private and public key as Standard Webhooks write them.
fn ed25519() -> (String, String) {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let seed = [7; 32];
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
    let text = |prefix, bytes: &[u8]| format!("{prefix}{}", STANDARD.encode(bytes));
    (text("whsk_", &seed), text("whpk_", pair.public_key().as_ref()))
}

/// What a receiver does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    None,
    TakesWhatWasAltered,
    TakesWhatIsUnsigned,
    TrustsEveryKey,
    TakesWhatIsForOthers,
    TakesOtherIssuers,
    BreaksOnGarbage,
    RefusesStrangers,
    RefusesDuplicates,
    RefusesNewEvents,
    BreaksOnNewEvents,
    MeasuresTheAge,
    AllowsNoClocks,
    RefusesOldChanges,
    WantsAState,
    TakesReplays,
    SaysNothingOfAudiences,
    AnswersAsToAnyRequest,
    RedirectsToALogin,
}

/// A good receiver, and what is done wrong around it.
struct Flawed {
    good: Router,
    heard: Mutex<mpsc::Receiver<Heard>>,
    defect: Defect,
    clock: Clock,
}

async fn take(State(flawed): State<Arc<Flawed>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut request = Request::post("/").body(Body::from(body.clone())).expect("a request");
    *request.headers_mut() = headers.clone();
    let answer = flawed.good.clone().oneshot(request).await.expect("it answers");
    let heard = flawed.heard.lock().try_recv().expect("it was handed over");
    let authorization = headers.get("authorization").and_then(|it| it.to_str().ok()).unwrap_or_default();
    let token = format!("{authorization}{}", String::from_utf8_lossy(&body));
    let instead = flawed.defect.instead(&heard, &token, flawed.clock.now());
    instead.map_or(answer, |(status, body)| (status, body).into_response())
}

impl Defect {
    /// What is answered instead of what is right, if anything.
    fn instead(self, heard: &Heard, token: &str, now: Millis) -> Option<(StatusCode, &'static str)> {
        let accepted = Some((StatusCode::ACCEPTED, ""));
        let refused = Some((StatusCode::BAD_REQUEST, ""));
        let broken = Some((StatusCode::INTERNAL_SERVER_ERROR, ""));
        let good = heard.is_good();
        let claims = heard.said.as_ref();
        let iat = claims.and_then(|it| it["iat"].as_i64());
        let event = heard.event.as_deref().unwrap_or_default();
        let is_new = event.ends_with("unheard-of") || event.ends_with("unheard_of");
        let changed = claims.and_then(|it| {
            it["events"][event]["changeTime"].as_i64().or(it["data"]["event"]["changeTime"].as_i64())
        });
        let an_hour_ago = now.minus(Duration::from_hours(1));
        match (self, heard.refusal.as_ref()) {
            (Self::TakesWhatWasAltered, Some(Refusal::Signature)) if heard.event.is_some() => accepted,
            (Self::TakesWhatIsUnsigned, Some(Refusal::Malformed(_))) if token.ends_with('.') => accepted,
            (Self::TrustsEveryKey, Some(Refusal::Key))
            | (Self::TakesWhatIsForOthers, Some(Refusal::Audience(_)))
            | (Self::TakesOtherIssuers, Some(Refusal::Issuer(_)))
            | (Self::TakesReplays, Some(Refusal::Time(_))) => accepted,
            (Self::BreaksOnGarbage, Some(Refusal::Malformed(_) | Refusal::Nothing))
                if !token.contains('.') =>
            {
                broken
            }
            (Self::RefusesStrangers, None)
                if heard.subject.as_deref() != Some("u1") && event != EventType::Verification.uri() =>
            {
                Some((StatusCode::NOT_FOUND, ""))
            }
            (Self::RefusesDuplicates, None) if heard.duplicate => Some((StatusCode::CONFLICT, "")),
            (Self::RefusesNewEvents, None) if is_new => refused,
            (Self::BreaksOnNewEvents, None) if is_new => broken,
            (Self::MeasuresTheAge, None) if iat.is_some_and(|iat| iat < an_hour_ago.seconds()) => refused,
            (Self::AllowsNoClocks, None) if iat.is_some_and(|iat| iat > now.seconds()) => refused,
            (Self::RefusesOldChanges, None) if changed.is_some_and(|at| at < an_hour_ago.get()) => refused,
            (Self::WantsAState, None) if event == EventType::Verification.uri() => {
                Some((StatusCode::BAD_REQUEST, r#"{"err":"invalid_state","description":"no state"}"#))
            }
            (Self::SaysNothingOfAudiences, Some(Refusal::Audience(_))) => {
                Some((StatusCode::BAD_REQUEST, r#"{"err":"invalid_request"}"#))
            }
            (Self::AnswersAsToAnyRequest, None) if good => Some((StatusCode::OK, "fine")),
            (Self::RedirectsToALogin, _) => Some((StatusCode::FOUND, "")),
            _ => None,
        }
    }
}

/// Runs the suite in a format against a receiver with a defect.
async fn suite(format: Format, defect: Defect) -> Conformance {
    let clock = Clock::manual(Millis::new(1_789_000_000_123));
    let keys = TrialKeys::fresh(SigningAlgorithm::EdDsa).expect("a key");
    let (private, public) = ed25519();
    let (secret, webhook) = match format {
        Format::WebhookHmac => (vec![Secret::new(HMAC)], vec![Secret::new(HMAC)]),
        Format::WebhookEd25519 => (vec![Secret::new(private)], vec![Secret::new(public)]),
        _ => (vec![], vec![]),
    };
    let trusted = Keys::of_set(&keys.published()).expect("keys");
    let trust = Trust::new(trusted, Some(ISSUER.into()), Some(client("rp")), webhook).expect("it can be");
    let (good, heard) = listen(trust, clock.clone());
    let flawed = Flawed { good, heard: Mutex::new(heard), defect, clock: clock.clone() };
    let served = Served::new(Router::new().fallback(take).with_state(Arc::new(flawed))).await;
    let config = Config {
        webhook: Some(served.url("/events")),
        allow_private: true,
        algorithm: SigningAlgorithm::EdDsa,
        format,
        vocabulary: if format == Format::Push { Vocabulary::Ssf } else { Vocabulary::Fxa },
        ..Config::default()
    };
    let secrets = Secrets { webhook: secret, ..Secrets::default() };
    let trial = Trial::new(client("rp"), config, secrets, ISSUER, keys, clock).expect("it can be tried");
    let known = Subject::new("u1").expect("valid");
    conformance(&trial, Some(&known)).await.expect("the suite runs")
}

/// The cases that are not passed.
fn marked(suite: &Conformance) -> Vec<(&str, Grade)> {
    let marked = suite.cases.iter().filter(|it| it.grade != Grade::Pass);
    marked.map(|it| (it.case.as_str(), it.grade)).collect()
}

#[tokio::test]
async fn a_good_receiver_passes_every_case_in_every_format() {
    for (format, cases) in EVERY_FORMAT.into_iter().zip([13, 14, 10, 10]) {
        let suite = suite(format, Defect::None).await;
        assert_eq!((suite.grade, marked(&suite)), (Grade::Pass, vec![]), "{format:?}");
        assert_eq!(suite.cases.len(), cases, "{format:?}");
        assert!(suite.cases.iter().all(|it| it.advice.is_none() && it.status.is_some()));
    }
}

#[tokio::test]
async fn each_defect_is_named_by_its_case_and_by_no_other() {
    use Defect::*;
    use Format::{FxaHeader, Push, WebhookEd25519, WebhookHmac};
    let tokens = &[FxaHeader, Push][..];
    let webhooks = &[WebhookHmac, WebhookEd25519][..];
    let table: [(Defect, &[Format], &str, Grade); 18] = [
        (TakesWhatWasAltered, tokens, "bad-signature", Grade::Fail),
        (TakesWhatIsUnsigned, tokens, "unsigned", Grade::Fail),
        (TrustsEveryKey, tokens, "unknown-key", Grade::Fail),
        (TakesWhatIsForOthers, tokens, "wrong-audience", Grade::Fail),
        (TakesOtherIssuers, tokens, "wrong-issuer", Grade::Warn),
        (BreaksOnGarbage, &EVERY_FORMAT, "no-token", Grade::Fail),
        (RefusesStrangers, &EVERY_FORMAT, "unknown-account", Grade::Fail),
        (RefusesDuplicates, &EVERY_FORMAT, "duplicate", Grade::Fail),
        (RefusesNewEvents, &EVERY_FORMAT, "unknown-event", Grade::Warn),
        (BreaksOnNewEvents, &EVERY_FORMAT, "unknown-event", Grade::Fail),
        (MeasuresTheAge, tokens, "issued-long-ago", Grade::Fail),
        (AllowsNoClocks, tokens, "issued-ahead", Grade::Warn),
        (RefusesOldChanges, &[FxaHeader], "old-change", Grade::Fail),
        (RefusesOldChanges, webhooks, "old-change", Grade::Fail),
        (WantsAState, &[Push], "verification", Grade::Fail),
        (TakesReplays, webhooks, "stale-timestamp", Grade::Warn),
        (SaysNothingOfAudiences, &[Push], "wrong-audience", Grade::Warn),
        (SaysNothingOfAudiences, &[FxaHeader], "", Grade::Pass),
    ];
    for (defect, formats, case, grade) in table {
        for format in formats {
            let suite = suite(*format, defect).await;
            let expected = if case.is_empty() { vec![] } else { vec![(case, grade)] };
            assert_eq!(marked(&suite), expected, "{defect:?} {format:?}");
            assert_eq!(suite.grade, grade);
        }
    }
}

#[tokio::test]
async fn a_webhook_receiver_that_checks_no_signature_fails_both_cases_of_it() {
    let suite = suite(Format::WebhookHmac, Defect::TakesWhatWasAltered).await;
    assert_eq!(marked(&suite), [("bad-signature", Grade::Fail), ("unknown-key", Grade::Fail)]);
}

#[tokio::test]
async fn what_holds_for_all_is_said_of_all() {
    let to_any = suite(Format::Push, Defect::AnswersAsToAnyRequest).await;
    assert_eq!(to_any.grade, Grade::Warn);
    assert!(marked(&to_any).iter().all(|(_, grade)| *grade == Grade::Warn) && marked(&to_any).len() == 8);
    let login = suite(Format::FxaHeader, Defect::RedirectsToALogin).await;
    assert_eq!(marked(&login).len(), login.cases.len());
    let advice = login.cases[0].advice.as_deref();
    assert_eq!(advice, Some("answer where the request is sent: no redirect is followed"));
    assert!(login.cases[0].came.starts_with("302 in "));
}

#[tokio::test]
async fn when_nobody_is_there_nothing_more_is_tried() {
    let closed = Served::new(Router::new()).await;
    let url = closed.url("/");
    drop(closed);
    let config = Config {
        webhook: Some(url),
        allow_private: true,
        algorithm: SigningAlgorithm::EdDsa,
        ..Config::default()
    };
    let keys = TrialKeys::fresh(SigningAlgorithm::EdDsa).expect("a key");
    let trial = Trial::new(client("rp"), config, Secrets::default(), ISSUER, keys, Clock::system());
    let suite = conformance(&trial.expect("it can be tried"), None).await.expect("it runs");
    let [CaseResult { case, status: None, grade: Grade::Fail, .. }] = &suite.cases[..] else {
        panic!("one case: {suite:?}")
    };
    assert_eq!(case, "good");
}
