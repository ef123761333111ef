//! Connections that stay silent. Before a request's headers have a deadline it must be known which HTTP is spoken, and
//! the library waits for those first bytes for ever: so they get the same time here.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What a connection that speaks HTTP/2 begins with (RFC 9113 section 3.4). The first byte that differs makes it
/// HTTP/1, whose headers have a deadline of their own.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose first bytes must come in time.
pub(super) struct Opening<T> {
    io: T,
    /// How much of the preface has come.
    seen: usize,
    /// Until it is known which HTTP is spoken.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<T> Opening<T> {
    /// Gives it that long from now.
    pub(super) fn within(patience: Duration, io: T) -> Self {
        Self { io, seen: 0, deadline: Some(Box::pin(sleep(patience))) }
    }

    /// Takes note of what has come; nothing is the end.
    fn note(&mut self, came: &[u8]) {
        self.seen += came.len();
        let undecided = !came.is_empty() && self.seen < PREFACE.len() && PREFACE[..self.seen].ends_with(came);
        if !undecided {
            self.deadline = None;
        }
    }

    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Opening<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        match &read {
            Poll::Pending if self.is_overdue(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Ready(Ok(())) if self.deadline.is_some() => {
                self.note(&buf.filled()[before..]);
                read
            }
            _ => read,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Opening<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
