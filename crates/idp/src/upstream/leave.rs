use super::{Gate, Heard, Held, Lane};
use account::Millis;
use outbound::Spread;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Leave for one question. What came of it must be said; a question that is dropped on its way says so by itself.
pub(crate) struct Leave<'a> {
    gate: &'a Mutex<Gate>,
    asked_at: Millis,
    begun: Instant,
    is_out: bool,
}

impl<'a> Leave<'a> {
    /// Leave by this gate. The question was asked for at `asked_at`; what has passed since then is counted from `begun`.
    pub(crate) fn take(
        gate: &'a Mutex<Gate>,
        lane: Lane<'_>,
        asked_at: Millis,
        begun: Instant,
    ) -> Result<Self, Held> {
        let leave = Self { gate, asked_at, begun, is_out: false };
        let passed = gate.lock().pass(lane, leave.now());
        passed.map(|()| Self { is_out: true, ..leave })
    }

    /// The caller's time, moved on by what has passed since.
    pub(crate) fn now(&self) -> Millis {
        self.asked_at.plus(self.begun.elapsed())
    }

    /// Says what came of it; and the time then.
    pub(crate) fn heard(mut self, heard: Heard) -> Millis {
        self.is_out = false;
        let now = self.now();
        self.gate.lock().heard(heard, now, chance());
        now
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.is_out {
            self.gate.lock().unheard(self.asked_at);
        }
    }
}

fn chance() -> Spread {
    let mut random = [0];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    Spread::of(random[0])
}
