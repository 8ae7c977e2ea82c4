//! Two sessions over a pair of sockets that hold little.

use super::session::Session;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use socket2::SockRef;
use std::io::{ErrorKind, IoSlice, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

struct End {
    session: Session,
    socket: UnixStream,
    /// What has come.
    plain: Vec<u8>,
}

impl End {
    fn new(session: Session, socket: UnixStream) -> Self {
        socket.set_nonblocking(true).unwrap();
        SockRef::from(&socket).set_send_buffer_size(1).unwrap(); // the least that the kernel has
        Self {
            session,
            socket,
            plain: Vec::new(),
        }
    }

    /// Reads up to `most` bytes at a time until there are none. False at the end.
    fn read(&mut self, most: usize) -> bool {
        let mut bytes = vec![0; most];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return false,
                Ok(n) => {
                    let plain = &mut self.plain;
                    let received = self
                        .session
                        .receive(&mut bytes[..n], &mut |piece| plain.extend_from_slice(piece));
                    received.unwrap();
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    return true;
                }
            }
        }
    }

    /// Sends what was made, as far as there is room.
    fn send(&mut self) {
        let sent = self.session.send(self.socket.as_fd());
        assert!(sent.is_ok() || sent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    }

    /// Writes some of `bufs`; 0 without room.
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> usize {
        match self.session.write(self.socket.as_fd(), bufs) {
            Ok(n) => n,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                0
            }
        }
    }
}

/// A client and a server that have shaken hands, in pieces of so many bytes.
fn pair(pieces: usize) -> (End, End) {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let CertifiedKey { cert, signing_key } = made;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = super::server::provider();
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let client = Session::client(Arc::new(client), name).unwrap();
    let server = Session::server(Arc::new(server)).unwrap();
    let (mut client, mut server) = (End::new(client, near), End::new(server, far));
    while client.session.state().is_handshaking() || server.session.state().is_handshaking() {
        client.send();
        server.read(pieces);
        server.send();
        client.read(pieces);
    }
    (client, server)
}

fn numbers(count: u32) -> Vec<u8> {
    (0..count).flat_map(u32::to_le_bytes).collect()
}

/// Whoever gets `WouldBlock` brings the same bytes again, with others behind them or not.
#[test]
fn what_is_written_comes_once_and_in_order() {
    for pieces in [1, 7, 1000, 100_000] {
        let (mut client, mut server) = pair(pieces);
        let sent = numbers(if pieces < 100 { 20_000 } else { 300_000 });
        let (mut at, mut blocked) = (0, 0);
        while at < sent.len() {
            // In one part, or in several of which one is empty, of sizes that change.
            let most = (at % 150_000 + 10_000).min(sent.len() - at);
            let (one, two) = sent[at..at + most].split_at(most / 3);
            let written = if blocked % 2 == 0 {
                server.write(&[IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(two)])
            } else {
                server.write(&[IoSlice::new(&sent[at..])])
            };
            at += written;
            if written == 0 {
                blocked += 1;
                client.read(pieces);
            }
        }
        client.read(pieces);
        assert!(blocked > 0, "there was room for all of it");
        assert!(client.plain == sent, "{pieces}");
        assert_eq!(server.session.unsent(), 0);
    }
}

#[test]
fn an_idle_session_keeps_no_buffers() {
    let (mut client, mut server) = pair(4096);
    assert_eq!(client.write(&[IoSlice::new(b"hello")]), 5);
    server.read(4096);
    assert_eq!(server.plain, b"hello");
    assert_eq!(server.session.kept(), 0);
    assert_eq!(client.session.kept(), 0);
}

#[test]
fn the_end_is_said_once_and_behind_all_that_was_written() {
    let (mut client, mut server) = pair(4096);
    let sent = numbers(100_000);
    let mut at = 0;
    loop {
        let written = server.write(&[IoSlice::new(&sent[at..])]);
        if written == 0 {
            break; // the kernel is full
        }
        at += written;
    }
    server.session.close();
    server.session.close();
    while server.session.unsent() > 0 {
        assert!(!client.session.is_peer_closed());
        client.read(4096);
        server.send();
    }
    client.read(4096);
    assert!(client.session.is_peer_closed());
    assert!(sent.starts_with(&client.plain) && client.plain.len() > at);
    let late = server
        .session
        .write(server.socket.as_fd(), &[IoSlice::new(b"late")]);
    // The bytes of the record that was under way count, and nothing more is taken.
    assert!(late.is_err() || late.is_ok_and(|n| n == client.plain.len() - at));
}

#[test]
fn what_is_altered_is_refused_and_answered_with_an_alert() {
    let (mut client, mut server) = pair(4096);
    assert_eq!(client.write(&[IoSlice::new(b"hello")]), 5);
    let mut record = [0; 100];
    let n = server.socket.read(&mut record).unwrap();
    record[n - 1] ^= 1;
    let mut nothing = |_: &[u8]| panic!("nothing is shown of it");
    let error = server.session.receive(&mut record[..n], &mut nothing);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidData);
    assert!(server.session.unsent() > 0, "there is an alert");
    server.send();
    let mut alert = [0; 100];
    let n = client.socket.read(&mut alert).unwrap();
    let told = client.session.receive(&mut alert[..n], &mut |_| {});
    assert!(told.unwrap_err().to_string().contains("BadRecordMac"));
    let late = server
        .session
        .write(server.socket.as_fd(), &[IoSlice::new(b"late")]);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::BrokenPipe);
}
