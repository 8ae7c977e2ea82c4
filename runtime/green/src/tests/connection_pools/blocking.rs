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

/// Also those that are kept when nobody has the pool any more.
#[test]
fn a_pool_that_is_gone_closes_on_its_threads() {
    struct Tells(mpsc::Sender<ThreadId>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().id());
        }
    }
    let (tell, told) = mpsc::channel();
    let worker = on_worker(0, move || {
        let pool =
            ConnectionPool::builder(move || Ok::<_, String>(Tells(tell.clone()))).build_blocking();
        pool.run(|_| ()).unwrap();
        drop(pool);
        std::thread::current().id()
    });
    let worker = worker.join().unwrap();
    assert_ne!(told.recv_timeout(LONG).unwrap(), worker);
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
