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

#[test]
fn a_connection_is_used_again_and_the_youngest_first() {
    everywhere(|| {
        let server = Server::default();
        let pool = server.pool().max_size(3).build();
        assert_eq!(server.connected(), 0, "none before somebody needs one");
        let [a, b] = [(); 2].map(|()| pool.get().unwrap());
        assert_eq!((a.number, b.number), (1, 2));
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.idle, stats.max_size), (2, 0, 3));
        drop(a);
        drop(b);
        assert_eq!([number(&pool), number(&pool)], [2, 2]);
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.idle, stats.made), (0, 2, 2));
        drop(pool);
        assert_eq!(server.connected(), 0);
    });
}

#[test]
fn who_comes_too_many_waits_for_a_bounded_time_in_order() {
    on_worker(0, || {
        let pool = Server::default().pool().max_size(1).build();
        let taken = pool.get().unwrap();
        let late = pool.get_timeout(ms(2));
        assert!(matches!(late, Err(NoConnection::TimedOut)));
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads = [0, 1, 2].map(|n| {
            let (pool, order) = (pool.clone(), order.clone());
            spawn(move || {
                let connection = pool.get_timeout(LONG).unwrap();
                order.lock().unwrap().push(n);
                assert_eq!(connection.number, 1);
            })
        });
        for thread in &threads {
            until_waiting(&thread.name());
        }
        assert_eq!(pool.stats().waiting, 3);
        threads[1].kill();
        eventually(|| pool.stats().waiting == 2);
        drop(taken);
        let ends = threads.map(crate::Greenlet::join);
        assert!(matches!(ends[1], Err(JoinError::Killed)));
        assert_eq!(*order.lock().unwrap(), [0, 2]);
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.idle, stats.waiting), (0, 1, 0));
        assert_eq!((stats.made, stats.timed_out), (1, 1));
    })
    .join()
    .unwrap();
}

#[test]
fn what_goes_wrong_with_the_maker_is_told_to_who_asked() {
    everywhere(|| {
        let server = Server::default();
        let pool = server.pool().max_size(1).build();
        server.refuses.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let Err(NoConnection::Failed(error)) = pool.get() else {
                panic!("there is no server");
            };
            let error = error.downcast::<io::Error>().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
        server.refuses.store(false, Ordering::SeqCst);
        assert_eq!(number(&pool), 1);

        let panics = ConnectionPool::builder(|| -> Result<(), String> { panic!("no such host") })
            .max_size(1)
            .build();
        for _ in 0..3 {
            let get = AssertUnwindSafe(|| panics.get().map(drop));
            let payload = catch_unwind(get).unwrap_err();
            assert_eq!(*payload.downcast::<&str>().unwrap(), "no such host");
        }
        assert_eq!(panics.stats().in_use, 0);
    });
}

#[test]
fn one_who_is_killed_while_a_connection_is_made_leaves_nothing_behind() {
    everywhere(|| {
        let entered = Semaphore::new(0);
        let enter = entered.clone();
        let pool = ConnectionPool::builder(move || {
            enter.release();
            Event::new().wait();
            Ok::<_, String>(())
        })
        .max_size(1)
        .build();
        for _ in 0..2 {
            let victim = pool.clone();
            let victim = spawn(move || victim.get().map(drop));
            entered.acquire().unwrap().forget();
            victim.kill();
            assert!(matches!(victim.join(), Err(JoinError::Killed)));
        }
        assert_eq!(
            pool.stats(),
            crate::ConnectionPoolStats {
                max_size: 1,
                ..Default::default()
            }
        );
    });
}

#[test]
fn a_connection_that_has_died_is_replaced() {
    everywhere(|| {
        let server = Server::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let pool = server
            .pool()
            .max_size(2)
            .check(move |connection| {
                count.fetch_add(1, Ordering::SeqCst);
                connection.alive
            })
            .check_after(Duration::ZERO)
            .build();
        let [mut a, b] = [(); 2].map(|()| pool.get().unwrap());
        a.alive = false;
        drop(b);
        drop(a);
        assert_eq!(asked.load(Ordering::SeqCst), 0, "new ones are not asked");
        assert_eq!(number(&pool), 2, "the first one was dead");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        pool.get().unwrap().alive = false;
        assert_eq!(number(&pool), 3);
        assert_eq!(server.connected(), 1);
    });
}

