use super::{FullListener, LONG, SHORT, eventually, everywhere, ms, on_worker};
use crate::net::{TcpListener, TcpStream, resolve, resolve_timeout};
use crate::{JoinError, spawn};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// An address at which nobody listens.
fn refusing() -> SocketAddr {
    listener().1
}

/// Attempts to connect to `addr` that the kernel still makes (`SYN_SENT`).
fn attempts(addr: SocketAddr) -> usize {
    let port = format!("0100007F:{:04X} 02", addr.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    table.lines().filter(|line| line.contains(&port)).count()
}

#[test]
fn an_address_that_does_not_answer_is_overtaken() {
    everywhere(|| {
        let dead = FullListener::new();
        let (alive, addr) = listener();
        let start = Instant::now();
        let stream = TcpStream::connect([dead.addr, addr]).unwrap();
        let took = start.elapsed();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        assert!(took >= ms(240), "it was given too little time: {took:?}");
        assert_eq!(attempts(dead.addr), 0, "the other attempt goes on");
        drop(alive);
    });
}

#[test]
fn one_that_was_overtaken_may_still_win() {
    let (one, other) = (FullListener::new(), FullListener::new());
    let addr = one.addr;
    let connecting = {
        let other = other.addr;
        spawn(move || TcpStream::connect([addr, other]).and_then(|stream| stream.peer_addr()))
    };
    eventually(|| attempts(addr) == 1 && attempts(other.addr) == 1);
    let _guests = one.open(); // the kernel asks again after a second
    assert_eq!(connecting.join().unwrap().unwrap(), addr);
    assert_eq!(attempts(other.addr), 0);
}

#[test]
fn who_refuses_is_passed_over_at_once() {
    everywhere(|| {
        let (alive, addr) = listener();
        let mut addrs = vec![refusing(); 20];
        addrs.push(addr);
        let start = Instant::now();
        let stream = TcpStream::connect(addrs).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        assert!(start.elapsed() < ms(250 * 20 / 2), "each had its delay");
        drop(alive);
    });
}

#[test]
fn the_first_failure_is_told_when_all_fail() {
    everywhere(|| {
        let (one, other) = (refusing(), refusing());
        let error = TcpStream::connect([one, other]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&one.to_string()), "{error}");
    });
}

#[test]
fn a_time_limit_covers_all_attempts() {
    everywhere(|| {
        let full = FullListener::new();
        let start = Instant::now();
        let error = TcpStream::connect_timeout([full.addr, refusing()], SHORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(
            error.to_string().contains(&full.addr.to_string()),
            "{error}"
        );
        assert!(start.elapsed() >= SHORT);
        assert_eq!(attempts(full.addr), 0);
    });
}

#[test]
fn a_kill_ends_all_attempts() {
    for worker in 0..2 {
        let full = FullListener::new();
        let addr = full.addr;
        let thread = on_worker(worker, move || TcpStream::connect([addr, addr]).is_ok());
        eventually(|| attempts(addr) == 2);
        thread.kill();
        assert!(matches!(thread.join(), Err(JoinError::Killed)));
        assert_eq!(attempts(addr), 0);
    }
}

#[test]
fn names_lead_to_whichever_family_answers() {
    everywhere(|| {
        let (alive, addr) = listener();
        // `localhost` is ::1 first on many machines, where nobody listens at this port.
        let stream = TcpStream::connect(("localhost", addr.port())).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        let stream = TcpStream::connect(format!("localhost:{}", addr.port())).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        drop(alive);
        if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            let addr = listener.local_addr().unwrap();
            for target in [format!("[::1]:{}", addr.port()), addr.to_string()] {
                let stream = TcpStream::connect(target).unwrap();
                assert_eq!(stream.peer_addr().unwrap(), addr);
            }
        }
    });
}

#[test]
fn literal_addresses_are_their_own_answer() {
    everywhere(|| {
        for literal in ["127.0.0.1", "::1", "[::1]"] {
            let ip: IpAddr = literal.trim_matches(['[', ']']).parse().unwrap();
            assert_eq!(resolve(literal, 80).unwrap(), [SocketAddr::new(ip, 80)]);
        }
    });
}

#[test]
fn a_name_that_is_none_is_an_error_that_names_it() {
    everywhere(|| {
        for nonsense in ["", "a\0b", "not a name", "[127.0.0.1]"] {
            let error = resolve_timeout(nonsense, 80, LONG).unwrap_err();
            assert!(
                error.to_string().contains(&format!("{nonsense:?}")),
                "{error}"
            );
        }
    });
}
