//! The two kinds of sockets behind one face: TCP, and unix sockets for the admin's own machine.

use anyhow::{Context as _, Result};
use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A bound socket. A unix socket's file goes with it.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Socket {
    /// Binds a TCP address.
    pub(crate) async fn tcp(address: SocketAddr) -> Result<Self> {
        let bound = TcpListener::bind(address).await;
        bound.map(Self::Tcp).with_context(|| format!("{address} cannot be listened on"))
    }

    /// Binds a unix socket that only this user can connect to. A socket left by a process that died is replaced: the
    /// caller holds the store's lock, so nobody listens there any more.
    pub(crate) fn unix(path: &Path) -> Result<Self> {
        remove_stale(path).with_context(|| format!("{} cannot be replaced", path.display()))?;
        let bound = bind_private(path);
        bound
            .map(|it| Self::Unix(it, path.to_owned()))
            .with_context(|| format!("{} cannot be bound", path.display()))
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }

    /// Where it listens, for people: `127.0.0.1:8000`, or the file.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|error| error.to_string(), |it| it.to_string())
            }
            Self::Unix(_, path) => path.display().to_string(),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // It may be gone already; nobody waits for it.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Bound in a folder that only this user can enter, and moved into place when it is private itself: so that no moment is
/// open to others.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let folder = path.with_extension("new");
    remove_folder(&folder)?;
    DirBuilder::new().mode(0o700).create(&folder)?;
    let unborn = folder.join("s");
    let listener = UnixListener::bind(&unborn)?;
    std::fs::set_permissions(&unborn, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&unborn, path)?;
    std::fs::remove_dir(&folder)?;
    Ok(listener)
}

/// Removes what a process that died in between has left. Only such a thing: a folder with anything else in it stays.
fn remove_folder(folder: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => {
            remove_stale(&folder.join("s"))?;
            std::fs::remove_dir(folder)
        }
        Ok(_) => remove_stale(folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// An `accept` error that says the other side is gone already, and nothing about this one.
pub(crate) fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected)
}

/// A connection of either kind.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Where it comes from; nowhere on a unix socket.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_socket_is_private_and_replaces_what_a_dead_process_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        for _ in 0..2 {
            let listener = bind_private(&path).expect("bound");
            assert_eq!(mode(&path), 0o600);
            assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1, "nothing else is left");
            UnixStream::connect(&path).await.expect("it listens");
            drop(listener);
        }
        // One died between binding and moving.
        let unborn = path.with_extension("new");
        std::fs::create_dir(&unborn).expect("made");
        drop(UnixListener::bind(unborn.join("s")).expect("bound"));
        drop(bind_private(&path).expect("bound"));
        assert!(!unborn.exists());
    }

    /// Until it is moved, only the folder around it keeps others away.
    #[tokio::test]
    async fn a_folder_that_is_not_its_own_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        std::fs::create_dir(path.with_extension("new")).expect("made");
        std::fs::write(path.with_extension("new").join("other"), "").expect("written");
        bind_private(&path).expect_err("something is in the way");
        assert!(path.with_extension("new").join("other").exists() && !path.exists());
    }
}
