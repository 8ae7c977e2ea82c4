use super::{LONG, OnDrop, SHORT, everywhere, ms, on_worker, until_waiting};
use crate::net::{UnixDatagram, UnixListener, UnixStream};
use crate::{JoinError, spawn_later};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A path at which nothing is, and a guard that removes what is made there.
fn path() -> (PathBuf, OnDrop<impl FnMut()>) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("greenway-test-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let file = path.clone();
    (
        path,
        OnDrop(move || drop(std::fs::remove_file(&file))), // may never have been made
    )
}

#[test]
fn connections_are_made_and_used() {
    everywhere(|| {
        let (path, _guard) = path();
        let nobody = UnixStream::connect(&path).unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        let late = listener.accept_timeout(SHORT).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        let there = path.clone();
        let client = spawn_later(ms(5), move || {
            let mut stream = UnixStream::connect(there).unwrap();
            assert!(stream.peer_addr().unwrap().as_pathname().is_some());
            stream.write_all(b"hello").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        });
        let (mut stream, addr) = listener.accept().unwrap();
        assert!(addr.is_unnamed());
        let mut text = [0; 5];
        stream.read_exact(&mut text).unwrap();
        stream.write_all(&text).unwrap();
        drop(stream);
        assert_eq!(client.join().unwrap(), "hello");
        let taken = UnixListener::bind(&path).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_full_queue_is_waited_for() {
    everywhere(|| {
        let (path, _guard) = path();
        let listener = UnixListener::bind(&path).unwrap();
        socket2::SockRef::from(&listener).listen(0).unwrap();
        let mut guests = Vec::new();
        let error = loop {
            match UnixStream::connect_timeout(&path, SHORT) {
                Ok(guest) => guests.push(guest),
                Err(error) => break error,
            }
            assert!(guests.len() < 100, "the queue has no end");
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let there = path.clone();
        let killed = on_worker(0, move || UnixStream::connect(there).is_ok());
        until_waiting(&killed.name());
        killed.kill();
        assert!(matches!(killed.join(), Err(JoinError::Killed)));
        let there = path.clone();
        let waiting = on_worker(1, move || UnixStream::connect(there));
        until_waiting(&waiting.name());
        for _ in 0..=guests.len() {
            listener.accept_timeout(LONG).unwrap();
        }
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn a_kill_ends_reads_and_accepts() {
    for worker in 0..2 {
        let (path, _guard) = path();
        let (one, _other) = UnixStream::pair().unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let threads = [
            on_worker(worker, move || drop((&one).read(&mut [0; 1]))),
            on_worker(worker, move || drop(listener.accept())),
        ];
        for thread in threads {
            until_waiting(&thread.name());
            thread.kill();
            assert!(matches!(thread.join(), Err(JoinError::Killed)));
        }
    }
}

#[test]
fn std_sockets_come_and_go() {
    everywhere(|| {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let (mut one, mut other) = (UnixStream::from(one), UnixStream::from(other));
        one.set_read_timeout(Some(SHORT)).unwrap();
        let error = one.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        other.write_all(b"x").unwrap();
        let mut one = std::os::unix::net::UnixStream::from(one);
        assert_eq!(one.read(&mut [0; 8]).unwrap(), 1);
        let error = one.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "std's own timeout");
    });
}

#[test]
fn datagrams_go_to_paths() {
    everywhere(|| {
        let (path, _guard) = path();
        let receiver = UnixDatagram::bind(&path).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_write_timeout(Some(SHORT)).unwrap();
        let mut sent = 0;
        let error = loop {
            match sender.send_to(b"x", &path) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut, "its queue is full");
        let (length, from) = receiver.recv_from(&mut [0; 8]).unwrap();
        assert!(length == 1 && from.is_unnamed() && sent > 0);
        sender.send_to(b"y", &path).unwrap();
        drop(receiver);
        let error = sender.send_to(b"z", &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}
