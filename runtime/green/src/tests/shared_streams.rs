//! Several green threads wait for one connection of the server's kind: `may` would destroy the first.

use super::{Dice, LONG, OnDrop, ms, on_worker, until_waiting};
use crate::embed::{Stream, deadline_in};
use crate::{Builder, Greenlet, Queue, net, sleep, spawn_local, yield_now};
use std::cell::Cell;
use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;

fn pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    let far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(LONG)).unwrap();
    (Stream::new(near).unwrap(), far)
}

fn read_all(stream: &Stream) -> usize {
    let mut sum = 0;
    while let Ok(1..) = stream.read(deadline_in(LONG), |bytes| sum += bytes.len()) {}
    sum
}

/// Writes until the socket takes nothing more.
fn fill(stream: &Stream) -> usize {
    let mut sum = 0;
    while let Ok(n) = stream.write_now(&[IoSlice::new(&[7; 64 * 1024])]) {
        sum += n;
    }
    sum
}

fn named<T: 'static>(name: &str, body: impl FnOnce() -> T + 'static) -> Greenlet<T> {
    let thread = Builder::new().name(name).spawn_local(body);
    until_waiting(name);
    thread
}

#[test]
fn two_readers_share_what_comes_and_neither_is_lost() {
    on_worker(0, || {
        let (stream, mut far) = pair();
        let stream = Rc::new(stream);
        let readers = ["a", "b", "c"].map(|name| {
            let stream = stream.clone();
            named(&format!("shared reader {name}"), move || read_all(&stream))
        });
        for _ in 0..100 {
            far.write_all(&[1; 100]).unwrap();
            yield_now();
        }
        drop(far);
        let sum: usize = readers.map(|reader| reader.join().unwrap()).iter().sum();
        assert_eq!(sum, 10_000);
    })
    .join()
    .unwrap();
}

#[test]
fn one_reads_while_others_write() {
    on_worker(0, || {
        let (stream, mut far) = pair();
        let stream = Rc::new(stream);
        let filled = fill(&stream);
        let reading = stream.clone();
        let reader = named("shared: reads", move || read_all(&reading));
        let writers = ["shared: writes 1", "shared: writes 2"].map(|name| {
            let stream = stream.clone();
            named(name, move || {
                let slice = [IoSlice::new(b"x")];
                stream.write_vectored(&slice, deadline_in(LONG)).unwrap()
            })
        });
        far.write_all(b"something to read").unwrap();
        sleep(ms(5)); // those who wait to write hear of it, and have nothing to do
        let drain = std::thread::spawn(move || {
            let mut left = filled + 2;
            let mut buf = vec![0; 64 * 1024];
            while left > 0 {
                left -= far.read(&mut buf).unwrap();
            }
            far.shutdown(Shutdown::Write).unwrap();
        });
        assert_eq!(writers.map(|writer| writer.join().unwrap()), [1, 1]);
        assert_eq!(reader.join().unwrap(), 17);
        drain.join().unwrap();
    })
    .join()
    .unwrap();
}

/// Each of those who wait is unwound once, by its own kill, wherever it is killed; and what comes
/// reaches those who are left.
#[test]
fn killed_at_any_point_the_others_stay() {
    on_worker(1, || {
        let mut dice = Dice(0x5eed);
        for _ in 0..50 {
            let (stream, mut far) = pair();
            let stream = Rc::new(stream);
            let full = dice.below(2) == 0;
            if full {
                fill(&stream);
            }
            let ended = Rc::new(Cell::new(0));
            let begun = Rc::new(Cell::new(0));
            let mut threads: Vec<_> = (0..4)
                .map(|n| {
                    let (stream, ended) = (stream.clone(), ended.clone());
                    let begun = begun.clone();
                    spawn_local(move || {
                        let _count = OnDrop(|| ended.set(ended.get() + 1));
                        begun.set(begun.get() + 1);
                        if n % 2 == 1 && full {
                            let slice = [IoSlice::new(b"x")];
                            let _taken_or_not = stream.write_vectored(&slice, deadline_in(LONG));
                        } else {
                            read_all(&stream);
                        }
                    })
                })
                .collect();
            while begun.get() < 4 {
                yield_now();
            }
            for _ in 0..dice.below(4) {
                yield_now();
            }
            let mut killed = 0;
            for _ in 0..dice.below(4) {
                if dice.below(2) == 0 {
                    far.write_all(b"news").unwrap();
                }
                let victim = threads.swap_remove(dice.below(threads.len() as u64) as usize);
                victim.kill();
                let _killed_or_done = victim.join();
                killed += 1;
                assert_eq!(ended.get(), killed, "nobody else was unwound");
            }
            drop(far);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(ended.get(), 4);
        }
    })
    .join()
    .unwrap();
}

#[test]
fn a_stream_that_goes_elsewhere_is_waited_for_there() {
    let (stream, mut far) = on_worker(0, pair).join().unwrap();
    let reader = Builder::new()
        .name("far reader")
        .worker(1 % super::workers())
        .spawn(move || read_all(&stream));
    until_waiting("far reader");
    far.write_all(b"12345").unwrap();
    drop(far);
    assert_eq!(reader.join().unwrap(), 5);
    let (stream, mut far) = on_worker(0, pair).join().unwrap();
    far.write_all(b"123").unwrap();
    drop(far);
    assert_eq!(read_all(&stream), 3, "on an OS thread");
}

/// How often a blocking clone of std's takes something that we have seen, and how long an answer may take.
const RACES: usize = 2000;

/// Lets an OS thread with `theirs`, which blocks, and a green thread with `ours` compete for what `send`
/// gives to both, one thing at a time. The worker must go on whoever takes it.
fn compete(theirs: impl Fn() + Send + 'static, ours: impl Fn() + Send + 'static, send: impl Fn()) {
    let taken = Queue::new(2);
    let (one, other) = (taken.clone(), taken.clone());
    let _left_behind = std::thread::spawn(move || {
        loop {
            theirs();
            if one.put(()).is_err() {
                return;
            }
        }
    });
    let ours = on_worker(0, move || {
        loop {
            ours();
            if other.put(()).is_err() {
                return;
            }
        }
    });
    for race in 0..RACES {
        send();
        assert!(
            taken.get_timeout(LONG).is_ok(),
            "race {race}: nobody takes it"
        );
        let turn = on_worker(0, || ()).join_timeout(LONG);
        assert!(turn.is_some(), "race {race}: the worker is held up");
    }
    taken.close();
    ours.kill();
}

#[test]
fn a_clone_that_blocks_may_take_the_datagram_that_we_have_seen() {
    let ours = net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = ours.local_addr().unwrap();
    let theirs = std::net::UdpSocket::from(ours.try_clone().unwrap());
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    compete(
        move || drop(theirs.recv(&mut [0; 8])),
        move || drop(ours.recv_from(&mut [0; 8])),
        || drop(sender.send_to(b"x", addr)),
    );
}

#[test]
fn a_clone_that_blocks_may_take_the_connection_that_we_have_seen() {
    let ours = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = ours.local_addr().unwrap();
    let theirs = TcpListener::from(ours.try_clone().unwrap());
    compete(
        move || drop(theirs.accept()),
        move || drop(ours.accept()),
        || drop(TcpStream::connect(addr)),
    );
}
