use super::{
    FullListener, LONG, OnDrop, SHORT, eventually, everywhere, ms, on_worker, until_waiting,
};
use crate::net::{TcpListener, TcpStream, readable};
use crate::{Event, JoinError, Queue, TimedOut, Timeout, select, sleep, spawn, spawn_later, wait};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, addr) = listener.accept_timeout(LONG).unwrap();
    assert_eq!(addr, client.local_addr().unwrap());
    (client, server)
}

/// Writes until that fails. What fits between two ends that nobody reads is not known before.
fn flood(mut stream: &TcpStream) -> std::io::Error {
    loop {
        if let Err(error) = stream.write(&[7; 64 * 1024]) {
            return error;
        }
    }
}

/// Writes until nothing more fits, for now.
fn fill(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    assert_eq!(flood(stream).kind(), ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
}

#[test]
fn a_stream_has_the_methods_of_std() {
    everywhere(|| {
        let (mut client, mut server) = pair();
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        client.set_ttl(5).unwrap();
        assert_eq!(client.ttl().unwrap(), 5);
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b"cd")];
        assert_eq!(client.write_vectored(&parts).unwrap(), 4);
        client.flush().unwrap();
        let mut two = [0; 2];
        assert_eq!(server.peek(&mut two).unwrap(), 2);
        assert_eq!(&two, b"ab");
        let (mut one, mut rest) = ([0; 1], [0; 8]);
        let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut rest)];
        assert_eq!(server.read_vectored(&mut bufs).unwrap(), 4, "a short read");
        assert_eq!((&one, &rest[..3]), (b"a", &b"bcd"[..]));
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut rest).unwrap(), 0);
        server.write_all(b"bye").unwrap();
        drop(server);
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "bye");
        assert!(client.take_error().unwrap().is_none());
    });
}

#[test]
fn a_read_waits_and_a_clone_is_the_same_socket() {
    everywhere(|| {
        let (client, server) = pair();
        let other = client.try_clone().unwrap();
        let later = spawn_later(ms(5), move || {
            (&server).write_all(b"later").map(|()| server)
        });
        let mut buf = [0; 5];
        (&other).read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"later");
        client.set_read_timeout(Some(ms(1))).unwrap();
        assert_eq!(other.read_timeout().unwrap(), Some(ms(1)));
        later.join().unwrap().unwrap();
    });
}

