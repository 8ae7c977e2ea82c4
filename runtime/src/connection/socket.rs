//! What a connection reads from and writes to in a server, and in a client of WebSockets: a socket,
//! plain or with TLS.

use super::shared_socket::SharedSocket;
use super::transport::Transport;
use crate::green::embed::{PeerNews, Stream, peer_news, send_file, send_with_more, unsent};
#[cfg(feature = "tls")]
use crate::tls::TlsSocket;
use socket2::SockRef;
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(Stream),
    /// In a box: plain connections are not to be larger for it.
    #[cfg(feature = "tls")]
    Tls(Box<TlsSocket>),
}

impl Socket {
    /// The stream below whatever else there is.
    pub(crate) fn stream(&self) -> &Stream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.stream(),
        }
    }
}

impl Transport for Socket {
    fn read_unless(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_unless(stop, deadline, |bytes| take(bytes)),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.read_unless(stop, deadline, take),
        }
    }

    fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write_vectored(bufs, deadline),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.write(bufs, deadline),
        }
    }

    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write_now(bufs),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.write_now(bufs),
        }
    }

    fn write_with_more(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => send_with_more(stream.std().as_fd(), bytes),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.write_now(&[IoSlice::new(bytes)]),
        }
    }

    fn send_file(&self, file: &File, n: usize) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => send_file(stream.std().as_fd(), file.as_fd(), n),
            // The kernel does not encrypt.
            #[cfg(feature = "tls")]
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn unsent(&self) -> Option<u64> {
        match self {
            Self::Plain(stream) => unsent(stream.std().as_fd()),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.unsent(),
        }
    }

    fn finish(&self) -> bool {
        match self {
            Self::Plain(stream) => {
                stream.shutdown(Shutdown::Write);
                true
            }
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.finish(),
        }
    }

    fn shutdown(&self) {
        match self {
            Self::Plain(stream) => stream.shutdown(Shutdown::Both),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.shutdown(),
        }
    }

    fn reset(&self) {
        match self {
            // Fails only on a descriptor that is no socket.
            Self::Plain(stream) => {
                let _ = SockRef::from(stream.std()).set_linger(Some(Duration::ZERO));
            }
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.reset(),
        }
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.stream().std().as_fd())
    }

    fn says_end(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
        }
    }

    fn peer_news(&self) -> Option<PeerNews> {
        let news = peer_news(self.stream().std().as_fd());
        #[cfg(feature = "tls")]
        if news.is_none()
            && let Self::Tls(socket) = self
        {
            return socket.has_said_end().then_some(PeerNews::Finished);
        }
        news
    }

    fn is_green(&self) -> bool {
        self.stream().is_green()
    }

    #[cfg(feature = "http2")]
    fn receive_now(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_if_any(&mut |bytes| take(bytes)),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.receive_now(take),
        }
    }

    #[cfg(feature = "http2")]
    fn wait_any(&self, stop: &AtomicBool, deadline: Option<Instant>) -> io::Result<()> {
        self.stream().wait_any(stop, deadline)
    }

    fn came_back(&self) {
        self.stream().came_back();
    }

    fn shared(&self) -> Option<Arc<dyn SharedSocket>> {
        Some(match self {
            Self::Plain(stream) => stream.handle(),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => socket.handle(),
        })
    }
}

impl From<Stream> for Socket {
    fn from(stream: Stream) -> Self {
        Self::Plain(stream)
    }
}
