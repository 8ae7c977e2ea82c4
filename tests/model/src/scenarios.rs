//! What is tried. Each thread is a green thread of one of two workers, or an OS thread, as the
//! checker chooses; a thread that is never woken is a deadlock, which the checker sees.

use crate::locks::Word;
use crate::platform::BorrowedFd;
use crate::platform::sync::lock;
use crate::platform::thread::catch_unwind;
use crate::platform::time::{self, Duration, LATER};
use crate::scheduler::thread::{Awaited, Interrupt, Io, Thread, current, wait_for};
use crate::scheduler::timed_out::TimedOut;
use crate::scheduler::worker::Worker;
use crate::sync::permits::Permits;
use crate::sync::{Event, Queue};
use crate::sys::Interest;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread::{JoinHandle, yield_now};
use std::sync::Arc;

/// All scenarios, and how they are called.
pub const ALL: [(&str, fn()); 15] = [
    ("a wake meets a wait", a_wake_meets_a_wait),
    ("a wake meets a poll", a_wake_meets_a_poll),
    ("many wakes, one wait after the other", many_wakes),
    ("a deadline meets a wake", a_deadline_meets_a_wake),
    ("an event wakes all", an_event_wakes_all),
    (
        "an event is set and cleared at once",
        an_event_is_cleared_at_once,
    ),
    ("a queue loses nothing", a_queue_loses_nothing),
    ("a getter gives up", || a_getter_gives_up(false)),
    ("a getter is killed", || a_getter_gives_up(true)),
    ("a putter gives up", a_putter_gives_up),
    (
        "the end mark reaches everybody",
        the_end_mark_reaches_everybody,
    ),
    ("permits are handed on", permits_are_handed_on),
    ("a patched lock is handed on", || {
        a_patched_lock_is_handed_on(Leaving::Never)
    }),
    ("one who waits for a patched lock gives up", || {
        a_patched_lock_is_handed_on(Leaving::AtADeadline)
    }),
    ("one who waits for a patched lock is killed", || {
        a_patched_lock_is_handed_on(Leaving::WhenKilled)
    }),
];

struct World {
    workers: [&'static Worker; 2],
    mailbox_tasks: Vec<JoinHandle<()>>,
}

impl World {
    fn new() -> Self {
        let [(a, first), (b, second)] = [0, 1].map(Worker::start);
        Self {
            workers: [a, b],
            mailbox_tasks: vec![first, second],
        }
    }

    fn spawn<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match thread_rng().gen_range(0..3) {
            2 => shuttle::thread::spawn(body),
            place => self.workers[place].spawn(body),
        }
    }

    /// All have come to their end.
    fn end(self) {
        for worker in self.workers {
            worker.close();
        }
        for task in self.mailbox_tasks {
            task.join().unwrap();
        }
    }
}

/// Something to wait for, with nothing but the primitive.
#[derive(Default)]
struct Flag(Mutex<(u32, Option<Arc<Thread>>)>);

impl Flag {
    fn wait(&self, until: u32, io: Io<'_>, deadline: bool) -> Result<(), TimedOut> {
        let deadline = deadline.then_some(LATER);
        wait_for(Awaited::Something, deadline, io, |me, _| {
            let mut state = lock(&self.0);
            state.1 = Some(me.clone());
            (state.0 >= until).then_some(())
        })
    }

    fn raise(&self) {
        let waiting = {
            let mut state = lock(&self.0);
            state.0 += 1;
            state.1.clone()
        };
        if let Some(thread) = waiting {
            thread.wake();
        }
    }
}

fn a_wake_meets_a_wait() {
    let world = World::new();
    let flag = Arc::new(Flag::default());
    let here = flag.clone();
    let waits = world.spawn(move || here.wait(1, Io::None, false));
    let wakes = world.spawn(move || flag.raise());
    assert_eq!(waits.join().unwrap(), Ok(()));
    wakes.join().unwrap();
    world.end();
}

