//! Sleeping, sockets and locks of std.

use greenway::green::{self, spawn};
use greenway_monkey_tests::begin;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_thousand_sleep_at_once() {
    begin();
    let start = Instant::now();
    let sleepers: Vec<_> = (0..1000)
        .map(|_| spawn(|| thread::sleep(Duration::from_millis(500))))
        .collect();
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
    assert!(
        start.elapsed() < Duration::from_secs(100),
        "{:?}",
        start.elapsed()
    );
    assert!(start.elapsed() >= Duration::from_millis(500));
}

#[test]
fn sockets_of_std() {
    begin();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = spawn(move || {
        for _ in 0..100 {
            let (mut stream, _) = listener.accept().unwrap();
            spawn(move || {
                let mut all = [0; 5];
                stream.read_exact(&mut all).unwrap();
                stream.write_all(&all).unwrap();
            });
        }
    });
    let clients: Vec<_> = (0..100)
        .map(|n| {
            spawn(move || {
                let mut stream = TcpStream::connect(addr).unwrap();
                let text = format!("{n:05}");
                thread::sleep(Duration::from_millis(10));
                stream.write_all(text.as_bytes()).unwrap();
                let mut back = String::new();
                stream.read_to_string(&mut back).unwrap();
                assert_eq!(back, text);
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    server.join().unwrap();
}

#[test]
fn locks_of_std() {
    begin();
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    let threads: Vec<_> = (0..50)
        .map(|_| {
            let shared = shared.clone();
            spawn(move || {
                for _ in 0..10 {
                    let mut count = shared.0.lock().unwrap();
                    thread::sleep(Duration::from_micros(100));
                    *count += 1;
                    shared.1.notify_all();
                }
            })
        })
        .collect();
    let mut count = shared.0.lock().unwrap();
    while *count < 500 {
        count = shared.1.wait(count).unwrap();
    }
    drop(count);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn channels_towards_os_threads() {
    begin();
    let receivers: Vec<_> = (0..50)
        .map(|_| {
            let (send, receive) = std::sync::mpsc::sync_channel::<u32>(1);
            let receiver = spawn(move || receive.iter().sum::<u32>());
            thread::spawn(move || (0..200).for_each(|n| send.send(n).unwrap()));
            receiver
        })
        .collect();
    for receiver in receivers {
        assert_eq!(receiver.join().unwrap(), 199 * 200 / 2);
    }
}

#[test]
fn a_kill_ends_what_waits() {
    begin();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let reader = spawn(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        green::sleep(Duration::from_secs(100)); // unwinds
    });
    let (_stream, _) = listener.accept().unwrap();
    green::sleep(Duration::from_millis(20));
    reader.kill();
    assert!(matches!(reader.join(), Err(green::JoinError::Killed)));
}

/// SQLite waits so for a lock, up to its busy timeout: with short sleeps, whose sum it counts.
#[test]
fn a_killed_loop_of_sleeps_takes_no_longer_than_another() {
    begin();
    let sleeper = spawn(|| {
        let start = Instant::now();
        for _ in 0..500 {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        green::sleep(Duration::MAX); // unwinds
    });
    green::sleep(Duration::from_millis(5));
    sleeper.kill();
    assert!(matches!(sleeper.join(), Err(green::JoinError::Killed)));
}
