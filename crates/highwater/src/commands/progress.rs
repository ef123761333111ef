//! How far a long command is.

use indicatif::{HumanFloatCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// A bar for so many bytes, or a count of them where nobody knows how many there are. On standard error, and only on a
/// terminal.
pub(super) fn bar(length: Option<u64>) -> ProgressBar {
    let template = match length {
        Some(_) => "{bar:40.cyan/blue} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left; {msg}",
        None => "{spinner} {bytes} {bytes_per_sec}; {msg}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is one");
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.with_style(style)
}

/// A bar for so many things.
pub(super) fn counter(length: u64) -> ProgressBar {
    let template = "{bar:40.cyan/blue} {human_pos}/{human_len} {rate}, {eta} left; {msg}";
    let style = ProgressStyle::with_template(template).expect("the template is one");
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // There is nobody to tell that a bar cannot be drawn.
        let _ = write!(text, "{:.0}/s", HumanFloatCount(state.per_sec()));
    };
    let bar = ProgressBar::new(length);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.with_style(style.with_key("rate", rate))
}

/// How far the steps of a command are, by name: a bar on a terminal; else a line on standard error for each tenth of a step.
pub(super) struct Steps {
    bar: ProgressBar,
    is_terminal: bool,
    /// The step, and how many tenths of it were told.
    told: Option<(String, u64)>,
}

impl Steps {
    pub(super) fn new() -> Self {
        Self { bar: counter(0), is_terminal: io::stderr().is_terminal(), told: None }
    }

    /// So much of a step is done.
    pub(super) fn tell(&mut self, step: &str, done: u64, total: u64) {
        if self.is_terminal {
            if self.bar.message() != step {
                // How long a step takes says nothing of the next one.
                self.bar.finish_and_clear();
                self.bar = counter(total).with_message(step.to_owned());
            }
            self.bar.set_length(total.max(done));
            self.bar.set_position(done);
            return;
        }
        if let Some(line) = self.line(step, done, total) {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// The line that is due.
    fn line(&mut self, step: &str, done: u64, total: u64) -> Option<String> {
        let tenths = done.saturating_mul(10).checked_div(total).unwrap_or(10).min(10);
        let before = self.told.as_ref().filter(|(told, _)| told == step).map(|(_, tenths)| *tenths);
        if before.is_some_and(|before| before >= tenths) {
            return None;
        }
        self.told = Some((step.to_owned(), tenths));
        Some(format!("{step}: {done} of {total}"))
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_each_tenth_of_a_step_is_a_line() {
        let mut steps = Steps::new();
        let mut lines = Vec::new();
        for done in [1, 5, 9, 10, 11, 55, 99, 100, 100] {
            lines.extend(steps.line("copying users", done, 100));
        }
        lines.extend(steps.line("comparing users", 1, 100));
        lines.extend(steps.line("comparing nodes", 0, 0));
        let expected = ["1", "10", "55", "99", "100"].map(|done| format!("copying users: {done} of 100"));
        assert_eq!(lines[..5], expected);
        assert_eq!(lines[5..], ["comparing users: 1 of 100", "comparing nodes: 0 of 0"]);
    }
}