fn a_wake_meets_a_poll() {
    let world = World::new();
    let flag = Arc::new(Flag::default());
    let here = flag.clone();
    let waits = world.spawn(move || {
        let io = Io::Poll(BorrowedFd::NEVER, Interest::Readable);
        here.wait(2, io, false)
    });
    for _ in 0..2 {
        let flag = flag.clone();
        world.spawn(move || flag.raise()).join().unwrap();
    }
    assert_eq!(waits.join().unwrap(), Ok(()));
    world.end();
}

fn many_wakes() {
    let world = World::new();
    let flag = Arc::new(Flag::default());
    let here = flag.clone();
    let waits = world.spawn(move || {
        for until in 1..=4 {
            here.wait(until, Io::None, false).unwrap();
        }
    });
    let wakes: Vec<_> = (0..2)
        .map(|_| {
            let flag = flag.clone();
            world.spawn(move || {
                flag.raise();
                flag.raise();
            })
        })
        .collect();
    waits.join().unwrap();
    for thread in wakes {
        thread.join().unwrap();
    }
    world.end();
}

fn a_deadline_meets_a_wake() {
    let world = World::new();
    let flag = Arc::new(Flag::default());
    let here = flag.clone();
    let waits = world.spawn(move || here.wait(1, Io::None, true));
    let clock = shuttle::thread::spawn(time::pass);
    let wakes = world.spawn(move || flag.raise());
    let (Ok(()) | Err(TimedOut)) = waits.join().unwrap();
    wakes.join().unwrap();
    clock.join().unwrap();
    world.end();
}

fn an_event_wakes_all() {
    let world = World::new();
    let event = Event::new();
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let event = event.clone();
            world.spawn(move || event.wait())
        })
        .collect();
    let sets = world.spawn(move || event.set());
    for thread in waiters {
        thread.join().unwrap();
    }
    sets.join().unwrap();
    world.end();
}

fn an_event_is_cleared_at_once() {
    let world = World::new();
    let event = Event::new();
    let who = Arc::new(Mutex::new(None));
    let waits = {
        let (event, who) = (event.clone(), who.clone());
        world.spawn(move || {
            *lock(&who) = Some(current().handle());
            event.wait();
        })
    };
    let waiter = until_there(&who);
    while waiter.waiting_for().is_none() {
        yield_now();
    }
    event.set();
    event.clear();
    waits.join().unwrap();
    world.end();
}

/// The thread that says there who it is.
fn until_there(who: &Mutex<Option<Arc<Thread>>>) -> Arc<Thread> {
    loop {
        if let Some(thread) = &*lock(who) {
            return thread.clone();
        }
        yield_now();
    }
}

fn a_queue_loses_nothing() {
    let world = World::new();
    let queue = Queue::new(1);
    let putters: Vec<_> = [10, 20]
        .map(|first| {
            let queue = queue.clone();
            world.spawn(move || {
                queue.put(first).unwrap();
                queue.put(first + 1).unwrap();
            })
        })
        .into();
    let getters: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            world.spawn(move || [queue.get().unwrap(), queue.get().unwrap()])
        })
        .collect();
    let mut all = Vec::new();
    for thread in getters {
        let got = thread.join().unwrap();
        assert!(
            got[0] / 10 != got[1] / 10 || got[0] < got[1],
            "in order: {got:?}"
        );
        all.extend(got);
    }
    for thread in putters {
        thread.join().unwrap();
    }
    all.sort_unstable();
    assert_eq!(all, [10, 11, 20, 21]);
    world.end();
}

fn a_getter_gives_up(killed: bool) {
    let world = World::new();
    let queue = Queue::new(2);
    let who = Arc::new(Mutex::new(None));
    let gives_up = {
        let (queue, who) = (queue.clone(), who.clone());
        world.spawn(move || {
            *lock(&who) = Some(current().handle());
            if !killed {
                return queue.get_timeout(Duration::ZERO).ok().flatten();
            }
            catch_unwind(|| queue.get()).flatten()
        })
    };
    let stays = {
        let queue = queue.clone();
        world.spawn(move || queue.get())
    };
    let ends = shuttle::thread::spawn(move || {
        if killed {
            until_there(&who).interrupt(Interrupt::Kill);
        } else {
            time::pass();
        }
    });
    let puts = {
        let queue = queue.clone();
        world.spawn(move || queue.put(1).unwrap())
    };
    ends.join().unwrap();
    puts.join().unwrap();
    // If it has taken the item, the one that stays needs another.
    let got = gives_up.join().unwrap();
    if got.is_some() {
        queue.put(2).unwrap();
    }
    let other = stays.join().unwrap();
    assert_eq!(other, Some(1 + got.unwrap_or(0)));
    assert_eq!(queue.len(), 0);
    world.end();
}

