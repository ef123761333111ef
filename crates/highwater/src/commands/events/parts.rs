//! A file in parts: whole lines, each part with the offset it begins at.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// A part is sent when it has this many bytes, or when no more are at hand.
const PART: usize = 1024 * 1024;
/// What is sent of a line that is longer: enough to be seen as too long. No source takes more than 256 KiB.
const LONGEST_LINE: usize = 300 * 1024;

/// Some whole lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where they begin in the file, in bytes.
    pub(crate) offset: u64,
    /// The lines.
    pub(crate) lines: Vec<u8>,
}

/// Whether to wait for a part to be full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// A file: parts are full, but for the last.
    Full,
    /// A pipe: what is at hand goes on its way.
    AtHand,
}

/// Reads parts, to the end.
pub(crate) struct Parts<R> {
    reader: R,
    fill: Fill,
    at: u64,
}

impl<R: AsyncBufRead + Unpin> Parts<R> {
    pub(crate) fn new(reader: R, fill: Fill) -> Self {
        Self { reader, fill, at: 0 }
    }

    /// How many bytes were read.
    pub(crate) fn read(&self) -> u64 {
        self.at
    }

    /// The next part; `None` at the end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Part>> {
        let mut part = Part { offset: self.at, lines: Vec::new() };
        while part.lines.len() < PART {
            match self.line(&mut part.lines).await? {
                // What follows a cut line would be counted from a wrong place.
                Line::End | Line::Cut => break,
                Line::Whole if self.fill == Fill::AtHand && self.nothing_at_hand() => break,
                Line::Whole => {}
            }
        }
        Ok((!part.lines.is_empty()).then_some(part))
    }

    async fn line(&mut self, lines: &mut Vec<u8>) -> io::Result<Line> {
        let mut length = 0;
        loop {
            let ready = self.reader.fill_buf().await?;
            if ready.is_empty() {
                return Ok(end_of(length, lines));
            }
            let end = ready.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(ready.len(), |end| end + 1);
            let room = LONGEST_LINE.saturating_sub(length).min(taken);
            lines.extend_from_slice(&ready[..room]);
            self.reader.consume(taken);
            self.at += taken as u64;
            length += taken;
            if end.is_some() {
                return Ok(end_of(length, lines));
            }
        }
    }

    /// Looked at without waiting.
    fn nothing_at_hand(&mut self) -> bool {
        use futures::FutureExt;
        !matches!(self.reader.fill_buf().now_or_never(), Some(Ok(ready)) if !ready.is_empty())
    }
}

enum Line {
    Whole,
    Cut,
    End,
}

/// Every line that is sent ends as one.
fn end_of(length: usize, lines: &mut Vec<u8>) -> Line {
    if length == 0 {
        return Line::End;
    }
    if lines.last() != Some(&b'\n') {
        lines.push(b'\n');
    }
    if length > LONGEST_LINE { Line::Cut } else { Line::Whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8], fill: Fill) -> Vec<Part> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut parts = Parts::new(text, fill);
            let mut all = Vec::new();
            while let Some(part) = parts.next().await.expect("memory can be read") {
                all.push(part);
            }
            assert_eq!(parts.read(), text.len() as u64);
            all
        })
    }

    proptest! {
        #[test]
        fn parts_are_the_file_in_whole_lines(lengths in prop::collection::vec(0_usize..200_000, 0..40)) {
            let text: Vec<u8> = lengths.iter().flat_map(|length| [vec![b'x'; *length], vec![b'\n']].concat()).collect();
            let parts = all(&text, Fill::Full);
            let joined: Vec<u8> = parts.iter().flat_map(|part| part.lines.clone()).collect();
            prop_assert_eq!(&joined, &text);
            for part in &parts {
                let at = usize::try_from(part.offset).expect("small");
                prop_assert_eq!(&text[at..at + part.lines.len()], &part.lines[..]);
                prop_assert!(part.lines.ends_with(b"\n") && part.lines.len() < PART + LONGEST_LINE);
            }
        }
    }

    #[test]
    fn a_last_line_without_an_end_gets_one() {
        assert_eq!(all(b"a\nb", Fill::Full), [Part { offset: 0, lines: b"a\nb\n".to_vec() }]);
        assert_eq!(all(b"", Fill::AtHand), []);
    }

    #[test]
    fn a_line_without_an_end_in_sight_is_cut_and_ends_its_part() {
        let mut text = vec![b'x'; 5 * 1024 * 1024];
        text.extend_from_slice(b"\nnext\n");
        let parts = all(&text, Fill::Full);
        assert_eq!(parts[0].lines.len(), LONGEST_LINE + 1);
        assert_eq!(parts[1], Part { offset: 5 * 1024 * 1024 + 1, lines: b"next\n".to_vec() });
    }
}
