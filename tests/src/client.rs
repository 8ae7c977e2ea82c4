//! A client that sees every byte, and waits for none longer than [`DEADLINE`].

use crate::{DEADLINE, Head, Reply};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// One connection to a server. All methods that read fail the test with what was read so far.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// What is spoken over it, if that is TLS.
    tls: Option<Box<ClientConnection>>,
    /// What has come and is not used yet.
    unread: Vec<u8>,
    ended: bool,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[track_caller]
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr)
            .unwrap_or_else(|error| panic!("connecting to {addr}: {error}"));
        Self::of(stream)
    }

    /// Connects from another address of this machine: one address has ports for about 28,000
    /// connections to a server, and those that have just ended still hold theirs.
    ///
    /// # Panics
    /// When nobody listens, or `from` is not an address of this machine.
    #[track_caller]
    #[must_use]
    pub fn connect_from(from: IpAddr, addr: SocketAddr) -> Self {
        let connect = || {
            let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
            socket.connect(&addr.into())?;
            Ok::<TcpStream, io::Error>(socket.into())
        };
        Self::of(
            connect().unwrap_or_else(|error| panic!("connecting from {from} to {addr}: {error}")),
        )
    }

    /// Connects with room for about `bytes` that have come and were not read.
    ///
    /// # Panics
    /// When nobody listens.
    #[track_caller]
    #[must_use]
    pub fn connect_with_buffer(bytes: usize, addr: SocketAddr) -> Self {
        let connect = || {
            let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
            socket.set_recv_buffer_size(bytes)?;
            socket.connect(&addr.into())?;
            Ok::<TcpStream, io::Error>(socket.into())
        };
        Self::of(connect().unwrap_or_else(|error| panic!("connecting to {addr}: {error}")))
    }

    fn of(stream: TcpStream) -> Self {
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a timeout that is not zero");
        stream
            .set_write_timeout(Some(DEADLINE))
            .expect("a timeout that is not zero");
        stream.set_nodelay(true).expect("TCP knows it");
        Self {
            stream,
            tls: None,
            unread: Vec::new(),
            ended: false,
        }
    }

    /// Speaks TLS from here on, with the server of this name.
    ///
    /// # Errors
    /// When there is no handshake.
    ///
    /// # Panics
    /// When the name is none.
    pub fn secure(mut self, config: &Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).expect("it is a name");
        let connection = ClientConnection::new(config.clone(), name);
        let mut tls = connection.map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut self.stream)?;
        }
        self.tls = Some(Box::new(tls));
        Ok(self)
    }

    /// What was agreed upon.
    ///
    /// # Panics
    /// When it does not speak TLS.
    #[must_use]
    pub fn tls(&mut self) -> &mut ClientConnection {
        self.tls.as_mut().expect("it speaks TLS")
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends all of `bytes`.
    ///
    /// # Panics
    /// When the server does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes)
            .unwrap_or_else(|error| panic!("sending: {error}"));
        self
    }

    /// Sends all of `bytes`, to a server that may have closed.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.tls {
            None => self.stream.write_all(bytes.as_ref()),
            Some(tls) => {
                let mut stream = rustls::Stream::new(&mut **tls, &mut self.stream);
                stream.write_all(bytes.as_ref())?;
                stream.flush()
            }
        }
    }

    /// Reads once. False at the end.
    fn more(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let mut buffer = [0; 16 * 1024];
        let n = loop {
            let read = match &mut self.tls {
                None => self.stream.read(&mut buffer),
                Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read(&mut buffer),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.unread.extend_from_slice(&buffer[..n]);
        self.ended = n == 0;
        Ok(n > 0)
    }

    /// Reads one chunk; `None` if the connection ends, in whatever way, before it is whole.
    ///
    /// # Panics
    /// When something else comes.
    pub fn try_chunk(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                let digits = String::from_utf8_lossy(&self.unread[..at]).into_owned();
                let size = chunk_size(&digits);
                if self.unread.len() >= at + size + 4 {
                    return Some(self.chunk());
                }
            }
            if !self.more().unwrap_or(false) {
                return None;
            }
        }
    }

    #[track_caller]
    fn need_more(&mut self, what: &str) {
        match self.more() {
            Ok(true) => {}
            Ok(false) => panic!(
                "the connection ended before {what}; left over: {}",
                self.shown()
            ),
            Err(error) => panic!("{error} before {what}; left over: {}", self.shown()),
        }
    }

    fn shown(&self) -> String {
        let part = &self.unread[..self.unread.len().min(400)];
        format!(
            "{:?} ({} bytes)",
            String::from_utf8_lossy(part),
            self.unread.len()
        )
    }

    /// Reads a response's head.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..at + 4).collect();
                return Head::parse(&head);
            }
            self.need_more("a head");
        }
    }

    /// Reads exactly `n` bytes.
    ///
    /// # Panics
    /// When fewer come.
    #[track_caller]
    pub fn take(&mut self, n: usize) -> Vec<u8> {
        while self.unread.len() < n {
            self.need_more("enough bytes");
        }
        self.unread.drain(..n).collect()
    }

    /// Reads one chunk of a chunked body; the last one is empty.
    ///
    /// # Panics
    /// When none comes, or something else.
    #[track_caller]
    pub fn chunk(&mut self) -> String {
        String::from_utf8(self.chunk_bytes()).expect("the tests send text in chunks")
    }

    /// As [`chunk`](Self::chunk), for what is no text.
    ///
    /// # Panics
    /// As [`chunk`](Self::chunk).
    #[track_caller]
    pub fn chunk_bytes(&mut self) -> Vec<u8> {
        let at = loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                break at;
            }
            self.need_more("a chunk");
        };
        let line: Vec<u8> = self.unread.drain(..at + 2).collect();
        let digits = String::from_utf8_lossy(&line[..at]).into_owned();
        let size = chunk_size(&digits);
        let data = self.take(size);
        let end = self.take(2);
        assert_eq!(end, b"\r\n", "the end of a chunk");
        data
    }

    /// Reads a whole response.
    ///
    /// # Panics
    /// When none comes, or only a part of one.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        let head = self.head();
        self.body_of(head)
    }

    /// Reads a response that has no body whatever its fields say: that to a HEAD.
    ///
    /// # Panics
    /// As [`head`](Self::head).
    #[track_caller]
    pub fn reply_to_head(&mut self) -> Reply {
        Reply {
            head: self.head(),
            body: Vec::new(),
        }
    }

    #[track_caller]
    fn body_of(&mut self, head: Head) -> Reply {
        let body = if matches!(head.status, 100..=199 | 204 | 304) {
            Vec::new()
        } else if head.is_chunked() {
            assert_eq!(
                head.content_length(),
                None,
                "RFC 9112 section 6.2: never both"
            );
            let mut body = Vec::new();
            loop {
                let chunk = self.chunk_bytes();
                if chunk.is_empty() {
                    break body;
                }
                body.extend(chunk);
            }
        } else if let Some(length) = head.content_length() {
            self.take(length)
        } else {
            self.rest()
        };
        Reply { head, body }
    }

    /// Reads until the server closes in good order, and gives what came.
    ///
    /// # Panics
    /// When it does not, or resets the connection.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.more() {
                Ok(true) => {}
                Ok(false) => return std::mem::take(&mut self.unread),
                Err(error) => panic!("{error} before the end; left over: {}", self.shown()),
            }
        }
    }

    /// Reads until the server closes or resets the connection, and gives what came, and whether
    /// the end was in good order.
    ///
    /// # Panics
    /// When it does neither.
    #[track_caller]
    pub fn rest_or_reset(&mut self) -> (Vec<u8>, bool) {
        loop {
            match self.more() {
                Ok(true) => {}
                Ok(false) => return (std::mem::take(&mut self.unread), true),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return (std::mem::take(&mut self.unread), false);
                }
                Err(error) => panic!("{error} before the end; left over: {}", self.shown()),
            }
        }
    }

    /// The server ends the connection within a response: neither the rest of that comes, nor
    /// another one.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn is_cut_short(&mut self) {
        let (rest, _) = self.rest_or_reset();
        assert_eq!(String::from_utf8_lossy(&rest), "", "after a cut");
    }

    /// The server closes, and has nothing more to say.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn end(&mut self) {
        let rest = self.rest();
        assert!(
            rest.is_empty(),
            "expected the end, got {:?}",
            String::from_utf8_lossy(&rest)
        );
    }

    /// Whether nothing comes for `moment`. Proves nothing, since it may come later; only for what
    /// is to be caught out if it comes at once.
    ///
    /// # Panics
    /// When the connection ends or breaks.
    #[track_caller]
    pub fn is_silent_for(&mut self, moment: Duration) -> bool {
        if !self.unread.is_empty() {
            return false;
        }
        self.stream
            .set_read_timeout(Some(moment))
            .expect("a timeout that is not zero");
        let result = self.more();
        self.stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a timeout that is not zero");
        match result {
            Ok(true) => false,
            Ok(false) => panic!("the connection ended"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                true
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn finish_sending(&mut self) -> &mut Self {
        self.say_goodbye();
        self.stream
            .shutdown(Shutdown::Write)
            .expect("the connection is open");
        self
    }

    /// With TLS, says that nothing more will be sent (close_notify), and leaves the connection open.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn say_goodbye(&mut self) -> &mut Self {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)
                    .expect("the connection is open");
            }
        }
        self
    }

    /// With TLS, the record of which these bytes are the content. It is to be sent
    /// [below](Self::send_below).
    ///
    /// # Panics
    /// When it does not speak TLS.
    pub fn encrypted(&mut self, content: impl AsRef<[u8]>) -> Vec<u8> {
        let mut record = Vec::new();
        let mut writer = self.tls().writer();
        writer.write_all(content.as_ref()).expect("there is room");
        while self.tls().wants_write() {
            self.tls().write_tls(&mut record).expect("memory takes it");
        }
        record
    }

    /// Sends bytes as they are, below TLS.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn send_below(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .expect("the connection is open");
    }

    /// Waits until more has come.
    ///
    /// # Errors
    /// `UnexpectedEof` at the end, too.
    pub fn try_read(&mut self) -> io::Result<()> {
        match self.more()? {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Leaves as a process that was killed does: with a reset.
    ///
    /// # Panics
    /// When the socket has no such option.
    pub fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("TCP can linger");
    }
}

#[track_caller]
fn chunk_size(digits: &str) -> usize {
    usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("not a chunk size: {digits:?}"))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