fn a_putter_gives_up() {
    let world = World::new();
    let queue = Queue::new(1);
    queue.put(0).unwrap();
    let gives_up = {
        let queue = queue.clone();
        world.spawn(move || queue.put_timeout(1, Duration::ZERO).is_ok())
    };
    let stays = {
        let queue = queue.clone();
        world.spawn(move || queue.put(2).unwrap())
    };
    let clock = shuttle::thread::spawn(time::pass);
    let gets = {
        let queue = queue.clone();
        world.spawn(move || queue.get().unwrap())
    };
    let first = gets.join().unwrap();
    assert_eq!(first, 0);
    clock.join().unwrap();
    if gives_up.join().unwrap() {
        // Perhaps in front of the one that stays.
        assert!(matches!(queue.get(), Some(1 | 2)));
    }
    stays.join().unwrap();
    world.end();
}

fn the_end_mark_reaches_everybody() {
    let world = World::new();
    let queue = Queue::new(1);
    let getters: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            world.spawn(move || queue.iter().count())
        })
        .collect();
    let puts = {
        let queue = queue.clone();
        world.spawn(move || (0..3).filter(|n| queue.put(*n).is_ok()).count())
    };
    let closes = {
        let queue = queue.clone();
        world.spawn(move || queue.close())
    };
    let got: usize = getters
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert_eq!(got, puts.join().unwrap(), "what was put can be got");
    closes.join().unwrap();
    world.end();
}

fn permits_are_handed_on() {
    let world = World::new();
    let permits = Arc::new(Permits::new(1));
    let busy = Arc::new(Mutex::new(false));
    let threads: Vec<_> = [None, Some(LATER), None]
        .into_iter()
        .map(|deadline| {
            let (permits, busy) = (permits.clone(), busy.clone());
            world.spawn(move || {
                if permits.acquire(deadline).is_err() {
                    assert!(deadline.is_some());
                    return;
                }
                assert!(!std::mem::replace(&mut *lock(&busy), true));
                yield_now();
                *lock(&busy) = false;
                permits.release(1);
            })
        })
        .collect();
    let clock = shuttle::thread::spawn(time::pass);
    for thread in threads {
        thread.join().unwrap();
    }
    clock.join().unwrap();
    assert!(permits.try_acquire() && !permits.try_acquire());
    world.end();
}

#[derive(Clone, Copy, PartialEq)]
enum Leaving {
    Never,
    AtADeadline,
    WhenKilled,
}

/// Three threads take a lock; the first of them may leave before it has it, and takes no wake along.
fn a_patched_lock_is_handed_on(leaving: Leaving) {
    let world = World::new();
    let word = Arc::new(Word::new());
    let inside = Arc::new(AtomicBool::new(false));
    let first = Arc::new(Mutex::new(None));
    let threads: Vec<_> = (0..3)
        .map(|n| {
            let (word, inside, first) = (word.clone(), inside.clone(), first.clone());
            world.spawn(move || {
                let leaves = n == 0 && leaving != Leaving::Never;
                if leaves {
                    *lock(&first) = Some(current().handle());
                }
                let deadline = (leaves && leaving == Leaving::AtADeadline).then_some(LATER);
                if word.lock(deadline, leaves) {
                    assert!(!inside.swap(true, Ordering::SeqCst), "two have the lock");
                    yield_now();
                    inside.store(false, Ordering::SeqCst);
                    word.unlock();
                }
                // Whoever has been killed ends here, without a wait that would unwind.
            })
        })
        .collect();
    match leaving {
        Leaving::Never => {}
        Leaving::AtADeadline => time::pass(),
        Leaving::WhenKilled => {
            if let Some(thread) = lock(&first).clone() {
                thread.interrupt(Interrupt::Kill);
            }
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
    world.end();
}
