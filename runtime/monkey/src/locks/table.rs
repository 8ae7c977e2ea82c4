//! The table of those who wait at an address.
//!
//! As the kernel's futexes: the address is only a name. Whoever waits is in the table before it looks at the
//! word for the last time; whoever wakes has changed the word before it looks whether anybody is in
//! the table. Both orders are sequentially consistent, so one of the two sees the other.
//!
//! One who is woken is taken out of the table by the waker, so a wake is given to one who waits, once, and
//! one who gives up finds out whether it was woken before.

use crate::errno;
use crate::platform::table::{
    Arc, AtomicBool, AtomicUsize, HOW_MANY, Instant, Mutex, Ordering, fence, shared,
};
use crate::waiting::wait_quietly;
use greenway_green::Awaited;
use greenway_green::embed::{Ended, Io, Thread, current, holds_lock, lock, quietly};
use std::collections::{BTreeMap, VecDeque};

/// One who waits at an address.
struct Waiter {
    thread: Arc<Thread>,
    /// Which wakes it takes, as a mask.
    takes: u32,
    woken: AtomicBool,
}

/// Those who wait at one address.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Arc<Waiter>>,
    /// Who was woken last while others waited on: if it is a lock, that one is likely to have it.
    last_woken: Option<u64>,
}

type Waiters = BTreeMap<usize, Line>;

shared! {
    static SHARDS: [Mutex<Waiters>; HOW_MANY] = [const { Mutex::new(BTreeMap::new()) }; HOW_MANY];
}
shared! {
    /// How many wait, in all shards.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
}

fn shard(address: usize) -> &'static Mutex<Waiters> {
    // Words are aligned, and those of one structure lie side by side.
    &SHARDS[(address >> 2).wrapping_mul(0x9E37_79B9) >> 8 & (HOW_MANY - 1)]
}

/// How a wait at an address has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Woken,
    /// The look at the word has said that there is nothing to wait for.
    NotNow,
    TimedOut,
    /// The thread is to end.
    Interrupted,
}

/// Waits at an address until it is woken there, unless `holds`, which is asked once the thread is in the
/// table, says that there is nothing to wait for.
pub(super) fn wait(
    what: &'static str,
    address: usize,
    takes: u32,
    deadline: Option<Instant>,
    holds: impl FnOnce() -> bool,
) -> Outcome {
    let Some(place) = Place::take(address, takes, holds) else {
        return Outcome::NotNow;
    };
    place.wait(what, deadline)
}

/// A place in the table.
pub(super) struct Place {
    address: usize,
    waiter: Arc<Waiter>,
}