#[test]
fn one_that_was_just_used_is_not_asked() {
    everywhere(|| {
        let pool = Server::default()
            .pool()
            .check(|_| panic!("it was used a moment ago"))
            .check_after(LONG)
            .build();
        assert_eq!([number(&pool), number(&pool)], [1, 1]);
    });
}

#[test]
fn one_that_comes_back_broken_is_closed() {
    everywhere(|| {
        let server = Server::default();
        let pool = server.pool().broken(|connection| !connection.alive).build();
        pool.get().unwrap().alive = false;
        assert_eq!(server.connected(), 0);
        PooledConnection::discard(pool.get().unwrap());
        assert_eq!((server.connected(), pool.stats().in_use), (0, 0));
        assert_eq!(number(&pool), 3);

        let panics = server.pool().broken(|_| panic!("of all things")).build();
        drop(panics.get().unwrap());
        let stats = panics.stats();
        assert_eq!((stats.idle, stats.in_use), (0, 0));
    });
}

/// A reply that was given up must not become the answer to the next one's question.
#[test]
fn one_whose_borrower_was_stopped_half_way_is_closed() {
    everywhere(|| {
        let server = Server::default();
        let pool = server.pool().max_size(1).build();
        let borrow = |pool: &ConnectionPool<Connection>| pool.get_timeout(LONG).unwrap();
        // By a panic.
        let panics = AssertUnwindSafe(|| {
            let _connection = borrow(&pool);
            std::panic::resume_unwind(Box::new("a panic"));
        });
        let _ = catch_unwind(panics);
        assert_eq!(number(&pool), 2);
        // By a kill.
        let victim = pool.clone();
        let victim = spawn(move || {
            let _connection = victim.get().unwrap();
            Event::new().wait();
        });
        eventually(|| pool.stats().in_use == 1);
        victim.kill();
        assert_eq!(borrow(&pool).number, 3);
        // By a limit that was over, and is long forgotten when the connection comes back.
        let connection = borrow(&pool);
        assert!(Timeout::run(ms(1), || Event::new().wait()).is_err());
        crate::sleep(ms(1));
        drop(connection);
        assert_eq!(borrow(&pool).number, 4);
        // A wait that has ended by its own timeout says nothing of the connection.
        let connection = borrow(&pool);
        assert!(Event::new().wait_timeout(ms(1)).is_err());
        drop(connection);
        assert_eq!(borrow(&pool).number, 4);
        assert_eq!((server.connected(), pool.stats().in_use), (1, 0));
    });
}

#[test]
fn a_connection_may_be_given_back_elsewhere() {
    everywhere(|| {
        let pool = Server::default().pool().max_size(1).build();
        let connection = pool.get().unwrap();
        std::thread::spawn(move || drop(connection)).join().unwrap();
        assert_eq!(number(&pool), 1);
    });
}

#[test]
fn none_grows_too_old() {
    everywhere(|| {
        let server = Server::default();
        let pool = server.pool().max_lifetime(Duration::ZERO).build();
        assert_eq!([number(&pool), number(&pool)], [1, 2]);
        assert_eq!(server.connected(), 0);
        // However often it is used.
        let pool = server.pool().max_lifetime(ms(30)).build();
        let begin = Instant::now();
        while number(&pool) == 1 {
            assert!(begin.elapsed() < LONG);
            yield_now();
        }
        assert!(begin.elapsed() >= ms(30) / 8 * 7);
    });
}

#[test]
fn what_nobody_uses_is_closed_without_being_asked_for() {
    everywhere(|| {
        let server = Server::default();
        let pool = server.pool().idle_timeout(ms(5)).build();
        for _ in 0..2 {
            let [a, b] = [(); 2].map(|()| pool.get().unwrap());
            drop((a, b));
            eventually(|| server.connected() == 0);
            assert_eq!(pool.stats().idle, 0);
        }
        // A pool that is gone takes them along at once.
        let pool = server.pool().idle_timeout(LONG).build();
        drop(pool.get().unwrap());
        drop(pool);
        assert_eq!(server.connected(), 0);
    });
}

