use crate::Refusal;
use metrics::{Counter, Histogram};
use std::time::Duration;
use verify::How;

/// The face that proxies ask at.
const VERIFY: &str = "verify";
const REMEMBERED: &str = How::Remembered.as_str();

/// What is counted at the faces.
pub(crate) struct Meters {
    /// What nearly every check of a proxy comes to. Held: a look-up in the recorder costs as much as such a check.
    remembered: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        metrics::describe_counter!("bearer.checks", "Checks of bearer tokens, by face and outcome");
        metrics::describe_histogram!(
            "bearer.profile",
            "Seconds until the identity provider has told a profile, by result"
        );
        Self { remembered: metrics::counter!("bearer.checks", "face" => VERIFY, "outcome" => REMEMBERED) }
    }

    /// A check at `face`: how its facts were come by, or why it was refused.
    pub(crate) fn checked(&self, face: &'static str, outcome: Result<&'static str, &Refusal>) {
        if face == VERIFY && outcome == Ok(REMEMBERED) {
            return self.remembered.increment(1);
        }
        let outcome = outcome.unwrap_or_else(|refusal| refusal.wire().error_code);
        metrics::counter!("bearer.checks", "face" => face, "outcome" => outcome).increment(1);
    }

    /// With the results of the field.
    #[expect(clippy::unused_self, reason = "whoever counts has described what is counted")]
    pub(crate) fn profile(&self, result: &'static str, took: Duration) {
        let histogram: Histogram = metrics::histogram!("bearer.profile", "result" => result);
        histogram.record(took.as_secs_f64());
    }
}
