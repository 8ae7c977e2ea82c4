//! std's sockets: what they promise, they promise on a green thread.

use greenway::green::{self, JoinError, Timeout, spawn};
use greenway_monkey_tests::{Folder, begin, crowd, until};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(30);

/// A pair of connected sockets.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

#[test]
fn timeouts_of_sockets_count() {
    begin();
    crowd(100, |_| {
        let (mut near, _far) = pair();
        near.set_read_timeout(Some(SHORT)).unwrap();
        let start = Instant::now();
        assert_eq!(
            near.read(&mut [0; 1]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        assert!(start.elapsed() >= SHORT);
        near.set_write_timeout(Some(SHORT)).unwrap();
        let error = loop {
            if let Err(error) = near.write_all(&[0; 1 << 20]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(
            udp.recv_from(&mut [0; 1]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
    });
}

#[test]
fn what_does_not_block_does_not_wait() {
    begin();
    crowd(20, |_| {
        let (mut near, _far) = pair();
        near.set_nonblocking(true).unwrap();
        assert_eq!(
            near.read(&mut [0; 1]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        near.set_nonblocking(false).unwrap();
        near.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(
            near.read(&mut [0; 1]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
    });
}

#[test]
fn connecting_is_refused_or_times_out() {
    begin();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    crowd(50, move |_| {
        let error = TcpStream::connect(closed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = TcpStream::connect_timeout(&closed, SHORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
    // A listener whose queue is full answers nobody.
    let full = green::spawn(|| {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: makes the queue shorter; passes no memory.
        assert_eq!(unsafe { libc::listen(socket.as_raw_fd(), 0) }, 0);
        let addr = socket.local_addr().unwrap();
        let mut held = Vec::new();
        for _ in 0..20 {
            match TcpStream::connect_timeout(&addr, SHORT) {
                Ok(stream) => held.push(stream),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TimedOut);
                    return;
                }
            }
        }
        panic!("a queue of length 0 takes no 20 connections");
    });
    full.join().unwrap();
}

#[test]
fn halves_are_closed_and_resets_are_seen() {
    begin();
    crowd(50, |_| {
        let (mut near, mut far) = pair();
        let reader = spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).unwrap();
            far.write_all(b"got it").unwrap();
            all.len()
        });
        near.write_all(&[7; 100_000]).unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).unwrap();
        assert_eq!(
            (answer.as_str(), reader.join().unwrap()),
            ("got it", 100_000)
        );

        let (mut near, far) = pair();
        let reader = spawn(move || near.read(&mut [0; 1]).map_err(|error| error.kind()));
        let far = socket2_linger(far);
        drop(far);
        assert_eq!(reader.join().unwrap(), Err(ErrorKind::ConnectionReset));
    });
}

/// Closing it is a reset.
fn socket2_linger(stream: TcpStream) -> TcpStream {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // SAFETY: the option is a `linger`, which lives over the call.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of_val(&linger) as u32,
        )
    };
    assert_eq!(result, 0);
    stream
}

#[test]
fn a_write_takes_all_and_waits_for_a_slow_reader() {
    begin();
    crowd(8, |_| {
        let (mut near, mut far) = pair();
        let writer = spawn(move || {
            // One call: a blocking socket takes all of it.
            assert_eq!(near.write(&vec![3; 8 << 20]).unwrap(), 8 << 20);
        });
        let mut got = 0;
        let mut buffer = vec![0; 1 << 16];
        while got < 8 << 20 {
            thread::sleep(Duration::from_micros(50));
            got += far.read(&mut buffer).unwrap();
        }
        writer.join().unwrap();
    });
}

#[test]
fn datagrams_and_unix_sockets() {
    begin();
    crowd(50, |n| {
        let (one, other) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        let to = other.local_addr().unwrap();
        let receiver = spawn(move || {
            let mut buffer = [0; 16];
            let (length, _) = other.recv_from(&mut buffer).unwrap();
            buffer[..length].to_vec()
        });
        green::yield_now();
        one.send_to(&[n as u8; 3], to).unwrap();
        assert_eq!(receiver.join().unwrap(), [n as u8; 3]);

        let folder = Folder::new(&format!("stream-{n}"));
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"hello").unwrap();
        });
        let mut text = String::new();
        UnixStream::connect(&path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "hello");
        server.join().unwrap();
    });
}

#[test]
fn closing_ends_the_waits_of_others() {
    begin();
    crowd(50, |_| {
        let (near, far) = pair();
        let number = near.as_raw_fd();
        let reader = spawn(move || {
            let mut one = 0u8;
            // SAFETY: one byte, which lives over the call. The descriptor is closed meanwhile.
            let result = unsafe { libc::recv(number, (&raw mut one).cast(), 1, 0) };
            (result, std::io::Error::last_os_error().raw_os_error())
        });
        until("it waits", || waits_for(reader.number()));
        drop(near);
        assert_eq!(reader.join().unwrap(), (-1, Some(libc::EBADF)));
        drop(far);
    });
}

/// Whether a green thread waits for anything.
fn waits_for(number: u64) -> bool {
    let tasks = green::green_threads();
    let task = tasks.iter().find(|task| task.number == number);
    task.is_some_and(|task| matches!(task.state, green::TaskState::Waiting(_)))
}

#[test]
fn numbers_that_are_used_again_disturb_nobody() {
    begin();
    // Each closes what others wait for, and opens new ones under the same numbers.
    crowd(16, |_| {
        for _ in 0..200 {
            let (near, mut far) = pair();
            let copy = near.try_clone().unwrap();
            let reader = spawn(move || {
                let mut copy = copy;
                let mut one = [0];
                copy.read_exact(&mut one).map(|()| one[0])
            });
            green::yield_now();
            drop(near);
            far.write_all(&[9]).unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), 9);
        }
    });
}

#[test]
fn a_number_that_is_given_to_another_socket_ends_the_wait() {
    begin();
    let (near, _far) = pair();
    let (other, _kept) = pair();
    let number = near.as_raw_fd();
    let reader = spawn(move || {
        let mut one = 0u8;
        // SAFETY: as in `closing_ends_the_waits_of_others`.
        let result = unsafe { libc::read(number, (&raw mut one).cast(), 1) };
        (result, std::io::Error::last_os_error().raw_os_error())
    });
    until("it waits", || waits_for(reader.number()));
    // SAFETY: both are open; the second is `near`'s, which goes on with what the first one is.
    assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), number) }, number);
    assert_eq!(reader.join().unwrap(), (-1, Some(libc::EBADF)));
    drop(near);
}

