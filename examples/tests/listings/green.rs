//! The listings of the chapter "Green threads".

#[test]
fn spawned_threads_report_by_a_queue() {
    // ANCHOR: spawn
    use greenway::green::{Queue, sleep, spawn};
    use std::time::Duration;

    let results = Queue::new(8);
    for n in 0..3 {
        let results = results.clone();
        spawn(move || {
            sleep(Duration::from_millis(10 * n));
            results.put(n)
        });
    }
    let mut all: Vec<_> = results.iter().take(3).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2]);
    // ANCHOR_END: spawn
}

#[test]
fn an_os_thread_answers_by_a_queue() {
    // ANCHOR: offload
    use greenway::green::Queue;

    let answer = Queue::new(1);
    let send = answer.clone();
    std::thread::spawn(move || {
        let sum: u64 = (0..1_000_000).sum(); // long, or blocking
        let _nobody_waits_any_more = send.put(sum);
    });
    assert_eq!(answer.get(), Some(499_999_500_000));
    // ANCHOR_END: offload
}

#[test]
fn a_closure_runs_on_an_os_thread() {
    // ANCHOR: unblock
    use greenway::green::unblock;
    use greenway::{HttpError, Request};

    fn digest(req: Request) -> Result<String, HttpError> {
        let upload = req.body(1024 * 1024)?;
        // Long enough to hold up the worker. Here, the worker runs others meanwhile.
        let sum = unblock(move || upload.iter().map(|&byte| u64::from(byte)).sum::<u64>());
        Ok(format!("{sum}\n"))
    }
    // ANCHOR_END: unblock

    let mut app = greenway::App::new();
    app.post("/digest", digest);
    let client = greenway::testing::Client::new(app);
    assert_eq!(client.post("/digest").body("abc").send().text(), "294\n");
}

#[test]
fn a_pool_bounds_what_uses_a_library() {
    // ANCHOR: pool
    use greenway::green::ThreadPool;
    use greenway::{App, HttpError, Request};

    let mut app = App::new();
    let pool = ThreadPool::new(4, 100); // 4 threads, and 100 closures that wait for one
    app.get("/host", move |_: Request| {
        let name = pool.apply(|| std::fs::read_to_string("/proc/sys/kernel/hostname"));
        name.map_err(|error| HttpError::new(500, "no name").with_source(error))
    });
    // ANCHOR_END: pool

    let client = greenway::testing::Client::new(app);
    assert_eq!(client.get("/host").send().status(), 200);
}
