//! Pools of connections: how they are got, when they are closed, and those of drivers that block.

mod blocking;
mod closing;
mod getting;

use super::{Dice, LONG, OnDrop, SHORT, eventually, everywhere, ms, on_worker, until_waiting};
use crate::{
    ConnectionPool, ConnectionPoolBuilder, Event, JoinError, NoConnection, PooledConnection,
    Semaphore, Timeout, spawn, yield_now,
};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The books of the other side: who is connected, and how.
#[derive(Clone, Default)]
struct Server {
    connected: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    refuses: Arc<AtomicBool>,
}

/// A connection, numbered from 1.
struct Connection {
    number: usize,
    alive: bool,
    server: Server,
    /// Somebody uses it.
    busy: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.connected.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server {
    fn pool(&self) -> ConnectionPoolBuilder<Connection> {
        let server = self.clone();
        let number = AtomicUsize::new(0);
        ConnectionPool::builder(move || {
            if server.refuses.load(Ordering::SeqCst) {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            let connected = server.connected.fetch_add(1, Ordering::SeqCst) + 1;
            server.most.fetch_max(connected, Ordering::SeqCst);
            Ok(Connection {
                number: number.fetch_add(1, Ordering::SeqCst) + 1,
                alive: true,
                server: server.clone(),
                busy: false,
            })
        })
    }

    fn connected(&self) -> usize {
        self.connected.load(Ordering::SeqCst)
    }
}

fn number(pool: &ConnectionPool<Connection>) -> usize {
    pool.get().expect("there is one").number
}

/// What would deadlock if one of the user's functions was called under a lock of the pool.
#[test]
fn functions_of_the_user_may_use_the_pool() {
    struct Nosy(Arc<OnceLock<ConnectionPool<Nosy>>>);
    impl Nosy {
        fn look(&self) -> bool {
            let pool = self.0.get().expect("set before anybody connects");
            pool.stats().in_use <= 2
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            assert!(self.look());
        }
    }
    everywhere(|| {
        let place = Arc::new(OnceLock::new());
        let known = place.clone();
        let pool = ConnectionPool::builder(move || {
            let connection = Nosy(known.clone());
            assert!(connection.look());
            Ok::<_, String>(connection)
        })
        .max_size(2)
        .check(|connection| connection.look())
        .check_after(Duration::ZERO)
        .broken(|connection| !connection.look())
        .idle_timeout(ms(5))
        .build();
        place.set(pool.clone()).unwrap();
        for _ in 0..3 {
            drop([(); 2].map(|()| pool.get().unwrap()));
        }
        eventually(|| pool.stats().idle == 0);
        drop(pool.get().unwrap());
        pool.close();
    });
}

/// Green threads of both workers and OS threads, connections that die, limits that pass and a killer
/// that goes round.
#[test]
fn a_storm() {
    const SIZE: usize = 3;
    let server = Server::default();
    let pool = server
        .pool()
        .max_size(SIZE)
        .check(|connection| connection.alive)
        .check_after(Duration::ZERO)
        .build();
    let books = pool.clone();
    crate::tests::storms::storm(4, move |dice: &mut Dice| {
        let patience = Duration::from_micros(dice.below(200));
        let got = match dice.below(3) {
            0 => books.get(),
            1 => books.get_timeout(patience),
            _ => match Timeout::run(patience, || books.get()) {
                Ok(got) => got,
                Err(_) => return,
            },
        };
        let Ok(mut connection) = got else { return };
        assert!(!connection.busy, "it has one borrower at a time");
        connection.busy = true;
        match dice.below(5) {
            0 => yield_now(),
            1 => connection.alive = false,
            2 => return PooledConnection::discard(connection),
            _ => {}
        }
        connection.busy = false;
    });
    assert!(server.most.load(Ordering::SeqCst) <= SIZE);
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0));
    assert_eq!(stats.idle, server.connected());
    let all = [(); SIZE].map(|()| pool.get_timeout(SHORT).unwrap());
    assert!(
        pool.get_timeout(Duration::ZERO).is_err(),
        "no place was made"
    );
    drop(all);
    pool.close();
    assert_eq!(server.connected(), 0);
}

/// A program that uses a pool before it starts a server has not chosen how its workers are to be.
#[test]
#[ignore = "in a process of its own"]
fn in_a_program_without_green_threads() {
    let server = Server::default();
    let pool = server.pool().idle_timeout(ms(1)).build();
    assert_eq!([number(&pool), number(&pool)], [1, 1]);
    assert!(
        crate::start(crate::Config::default()),
        "nobody has started them"
    );
    drop(pool.get().unwrap());
    eventually(|| server.connected() == 0);
}

#[test]
fn a_pool_does_not_start_the_workers() {
    crate::tests::passes_alone("connection_pools::in_a_program_without_green_threads");
}