#[test]
fn timeouts_are_errors_of_their_own() {
    everywhere(|| {
        let (mut client, server) = pair();
        let zero = client.set_read_timeout(Some(ms(0))).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
        client.set_read_timeout(Some(SHORT)).unwrap();
        client.set_write_timeout(Some(SHORT)).unwrap();
        let start = Instant::now();
        let error = client.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= SHORT);
        assert_eq!(flood(&client).kind(), ErrorKind::TimedOut);
        // The socket is as good as before.
        (&server).write_all(b"x").unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn an_enclosing_timeout_ends_any_operation() {
    everywhere(|| {
        let (client, _server) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let reading = Timeout::run(SHORT, || (&client).read(&mut [0; 1]));
        assert_eq!(reading.unwrap_err(), TimedOut);
        let writing = Timeout::run(SHORT, || flood(&client));
        assert_eq!(writing.unwrap_err(), TimedOut);
        let accepting = Timeout::run(SHORT, || listener.accept());
        assert_eq!(accepting.unwrap_err(), TimedOut);
        let full = FullListener::new();
        let addr = full.addr;
        let connecting = Timeout::run(SHORT, || TcpStream::connect(addr));
        assert_eq!(connecting.unwrap_err(), TimedOut);
    });
}

#[test]
fn a_kill_ends_any_operation_and_runs_destructors() {
    for worker in 0..2 {
        let (client, _server) = pair();
        let client = Arc::new(client);
        let full = FullListener::new();
        let addr = full.addr;
        let dropped = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = |dropped: &Arc<std::sync::atomic::AtomicUsize>| {
            let dropped = dropped.clone();
            OnDrop(move || {
                dropped.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            })
        };
        let (reader, writer) = (client.clone(), client.clone());
        let (c1, c2, c3, c4) = (
            count(&dropped),
            count(&dropped),
            count(&dropped),
            count(&dropped),
        );
        let threads = [
            on_worker(worker, move || {
                let _count = c1;
                let _ = (&*reader).read(&mut [0; 1]);
            }),
            on_worker(worker, move || {
                let _count = c2;
                flood(&writer);
            }),
            on_worker(worker, move || {
                let _count = c3;
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let _ = listener.accept();
            }),
            on_worker(worker, move || {
                let _count = c4;
                let _ = TcpStream::connect(addr);
            }),
        ];
        for thread in threads {
            until_waiting(&thread.name());
            thread.kill();
            assert!(matches!(thread.join(), Err(JoinError::Killed)));
        }
        assert_eq!(dropped.load(std::sync::atomic::Ordering::SeqCst), 4);
    }
}

#[test]
fn one_reads_while_another_writes_on_whatever_thread() {
    for reader in [Some(0), Some(1), None] {
        let (client, server) = pair();
        let client = Arc::new(client);
        const LEN: usize = 4 * 1024 * 1024;
        let read = {
            let client = client.clone();
            move || {
                let mut sum = 0_u64;
                let mut buf = vec![0; 100_000];
                loop {
                    match (&*client).read(&mut buf).unwrap() {
                        0 => return sum,
                        n => sum += buf[..n].iter().map(|b| u64::from(*b)).sum::<u64>(),
                    }
                }
            }
        };
        // The peer sends back what it gets, in pieces of its own.
        let echo = on_worker(1, move || {
            let mut buf = vec![0; 77_777];
            loop {
                match (&server).read(&mut buf).unwrap() {
                    0 => return server.shutdown(Shutdown::Write).unwrap(),
                    n => (&server).write_all(&buf[..n]).unwrap(),
                }
            }
        });
        let (green, os) = match reader {
            Some(worker) => (Some(on_worker(worker, read)), None),
            None => (None, Some(std::thread::spawn(read))),
        };
        let writer = on_worker(0, move || {
            (&*client).write_all(&vec![1; LEN]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        writer.join().unwrap();
        echo.join().unwrap();
        let sum = green
            .map(|thread| thread.join().unwrap())
            .or_else(|| os.map(|thread| thread.join().unwrap()));
        assert_eq!(sum, Some(LEN as u64));
    }
}

#[test]
fn a_socket_moves_between_workers_and_os_threads() {
    let (client, server) = pair();
    let echo = on_worker(0, move || {
        let mut byte = [0];
        while (&server).read(&mut byte).unwrap() == 1 {
            sleep(ms(1)); // so that the other side has to wait
            (&server).write_all(&byte).unwrap();
        }
    });
    let mut client = client;
    for turn in 0..30_u8 {
        let ask = move || {
            client.write_all(&[turn]).unwrap();
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [turn]);
            client
        };
        client = match turn % 3 {
            2 => std::thread::spawn(ask).join().unwrap(),
            worker => on_worker(worker.into(), ask).join().unwrap(),
        };
    }
    drop(client);
    echo.join().unwrap();
}

#[test]
fn several_may_wait_for_the_same_socket() {
    everywhere(|| {
        let (client, server) = pair();
        let client = Arc::new(client);
        let got = Queue::new(3);
        let threads = [0, 0, 1].map(|worker| {
            let (client, got) = (client.clone(), got.clone());
            on_worker(worker, move || {
                let mut byte = [0];
                (&*client).read_exact(&mut byte).unwrap();
                got.put(byte[0]).unwrap();
            })
        });
        for thread in &threads {
            until_waiting(&thread.name());
        }
        let mut all = Vec::new();
        for n in 1..=3 {
            (&server).write_all(&[n]).unwrap();
            all.push(got.get_timeout(LONG).unwrap().unwrap());
        }
        assert_eq!(all, [1, 2, 3]);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_thousand_sleeping_readers_are_woken_each_by_its_own() {
    const MANY: usize = 1000; // two descriptors each
    crate::sys::raise_descriptor_limit();
    let mut servers = Vec::new();
    let got = Queue::new(MANY);
    let readers: Vec<_> = (0..MANY)
        .map(|n| {
            let (client, server) = pair();
            servers.push(server);
            let got = got.clone();
            on_worker(n, move || {
                let mut number = [0; 8];
                (&client).read_exact(&mut number).unwrap();
                got.put((n, usize::from_ne_bytes(number))).unwrap();
            })
        })
        .collect();
    for reader in &readers {
        until_waiting(&reader.name());
    }
    for (n, mut server) in servers.iter().enumerate().rev() {
        server.write_all(&n.to_ne_bytes()).unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
    let mut all: Vec<_> = (0..MANY).map(|_| got.get().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq((0..MANY).map(|n| (n, n))));
}

#[test]
fn a_shutdown_ends_the_waits_of_others() {
    everywhere(|| {
        let (client, _server) = pair();
        let client = Arc::new(client);
        let (reader, writer) = (client.clone(), client.clone());
        let reader = on_worker(0, move || (&*reader).read(&mut [0; 1]).unwrap());
        let writer = on_worker(1, move || flood(&writer).kind());
        until_waiting(&reader.name());
        until_waiting(&writer.name());
        client.shutdown(Shutdown::Both).unwrap();
        assert_eq!(reader.join().unwrap(), 0);
        assert_eq!(writer.join().unwrap(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn select_knows_sockets() {
    everywhere(|| {
        let (client, server) = pair();
        let event = Event::new();
        let objects: [&dyn crate::Waitable; 2] = [&event, &server.readable()];
        assert_eq!(select(&objects, Some(ms(5))), Err(TimedOut));
        let later = spawn_later(ms(5), move || (&client).write_all(b"x").map(|()| client));
        assert_eq!(select(&objects, Some(LONG)), Ok(1));
        assert_eq!((&server).read(&mut [0; 8]).unwrap(), 1, "nothing was taken");
        let setter = {
            let event = event.clone();
            spawn_later(ms(5), move || event.set())
        };
        assert_eq!(select(&objects, Some(LONG)), Ok(0));
        let client = later.join().unwrap().unwrap();
        // Until the other side's kernel takes no more either.
        while select(&[&client.writable()], Some(ms(5))).is_ok() {
            fill(&client);
        }
        let both: [&dyn crate::Waitable; 2] = [&client.readable(), &client.writable()];
        assert_eq!(select(&both, Some(ms(5))), Err(TimedOut));
        (&server).write_all(b"y").unwrap();
        assert_eq!(select(&both, Some(LONG)), Ok(0));
        drop(server);
        let ready = wait(&both, Some(LONG), None);
        assert_eq!(ready.len(), 2, "a broken connection does not wait");
        setter.join().unwrap();
    });
}

#[test]
fn other_descriptors_can_be_waited_for() {
    everywhere(|| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        assert_eq!(select(&[&readable(&reader)], Some(ms(5))), Err(TimedOut));
        let later = spawn_later(ms(5), move || writer.write_all(b"x").map(|()| writer));
        assert_eq!(select(&[&readable(&reader)], Some(LONG)), Ok(0));
        later.join().unwrap().unwrap();
        // Epoll does not take a regular file, which is always ready.
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(select(&[&readable(&file)], Some(LONG)), Ok(0));
    });
}

#[test]
fn std_sockets_come_and_go() {
    everywhere(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let listener = TcpListener::from(listener);
        let client = std::net::TcpStream::connect(addr).unwrap();
        client.set_read_timeout(Some(SHORT)).unwrap();
        let mut client = TcpStream::from(client);
        let (mut server, _) = listener.accept().unwrap();
        let error = client.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "it came with the socket");
        client.set_read_timeout(Some(LONG)).unwrap();
        server.write_all(b"1").unwrap();
        let mut client = std::net::TcpStream::from(client);
        assert_eq!(client.read_timeout().unwrap(), Some(LONG));
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 1);
        server.write_all(b"2").unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 1, "it blocks again");
    });
}

#[test]
fn refused_and_senseless_addresses_are_errors_that_name_them() {
    everywhere(|| {
        let addr = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let error = TcpStream::connect(addr).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
        for senseless in ["nonsense", "127.0.0.1", "127.0.0.1:port", ":"] {
            let error = TcpStream::connect(senseless).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{senseless}");
            assert!(error.to_string().contains(senseless), "{error}");
        }
        let nowhere: [SocketAddr; 0] = [];
        assert!(TcpStream::connect(nowhere).is_err());
        // A broadcast address cannot be connected to, whatever the network.
        assert!(TcpStream::connect_timeout("255.255.255.255:9", LONG).is_err());
    });
}

#[test]
fn unwinding_destructors_do_not_wait_for_sockets() {
    let (client, _server) = pair();
    let seen = Queue::new(4);
    let full = FullListener::new();
    let addr = full.addr;
    let thread = {
        let seen = seen.clone();
        spawn(move || {
            let _at_end = OnDrop(|| {
                let kind = (&client).read(&mut [0; 1]).unwrap_err().kind();
                seen.try_put(kind).unwrap();
                let kind = TcpStream::connect(addr).unwrap_err().kind();
                seen.try_put(kind).unwrap();
            });
            sleep(LONG);
        })
    };
    until_waiting(&thread.name());
    thread.kill();
    assert!(thread.join().is_err());
    eventually(|| seen.len() == 2);
    assert_eq!(seen.try_get(), Ok(Some(ErrorKind::TimedOut)));
    assert_eq!(seen.try_get(), Ok(Some(ErrorKind::TimedOut)));
}

#[test]
fn a_peer_that_is_always_ready_does_not_keep_the_worker() {
    let (client, server) = pair();
    let done = Event::new();
    let flood = on_worker(0, move || while (&client).write(&[0; 1]).is_ok() {});
    let drain = std::thread::spawn({
        let done = done.clone();
        move || {
            let mut buf = [0; 65536];
            while !done.is_set() {
                let _some = (&server).read(&mut buf).unwrap();
            }
        }
    });
    on_worker(0, move || done.set())
        .join_timeout(LONG)
        .unwrap()
        .unwrap();
    drain.join().unwrap();
    flood.join().unwrap();
}

/// A socket's mode is shared by all its copies.
#[test]
fn a_clone_that_goes_back_to_std_makes_nobody_block() {
    for worker in 0..2 {
        let (one, other) = pair();
        let clone = one.try_clone().unwrap();
        let std: std::net::TcpStream = one.into();
        let clone = Arc::new(clone);
        let reading = clone.clone();
        let reader = on_worker(worker, move || (&*reading).read(&mut [0; 10]).unwrap());
        let writing = clone.clone();
        let writer = on_worker(worker, move || (&*writing).write_all(&vec![7; 16 << 20]));
        until_waiting(&reader.name());
        until_waiting(&writer.name());
        assert_eq!(
            on_worker(worker, || 1).join_timeout(LONG).unwrap().unwrap(),
            1
        );
        writer.kill();
        assert!(matches!(
            writer.join_timeout(LONG),
            Some(Err(JoinError::Killed))
        ));
        (&other).write_all(b"abc").unwrap();
        assert_eq!(reader.join_timeout(LONG).unwrap().unwrap(), 3);
        drop(std);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clone = listener.try_clone().unwrap();
    let std: std::net::TcpListener = listener.into();
    let accepting = on_worker(0, move || clone.accept_timeout(ms(20)).map(drop));
    assert_eq!(on_worker(0, || 1).join_timeout(LONG).unwrap().unwrap(), 1);
    let nobody = accepting.join().unwrap().unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::TimedOut);
    drop(std);
}
