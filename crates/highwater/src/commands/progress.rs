//! How far a long command is.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
    let style = ProgressStyle::with_template("{bar:40.cyan/blue} {pos}/{len} {per_sec}, {eta} left; {msg}");
    let bar = ProgressBar::new(length);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.with_style(style.expect("the template is one"))
}
