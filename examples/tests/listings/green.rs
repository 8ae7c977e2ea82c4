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
