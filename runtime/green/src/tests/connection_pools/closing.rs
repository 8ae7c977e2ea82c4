use super::*;

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

/// A server that takes so many connections refuses one that is made before another is closed.
#[test]
fn one_that_is_closed_for_its_age_counts_until_that_is_done() {
    struct Slow(Event, Arc<AtomicUsize>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.wait(); // for the other side's goodbye
            self.1.fetch_sub(1, Ordering::SeqCst);
        }
    }
    everywhere(|| {
        let (goodbye, connected) = (Event::new(), Arc::new(AtomicUsize::new(0)));
        let (its, count) = (goodbye.clone(), connected.clone());
        let pool = ConnectionPool::builder(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Ok::<_, String>(Slow(its.clone(), count.clone()))
        })
        .max_size(1)
        .idle_timeout(ms(2))
        .build();
        drop(pool.get().unwrap());
        eventually(|| pool.stats().idle == 0);
        let early = pool.get_timeout(ms(5)).map(drop);
        assert!(matches!(early, Err(NoConnection::TimedOut)));
        assert_eq!(connected.load(Ordering::SeqCst), 1);
        goodbye.set();
        pool.get_timeout(LONG).map(drop).unwrap();
        assert!(connected.load(Ordering::SeqCst) <= 1);
    });
}

/// A look at a dead connection may panic, and its destructor after that: two panics in one thread
/// would end the program.
#[test]
fn one_whose_check_and_destructor_panic_is_closed() {
    struct Odd;
    impl Drop for Odd {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("in its destructor"));
        }
    }
    everywhere(|| {
        let pool = ConnectionPool::builder(|| Ok::<_, String>(Odd))
            .max_size(1)
            .check(|_| std::panic::resume_unwind(Box::new("in its check")))
            .check_after(Duration::ZERO)
            .build();
        drop(pool.get().unwrap());
        let get = AssertUnwindSafe(|| pool.get().map(drop));
        let payload = catch_unwind(get).unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "in its check");
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.idle, stats.made), (0, 0, 1));
        drop(pool.get().unwrap());
        drop(pool); // with one that is kept, whose destructor panics
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
