//! C's barriers.
//!
//! Green threads take part in the C library's own algorithm, on its own words, and wait for these in our own table.
//! Its threads wait in the kernel. So both may meet at one barrier, and whoever ends a round wakes both.
//!
//! How often somebody has come and gone since the barrier was made is in two words, and a third says up to which
//! of those who have come a round is complete. Whoever destroys a barrier waits until all have gone. Once
//! all have gone that can be counted, the last one begins anew.

use super::mutexes::{ANY, LONGEST, counts_here, wakes_here};
use super::table;
use crate::patience::Patience;
use crate::{errno, original};
use libc::{PTHREAD_BARRIER_SERIAL_THREAD, c_int, c_long, pthread_barrier_t};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What a barrier is in glibc, since 2.25.
#[repr(C)]
struct Barrier {
    came: AtomicU32,
    complete: AtomicU32,
    count: u32,
    /// 0, or the flag of futexes that says "private": then it is shared with other processes.
    shared: c_int,
    gone: AtomicU32,
}

const _: () = assert!(size_of::<pthread_barrier_t>() >= size_of::<Barrier>());
const _: () = assert!(align_of::<pthread_barrier_t>() >= align_of::<Barrier>());

/// So many may come before all begin anew, rounded down to whole rounds.
const MANY: u32 = u32::MAX / 2;

/// That is so in the C library that we run with.
static KNOWN: AtomicBool = AtomicBool::new(false);

/// Finds out whether barriers are what they are taken for.
pub(super) fn learn() {
    let mut barrier = MaybeUninit::<pthread_barrier_t>::uninit();
    let at = barrier.as_mut_ptr();
    let is = |words: [u32; 4]| {
        // SAFETY: it was made, and is as large.
        let barrier = unsafe { &*at.cast::<Barrier>() };
        let shared = barrier.shared == 0;
        let [came, complete, gone] = [&barrier.came, &barrier.complete, &barrier.gone]
            .map(|word| word.load(Ordering::Relaxed));
        shared && [came, complete, barrier.count, gone] == words
    };
    // SAFETY: each barrier is made before it is used, and nobody else knows of it.
    let known = unsafe {
        libc::pthread_barrier_init(at, std::ptr::null(), 7);
        let made = is([0, 0, 7, 0]);
        original::pthread_barrier_destroy(at);
        libc::pthread_barrier_init(at, std::ptr::null(), 1);
        let first = original::pthread_barrier_wait(at);
        let used = first == PTHREAD_BARRIER_SERIAL_THREAD && is([1, 1, 1, 1]);
        // As if all had gone who can be counted.
        original::pthread_barrier_destroy(at);
        made && used && is([1, 1, 1, MANY])
    };
    KNOWN.store(known, Ordering::Relaxed);
}

impl Barrier {
    /// After so many all begin anew.
    fn most(&self) -> u32 {
        MANY - MANY % self.count
    }

    /// Waits until a word is no longer what it was. There is no way to give up: who is to end waits on.
    fn wait_for(&self, word: &AtomicU32, was: u32) {
        let patience = Patience::new(LONGEST);
        while word.load(Ordering::SeqCst) == was {
            let same = || word.load(Ordering::SeqCst) == was;
            let address = (&raw const *self).addr();
            table::wait("pthread barrier", address, ANY, patience.next_look(), same);
        }
    }

    fn wait(&self) -> c_int {
        let most = self.most();
        let mine = loop {
            let mine = self.came.fetch_add(1, Ordering::AcqRel) + 1;
            if mine <= most {
                break mine;
            }
            // All that can be counted have come: they begin anew when these have gone.
            let mut came = mine;
            while came > most {
                self.wait_for(&self.came, came);
                came = self.came.load(Ordering::Relaxed);
            }
        };
        let mut complete = self.complete.load(Ordering::Relaxed);
        while complete + self.count <= mine {
            let now = mine - mine % self.count;
            let (to, from) = (Ordering::Release, Ordering::Relaxed);
            match self.complete.compare_exchange_weak(complete, now, to, from) {
                Ok(_) => {
                    complete = now;
                    wake(&self.complete, self.shared, (&raw const *self).addr());
                }
                Err(other) => complete = other,
            }
        }
        while mine > complete {
            self.wait_for(&self.complete, complete);
            complete = self.complete.load(Ordering::Relaxed);
        }
        std::sync::atomic::fence(Ordering::Acquire);
        let leads = mine.is_multiple_of(self.count);
        let (shared, address, came) =
            (self.shared, (&raw const *self).addr(), &raw const self.came);
        // From here on it may be destroyed, unless this one is the last.
        if self.gone.fetch_add(1, Ordering::Release) + 1 == most {
            std::sync::atomic::fence(Ordering::Acquire);
            self.complete.store(0, Ordering::Relaxed);
            self.gone.store(0, Ordering::Relaxed);
            self.came.store(0, Ordering::Release);
            wake(came, shared, address);
        }
        if leads {
            PTHREAD_BARRIER_SERIAL_THREAD
        } else {
            0
        }
    }

    fn destroy(&self) {
        let (most, came) = (self.most(), self.came.load(Ordering::Relaxed));
        if self.gone.fetch_add(most - came, Ordering::Relaxed) < came {
            let mut came = came;
            while came != 0 {
                self.wait_for(&self.came, came);
                came = self.came.load(Ordering::Relaxed);
            }
        }
        std::sync::atomic::fence(Ordering::Acquire);
    }
}

/// Wakes all who wait for a word of the barrier at `address`, which may be gone.
fn wake(word: *const AtomicU32, shared: c_int, address: usize) {
    let operation = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) ^ shared;
    let arguments = [
        word.addr() as c_long,
        operation.into(),
        c_int::MAX.into(),
        0,
        0,
        0,
    ];
    // SAFETY: of memory that is gone the kernel knows nobody who waits.
    unsafe { original::syscall(libc::SYS_futex, arguments) };
    table::wake(address, usize::MAX, ANY);
}

/// Whether the caller takes part in a barrier as a green thread.
fn takes_part() -> bool {
    counts_here() && KNOWN.load(Ordering::Relaxed)
}

/// See `pthread_barrier_wait(3)`. On any OS thread it looks for green threads that wait.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pthread_barrier_wait(barrier: *mut pthread_barrier_t) -> c_int {
    if takes_part() {
        // SAFETY: the caller's barrier, which is what it is taken for.
        return errno::kept(|| unsafe { &*barrier.cast::<Barrier>() }.wait());
    }
    let address = barrier.addr();
    // SAFETY: the caller's argument, unchanged. It may be gone afterwards: only its address is used.
    let result = unsafe { original::pthread_barrier_wait(barrier) };
    if wakes_here() {
        table::wake(address, usize::MAX, ANY);
    }
    result
}

/// See `pthread_barrier_destroy(3)`: it waits until all have gone who have come.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pthread_barrier_destroy(barrier: *mut pthread_barrier_t) -> c_int {
    if !takes_part() {
        // SAFETY: the caller's argument, unchanged.
        return unsafe { original::pthread_barrier_destroy(barrier) };
    }
    // SAFETY: the caller's barrier, which is what it is taken for.
    errno::kept(|| unsafe { &*barrier.cast::<Barrier>() }.destroy());
    0
}
