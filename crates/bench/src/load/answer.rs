//! Reads HTTP/1.1 answers of the one shape that our servers give: a head, a `content-length`, a body.

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Its first line and its headers, each with its end.
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// Whether it has that header, whole: `name: value`, the name as our servers write it.
    pub(crate) fn has(&self, header: &[u8]) -> bool {
        self.head
            .windows(header.len() + 4)
            .any(|line| line.starts_with(b"\r\n") && line.ends_with(b"\r\n") && line[2..].starts_with(header))
    }
}

/// Reads one whole answer into `buffer`, which must be able to hold it.
pub(crate) async fn read<'a>(stream: &mut TcpStream, buffer: &'a mut [u8]) -> Result<Answer<'a>> {
    let mut filled = 0;
    let mut whole = None;
    while whole.is_none_or(|(_, end)| filled < end) {
        let count = stream.read(&mut buffer[filled..]).await?;
        ensure!(
            count > 0,
            "the connection ended within an answer, or the answer is over {} bytes",
            buffer.len()
        );
        filled += count;
        if whole.is_none() {
            whole = extent(&buffer[..filled])?;
        }
    }
    let (body, end) = whole.context("the loop ends with a whole answer")?;
    ensure!(end == filled, "more came than was asked for");
    Ok(Answer { status: status(buffer)?, head: &buffer[..body], body: &buffer[body..end] })
}

/// Where the body begins and ends, once the whole head is there.
fn extent(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let length = content_length(&bytes[..head + 2]).context("the answer has no content-length")?;
    Ok(Some((head + 4, head + 4 + length)))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let at = head.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))? + NAME.len();
    let digits = head[at..].split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `HTTP/1.1 200 …`.
fn status(head: &[u8]) -> Result<u16> {
    ensure!(head.starts_with(b"HTTP/1.1 "), "the answer is not HTTP/1.1");
    Ok(std::str::from_utf8(&head[9..12])?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: y\r\n\r\nhello";

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        assert_eq!(extent(&ANSWER[..20]).expect("readable"), None);
        let (body, end) = extent(ANSWER).expect("readable").expect("whole");
        assert_eq!((&ANSWER[body..end], end), (b"hello".as_slice(), ANSWER.len()));
        assert_eq!(status(ANSWER).expect("readable"), 200);
    }

    #[test]
    fn a_header_is_found_whole() {
        let answer = Answer { status: 200, head: &ANSWER[..ANSWER.len() - 5], body: b"hello" };
        assert!(answer.has(b"x: y") && answer.has(b"Content-Length: 5"));
        assert!(!answer.has(b"x: ") && !answer.has(b": y") && !answer.has(b"y"));
    }

    #[test]
    fn an_answer_without_a_length_is_an_error() {
        assert!(extent(b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n").is_err());
        assert!(status(b"HTTP/2 200    ").is_err());
    }
}