#[test]
fn a_closed_pool_lends_nothing_and_keeps_nobody_waiting() {
    everywhere(|| {
        let server = Server::default();
        let pool = server.pool().max_size(2).build();
        let [a, b] = [(); 2].map(|()| pool.get().unwrap());
        let waiting = [(); 3].map(|()| {
            let pool = pool.clone();
            spawn(move || pool.get_timeout(LONG).map(drop))
        });
        eventually(|| pool.stats().waiting == 3);
        pool.close();
        pool.close();
        for one in waiting {
            let got = one.join().unwrap();
            assert!(matches!(got, Err(NoConnection::Closed)));
        }
        drop(a);
        assert!(pool.is_closed() && matches!(pool.get(), Err(NoConnection::Closed)));
        assert_eq!((server.connected(), pool.stats().in_use), (1, 1));
        drop(b);
        assert_eq!((server.connected(), pool.stats().in_use), (0, 0));
    });
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
    super::storms::storm(4, move |dice: &mut Dice| {
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

mod blocking {
    use super::*;
    use std::sync::mpsc;
    use std::thread::ThreadId;

    /// All that is done with a connection is done elsewhere.
    #[test]
    fn a_driver_that_blocks_holds_up_no_worker() {
        struct Far(ThreadId);
        impl Drop for Far {
            fn drop(&mut self) {
                assert_ne!(std::thread::current().id(), self.0);
            }
        }
        on_worker(0, || {
            let here = std::thread::current().id();
            let pool = ConnectionPool::builder(move || {
                assert_ne!(std::thread::current().id(), here);
                Ok::<_, String>(Far(here))
            })
            .max_size(2)
            .check(|far| std::thread::current().id() != far.0)
            .check_after(Duration::ZERO)
            .idle_timeout(ms(20))
            .build_blocking();
            // Those who wait for the OS threads are on one worker with the one who lets them go on.
            let (go, wait) = mpsc::channel::<()>();
            let wait = Arc::new(Mutex::new(wait));
            let threads = [(); 2].map(|()| {
                let (pool, wait) = (pool.clone(), wait.clone());
                spawn(move || pool.run(move |_| wait.lock().unwrap().recv().unwrap()))
            });
            eventually(|| pool.stats().made == 2);
            for _ in &threads {
                go.send(()).unwrap();
            }
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
            eventually(|| pool.stats().idle == 0);
            pool.run(|_| ()).unwrap();
            pool.close();
            assert!(pool.is_closed() && pool.run(|_| ()).is_err());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn values_borrows_panics_and_places() {
        everywhere(|| {
            let server = Server::default();
            let pool = server.pool().max_size(1).build_blocking();
            assert_eq!(pool.run(|connection| connection.number).unwrap(), 1);
            let mut numbers = vec![0];
            pool.run_scoped(|connection| numbers.push(connection.number))
                .unwrap();
            assert_eq!(numbers, [0, 1]);
            let panics = AssertUnwindSafe(|| pool.run(|_| std::panic::resume_unwind(Box::new(7))));
            let payload = catch_unwind(panics).map(drop).unwrap_err();
            assert_eq!(*payload.downcast::<i32>().unwrap(), 7);
            assert_eq!(pool.run(|connection| connection.number).unwrap(), 2);
            server.refuses.store(true, Ordering::SeqCst);
            pool.run(|connection| connection.alive = false).unwrap();
            let stats = pool.stats();
            assert_eq!((stats.in_use, stats.idle, stats.made), (0, 1, 2));
        });
    }

    #[test]
    fn one_who_is_killed_leaves_the_work_to_its_end_and_the_place_to_the_next() {
        everywhere(|| {
            let server = Server::default();
            let pool = server.pool().max_size(1).build_blocking();
            let (go, wait) = mpsc::channel::<()>();
            let ended = Event::new();
            let (end, its) = (ended.clone(), pool.clone());
            let victim = spawn(move || {
                its.run(move |_| {
                    let _end = OnDrop(|| {
                        end.set();
                    });
                    wait.recv().unwrap();
                })
            });
            eventually(|| pool.stats().made == 1);
            victim.kill();
            assert!(matches!(victim.join(), Err(JoinError::Killed)));
            let late = pool.run_timeout(ms(1), |_| ());
            assert!(matches!(late, Err(NoConnection::TimedOut)));
            assert!(!ended.is_set());
            go.send(()).unwrap();
            let next = pool.run_timeout(LONG, |connection| connection.number);
            assert_eq!(next.unwrap(), 1, "it was used to the end, and is good");
            assert!(ended.is_set());
        });
    }
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
    super::passes_alone("connection_pools::in_a_program_without_green_threads");
}
