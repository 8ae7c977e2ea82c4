use super::*;

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