impl Place {
    /// `None` if `holds`, which is asked when the thread is in the table, says no.
    pub(super) fn take(address: usize, takes: u32, holds: impl FnOnce() -> bool) -> Option<Self> {
        COUNT.fetch_add(1, Ordering::SeqCst);
        // An allocator may wait for a lock of its own, and come here once more.
        let waiter = quietly(|| {
            Arc::new(Waiter {
                thread: current().handle(),
                takes,
                woken: AtomicBool::new(false),
            })
        });
        let mut shard = lock(shard(address));
        if !holds() {
            drop(shard);
            COUNT.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        let line = shard.entry(address).or_default();
        line.waiting.push_back(waiter.clone());
        drop(shard);
        Some(Self { address, waiter })
    }

    /// Waits to be woken.
    pub(super) fn wait(self, what: &'static str, deadline: Option<Instant>) -> Outcome {
        quietly(move || self.wait_for_wake(what, deadline)) // and gives its memory back
    }

    fn wait_for_wake(self, what: &'static str, deadline: Option<Instant>) -> Outcome {
        let woken = || self.waiter.woken.load(Ordering::Acquire);
        let ended = wait_quietly(Awaited::Other(what), deadline, Io::None, |_| {
            woken().then_some(())
        });
        match ended {
            Ok(()) => Outcome::Woken,
            // Woken meanwhile: that wake is ours, and nobody else gets it.
            Err(_) if !self.leave() => Outcome::Woken,
            Err(Ended::TimedOut) => Outcome::TimedOut,
            Err(Ended::Interrupted) => Outcome::Interrupted,
        }
    }

    /// Takes itself out. False if somebody has done so already.
    fn leave(&self) -> bool {
        let mut shard = lock(shard(self.address));
        let Some(line) = shard.get_mut(&self.address) else {
            return false;
        };
        let waiters = &mut line.waiting;
        let place = waiters
            .iter()
            .position(|waiter| Arc::ptr_eq(waiter, &self.waiter));
        if let Some(place) = place {
            waiters.remove(place);
            if waiters.is_empty() {
                shard.remove(&self.address);
            }
        }
        place.is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.waiter.woken.load(Ordering::Acquire) {
            self.leave();
        }
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether anybody waits at any address, as far as one can tell who has changed a word before.
#[inline]
pub(super) fn is_empty() -> bool {
    fence(Ordering::SeqCst);
    COUNT.load(Ordering::SeqCst) == 0
}

/// Wakes up to `most` of those who wait at an address and take that kind of wake, those who came first. Gives how
/// many. It leaves `errno` alone.
#[inline]
pub(super) fn wake(address: usize, most: usize, kind: u32) -> usize {
    if is_empty() {
        return 0;
    }
    errno::kept(|| wake_those(address, most, kind))
}

/// As [`wake`], for C's locks. Whoever comes with a lock of the scheduler's may hold ours: an allocator that
/// unlocks one of C's mutexes, or a handler of a signal. Those who wait for such locks look again by
/// themselves, so nobody is woken then.
#[inline]
pub(super) fn wake_if_free(address: usize, most: usize) {
    if !is_empty() && !holds_lock() {
        errno::kept(|| wake_those(address, most, u32::MAX));
    }
}

#[inline(never)]
fn wake_those(address: usize, most: usize, kind: u32) -> usize {
    let mut woken = Vec::new();
    let mut shard = lock(shard(address));
    if let Some(line) = shard.get_mut(&address) {
        let waiters = &mut line.waiting;
        let mut at = 0;
        while woken.len() < most && at < waiters.len() {
            if waiters[at].takes & kind == 0 {
                at += 1;
                continue;
            }
            woken.extend(waiters.remove(at));
        }
        if let Some(last) = woken.last() {
            line.last_woken = last.thread.number();
        }
        if line.waiting.is_empty() {
            shard.remove(&address);
        }
    }
    for waiter in &woken {
        waiter.woken.store(true, Ordering::Release);
    }
    drop(shard);
    for waiter in &woken {
        waiter.thread.wake();
    }
    woken.len()
}

/// What a thread waits at, for people; `holder_of` may know who holds a lock at an address.
pub(super) fn describe(
    thread: &Thread,
    holder_of: impl Fn(usize) -> Option<u64>,
) -> Option<String> {
    SHARDS.iter().find_map(|shard| {
        let shard = lock(shard);
        let mut lines = shard.iter();
        let is_it = |waiter: &Arc<Waiter>| waiter.thread.id() == thread.id();
        let (address, line) = lines.find(|(_, line)| line.waiting.iter().any(is_it))?;
        let mut text = format!("at {address:#x}");
        if let Some(holder) = holder_of(*address) {
            text += &format!(", held by #{holder}");
        } else if let Some(last) = line.last_woken {
            text += &format!(", last given to #{last}");
        }
        match line.waiting.len() - 1 {
            0 => {}
            others => text += &format!(", with {others} others"),
        }
        Some(text)
    })
}

/// Numbers of other green threads of the caller's worker that wait at an address.
pub(super) fn neighbours_at(address: usize) -> Vec<u64> {
    let me = current();
    let shard = lock(shard(address));
    let waiting = shard
        .get(&address)
        .into_iter()
        .flat_map(|line| &line.waiting);
    let home = |thread: &Thread| thread.home().map(|home| home.index());
    let neighbours =
        waiting.filter(|waiter| waiter.thread.id() != me.id() && home(&waiter.thread) == home(&me));
    neighbours
        .filter_map(|waiter| waiter.thread.number())
        .collect()
}
