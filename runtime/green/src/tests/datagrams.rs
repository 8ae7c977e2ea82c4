use super::{LONG, SHORT, everywhere, ms, on_worker, until_waiting};
use crate::net::{UdpSocket, UnixDatagram};
use crate::{JoinError, TimedOut, Timeout, select, spawn_later};
use std::io::ErrorKind;
use std::sync::Arc;

fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

#[test]
fn messages_come_whole_and_in_their_own_time() {
    everywhere(|| {
        let (one, other) = (udp(), udp());
        let (from, to) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let later = spawn_later(ms(5), move || {
            one.send_to(b"first", to).unwrap();
            one.connect(to).unwrap();
            assert_eq!(one.peer_addr().unwrap(), to);
            one.send(b"second").unwrap();
            one
        });
        let mut buf = [0; 16];
        assert_eq!(other.peek_from(&mut buf).unwrap(), (5, from));
        assert_eq!(other.recv_from(&mut buf).unwrap(), (5, from));
        assert_eq!(&buf[..5], b"first");
        assert_eq!(
            other.recv(&mut buf[..3]).unwrap(),
            3,
            "what does not fit is lost"
        );
        let one = later.join().unwrap();
        other.connect(("localhost", from.port())).unwrap();
        other.send(b"back").unwrap();
        assert_eq!(one.peek(&mut buf).unwrap(), 4);
        assert_eq!(one.recv(&mut buf).unwrap(), 4);
        one.set_broadcast(true).unwrap();
        assert!(one.broadcast().unwrap());
    });
}

#[test]
fn a_receive_ends_by_timeout_limit_and_kill() {
    everywhere(|| {
        let socket = Arc::new(udp());
        let limited = Timeout::run(SHORT, || socket.recv(&mut [0; 1]));
        assert_eq!(limited.unwrap_err(), TimedOut);
        for worker in 0..2 {
            let waiting = socket.clone();
            let thread = on_worker(worker, move || waiting.recv(&mut [0; 1]).is_ok());
            until_waiting(&thread.name());
            thread.kill();
            assert!(matches!(thread.join(), Err(JoinError::Killed)));
        }
        socket.set_read_timeout(Some(SHORT)).unwrap();
        let error = socket.recv_from(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        socket.set_nonblocking(true).unwrap();
        let error = socket.recv_from(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_refused_message_is_told_to_who_is_connected() {
    everywhere(|| {
        let nobody = udp().local_addr().unwrap();
        let socket = udp();
        socket.connect(nobody).unwrap();
        socket.send(b"x").unwrap();
        let error = socket.recv(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn select_tells_which_socket_has_a_message() {
    everywhere(|| {
        let (one, other) = (udp(), udp());
        one.send_to(b"x", other.local_addr().unwrap()).unwrap();
        let ready = select(&[&one.readable(), &other.readable()], Some(LONG));
        assert_eq!(ready, Ok(1));
    });
}

#[test]
fn unix_datagrams_wait_for_room_and_for_messages() {
    everywhere(|| {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.set_write_timeout(Some(SHORT)).unwrap();
        let mut sent = 0;
        let error = loop {
            match one.send(b"message") {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut, "the queue is full");
        one.set_write_timeout(None).unwrap();
        let sender = on_worker(1, move || one.send(b"last"));
        until_waiting(&sender.name());
        let mut buf = [0; 16];
        for _ in 0..sent {
            assert_eq!(other.recv(&mut buf).unwrap(), 7);
        }
        assert_eq!(sender.join().unwrap().unwrap(), 4);
        assert_eq!(other.recv_from(&mut buf).unwrap().0, 4);
    });
}
