//! Calls that C code makes: what they give, and what they leave in `errno`.

use greenway::green::{self, spawn};
use greenway_monkey_tests::{Folder, begin, crowd};
use std::ffi::{c_char, c_int};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn errno_rounds(fd: c_int, pair: *const c_int, rounds: c_int, mine: c_int) -> c_int;
    fn several(a: c_int, silent: c_int) -> c_int;
    fn urgent(a: c_int) -> c_int;
    fn datagrams(a: c_int, b: c_int) -> c_int;
    fn three_datagrams(b: c_int) -> c_int;
    fn large(near: c_int, bytes: *mut c_char, n: usize) -> c_int;
    fn all_of_it(fd: c_int) -> c_int;
    fn pass_descriptor(over: c_int, fd: c_int) -> c_int;
    fn take_descriptor(over: c_int) -> c_int;
    fn names() -> c_int;
    fn cancel(silent: c_int) -> c_int;
}

const SHORT: Duration = Duration::from_millis(1);

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

#[test]
fn errno_is_that_of_the_call() {
    begin();
    let lines = crowd(100, |n| {
        let (silent, _far) = UnixStream::pair().unwrap();
        silent.set_read_timeout(Some(SHORT)).unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        let pair = [one.as_raw_fd(), other.as_raw_fd()];
        // SAFETY: descriptors that are open over the call.
        unsafe { errno_rounds(silent.as_raw_fd(), pair.as_ptr(), 100, n as c_int) }
    });
    assert_eq!(lines, [0; 100]);
}

#[test]
fn poll_and_select() {
    begin();
    let lines = crowd(50, |_| {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (silent, _kept) = UnixStream::pair().unwrap();
        let writer = spawn(move || {
            for _ in 0..3 {
                green::sleep(Duration::from_millis(10));
                far.write_all(b"x").unwrap();
            }
            far
        });
        // SAFETY: descriptors that are open over the call.
        let line = unsafe { several(near.as_raw_fd(), silent.as_raw_fd()) };
        writer.join().unwrap();
        line
    });
    assert_eq!(lines, [0; 50]);
}

#[test]
fn urgent_data_is_told() {
    begin();
    crowd(10, |_| {
        let (near, far) = tcp();
        let sender = spawn(move || {
            green::sleep(Duration::from_millis(20));
            // SAFETY: one byte, which lives over the call.
            let sent =
                unsafe { libc::send(far.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
            assert_eq!(sent, 1);
            far
        });
        // SAFETY: a descriptor that is open over the call.
        assert_eq!(unsafe { urgent(near.as_raw_fd()) }, 0);
        sender.join().unwrap();
    });
}

#[test]
fn datagrams_are_datagrams() {
    begin();
    crowd(20, |_| {
        let (one, other) = UnixDatagram::pair().unwrap();
        // SAFETY: descriptors that are open over the call.
        assert_eq!(unsafe { datagrams(one.as_raw_fd(), other.as_raw_fd()) }, 0);
        let sender = spawn(move || {
            for _ in 0..3 {
                green::sleep(SHORT);
                one.send(b"x").unwrap();
            }
        });
        // SAFETY: a descriptor that is open over the call.
        assert_eq!(unsafe { three_datagrams(other.as_raw_fd()) }, 0);
        sender.join().unwrap();
        let (one, other) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        one.connect(other.local_addr().unwrap()).unwrap();
        // SAFETY: descriptors that are open over the call.
        assert_eq!(unsafe { datagrams(one.as_raw_fd(), other.as_raw_fd()) }, 0);
    });
}

#[test]
fn a_full_queue_of_a_stranger_is_waited_for() {
    begin();
    crowd(4, |n| {
        let folder = Folder::new(&format!("datagrams-{n}"));
        let path = folder.path("socket");
        let reader = UnixDatagram::bind(&path).unwrap();
        let to = path.clone();
        let writer = spawn(move || {
            let socket = UnixDatagram::unbound().unwrap();
            for _ in 0..100 {
                socket.send_to(b"hello", &to).unwrap(); // more than the queue holds
            }
        });
        green::sleep(Duration::from_millis(20));
        for _ in 0..100 {
            assert_eq!(reader.recv(&mut [0; 16]).unwrap(), 5);
        }
        writer.join().unwrap();
    });
}

#[test]
fn all_that_is_written_goes() {
    const N: usize = 1 << 20;
    begin();
    crowd(4, |_| {
        let (near, mut far) = UnixStream::pair().unwrap();
        let reader = spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let mut all: u64 = 0;
            loop {
                match far.read(&mut buffer).unwrap() {
                    0 => return all,
                    n => all += n as u64,
                }
                std::thread::sleep(Duration::from_micros(20));
            }
        });
        let mut bytes = vec![0u8; N];
        // SAFETY: a descriptor and memory that live over the call.
        let line = unsafe { large(near.as_raw_fd(), bytes.as_mut_ptr().cast(), N) };
        assert_eq!(line, 0);
        drop(near);
        assert_eq!(reader.join().unwrap(), 9 * N as u64);
    });
}

#[test]
fn who_wants_all_gets_all() {
    begin();
    crowd(20, |_| {
        let (near, mut far) = tcp();
        let writer = spawn(move || {
            for byte in b'a'..=b'z' {
                green::sleep(SHORT);
                far.write_all(&[byte]).unwrap();
            }
        });
        // SAFETY: a descriptor that is open over the call.
        assert_eq!(unsafe { all_of_it(near.as_raw_fd()) }, 0);
        writer.join().unwrap();
    });
}

#[test]
fn a_timeout_is_one_for_the_whole_call() {
    begin();
    crowd(10, |_| {
        let (near, mut far) = tcp();
        near.set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let writer = spawn(move || {
            while far.write_all(&[1]).is_ok() {
                green::sleep(Duration::from_millis(20)); // never so long that a single wait is over
            }
        });
        let start = Instant::now();
        let mut buffer = [0u8; 4096];
        // SAFETY: a buffer and a descriptor that live over the call.
        let got = unsafe {
            libc::recv(
                near.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_WAITALL,
            )
        };
        assert!((1..4096).contains(&got), "{got}");
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
        drop(near);
        writer.join().unwrap();
    });
}

#[test]
fn descriptors_are_passed() {
    begin();
    crowd(20, |_| {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut one, other) = UnixStream::pair().unwrap();
        let taker = spawn(move || {
            // SAFETY: a descriptor that is open over the call.
            let fd: RawFd = unsafe { take_descriptor(far.as_raw_fd()) };
            assert!(fd >= 0);
            // SAFETY: the call has just got it, for us alone.
            let mut passed = unsafe { UnixStream::from_raw_fd(fd) };
            passed.write_all(b"over there").unwrap();
        });
        green::yield_now();
        // SAFETY: descriptors that are open over the call.
        assert_eq!(
            unsafe { pass_descriptor(near.as_raw_fd(), other.as_raw_fd()) },
            0
        );
        drop(other);
        taker.join().unwrap();
        let mut text = String::new();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "over there");
    });
}

#[test]
fn names_and_addresses() {
    begin();
    // SAFETY: takes nothing.
    assert_eq!(crowd(20, |_| unsafe { names() }), [0; 20]);
}

#[test]
fn threads_of_c_are_cancelled() {
    begin();
    crowd(5, |_| {
        let (silent, _far) = UnixStream::pair().unwrap();
        // SAFETY: a descriptor that is open over the call.
        assert_eq!(unsafe { cancel(silent.as_raw_fd()) }, 0);
    });
}