#[test]
fn several_accept_from_one_listener() {
    begin();
    const N: usize = 200;
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let addr = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let serve = {
        let (listener, accepted) = (listener.clone(), accepted.clone());
        move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                if accepted.fetch_add(1, Ordering::SeqCst) >= N {
                    return;
                }
                stream.write_all(b"!").unwrap();
            }
        }
    };
    let green: Vec<_> = (0..8).map(|_| spawn(serve.clone())).collect();
    let os: Vec<_> = (0..3).map(|_| thread::spawn(serve.clone())).collect();
    crowd(N, move |_| {
        let mut text = String::new();
        TcpStream::connect(addr)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "!");
    });
    for _ in 0..11 {
        TcpStream::connect(addr).unwrap(); // one for each, so that it ends
    }
    for thread in green {
        thread.join().unwrap();
    }
    for thread in os {
        thread.join().unwrap();
    }
}

#[test]
fn limits_and_kills_end_what_waits() {
    begin();
    crowd(50, |_| {
        let (mut near, _far) = pair();
        let start = Instant::now();
        let result = Timeout::run(SHORT, || {
            let error = near.read(&mut [0; 1]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
            // Every later wait fails at once, and the next one of our own unwinds.
            assert!(near.read(&mut [0; 1]).is_err());
            green::sleep(Duration::MAX);
        });
        assert!(result.is_err() && start.elapsed() >= SHORT);
        // The limit is over, and the socket is as it was.
        near.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(
            near.read(&mut [0; 1]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );

        let (near, _far) = pair();
        let killed = spawn(move || {
            let mut near = near;
            thread::sleep(Duration::ZERO);
            while near.read(&mut [0; 1]).is_err() {} // one that swallows it keeps no worker
            green::sleep(Duration::MAX);
        });
        let number = killed.number();
        until("it waits", || waits_for(number));
        killed.kill();
        let others = spawn(|| thread::sleep(SHORT));
        others.join().unwrap();
        drop(_far);
        assert!(matches!(killed.join(), Err(JoinError::Killed)));
    });
}

#[test]
fn pipes() {
    begin();
    crowd(50, |_| {
        let mut ends = [0; 2];
        // SAFETY: two numbers, which live over the call.
        assert_eq!(
            unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) },
            0
        );
        // SAFETY: the call has just opened them, for us alone.
        let [mut read, mut write] = ends.map(|fd| unsafe { std::fs::File::from_raw_fd(fd) });
        let writer = spawn(move || {
            // More than a pipe holds, in one call.
            assert_eq!(write.write(&vec![1; 1 << 20]).unwrap(), 1 << 20);
        });
        let mut all = Vec::new();
        read.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 1 << 20);
        writer.join().unwrap();
    });
}

#[test]
fn files_are_files() {
    begin();
    let folder = Folder::new("files");
    let file = folder.path("file");
    crowd(1, move |_| {
        std::fs::write(&file, vec![5; 3 << 20]).unwrap();
        assert_eq!(std::fs::read(&file).unwrap().len(), 3 << 20);
        let mut copy = std::fs::File::create(file.with_extension("copy")).unwrap();
        std::io::copy(&mut std::fs::File::open(&file).unwrap(), &mut copy).unwrap();
        copy.sync_all().unwrap();
        assert_eq!(copy.metadata().unwrap().len(), 3 << 20);
    });
}

#[test]
fn the_dump_tells_what_is_waited_for() {
    begin();
    let (mut near, _far) = pair();
    let peer = near.peer_addr().unwrap();
    let reader = spawn(move || near.read(&mut [0; 1]).is_err());
    let number = reader.number();
    let line = move || {
        let tasks = green::green_threads();
        let task = tasks.iter().find(|task| task.number == number);
        task.map(ToString::to_string).unwrap_or_default()
    };
    until("it waits", || line().contains(&format!("recv of {peer}")));
    reader.kill();
    assert!(reader.join().unwrap());
}

#[test]
fn names_are_looked_up_elsewhere() {
    begin();
    crowd(50, |_| {
        let addrs = std::net::ToSocketAddrs::to_socket_addrs("localhost:80").unwrap();
        assert!(addrs.into_iter().all(|addr| addr.ip().is_loopback()));
        assert!(std::net::ToSocketAddrs::to_socket_addrs("no-such-name.invalid:80").is_err());
    });
}

#[test]
fn children() {
    begin();
    let start = Instant::now();
    crowd(40, |n| {
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("sleep 0.3; echo {n}; exit 3")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{n}\n"));
    });
    assert!(
        start.elapsed() < Duration::from_secs(12),
        "one after the other"
    );
}
