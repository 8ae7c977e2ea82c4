//! Futexes: what std's locks, conditions, barriers and `Once` wait with, and `parking_lot`.
//!
//! Rust's std reaches them through the C function `syscall`. It takes a different number of arguments for each
//! call; here it takes as many as any of them has, of which a shorter call's last ones mean nothing and
//! are passed on.

use super::table::{self, Outcome};
use super::{parking, suspects};
use crate::calls::instant_of;
use crate::descriptor::Errno;
use crate::patch::{Patch, counts, is_patched};
use crate::waiting::yield_quietly;
use crate::{errno, original};
use greenway_green::embed::{deadline_in, turn_is_over};
use libc::{c_int, c_long, timespec};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The kinds of wake that a plain wait takes: all.
const ANY: u32 = u32::MAX;

/// What a mutex of std's holds that is locked and waited for.
const CONTENDED: u32 = 2;

/// A word that other processes may change as well is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// See `syscall(2)`.
///
/// # Safety
/// That of the system call.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    if number == libc::SYS_futex && is_patched(Patch::LOCKS) {
        let before = errno::get();
        // SAFETY: the caller's arguments.
        let result = unsafe { futex(a, b, c, d, e, f) };
        if result >= 0 {
            errno::set(before);
        }
        return result;
    }
    // SAFETY: the caller's arguments, unchanged.
    unsafe { original::syscall(number, [a, b, c, d, e, f]) }
}

/// # Safety
/// That of `futex(2)`: `a` is the address of a word that others change atomically.
unsafe fn futex(a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long {
    let address = a as usize;
    let operation = b as c_int;
    let private = operation & libc::FUTEX_PRIVATE_FLAG != 0;
    // SAFETY: the caller's arguments, unchanged.
    let call = || unsafe { original::syscall(libc::SYS_futex, [a, b, c, d, e, f]) };
    let plain = operation & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    match plain {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => {
            if let Some(result) = parking::captured(address) {
                return result;
            }
            if !counts(Patch::LOCKS) || address == 0 || !address.is_multiple_of(4) {
                return call();
            }
            let absolute = plain == libc::FUTEX_WAIT_BITSET;
            let realtime = operation & libc::FUTEX_CLOCK_REALTIME != 0;
            // SAFETY: null or a time that can be read.
            let deadline = match unsafe { deadline(d as *const timespec, absolute, realtime) } {
                Ok(deadline) => deadline,
                Err(Errno(error)) => return errno::fail(error),
            };
            let takes = if absolute { f as u32 } else { ANY };
            // SAFETY: the caller's word, aligned and atomic, lives over the call.
            let word = unsafe { AtomicU32::from_ptr(address as *mut u32) };
            let expected = c as u32;
            if plain == libc::FUTEX_WAIT && expected == 1 {
                suspects::parking_lot(address);
            }
            wait(word, expected, takes, deadline, private)
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => {
            if table::is_empty() {
                return call();
            }
            let kind = if plain == libc::FUTEX_WAKE_BITSET {
                f as u32
            } else {
                ANY
            };
            let most = usize::try_from(c as c_int).unwrap_or(usize::MAX);
            let kernel = |most: usize| {
                let most = c_long::from(c_int::try_from(most).unwrap_or(c_int::MAX));
                // SAFETY: the caller's arguments, but for how many.
                unsafe { original::syscall(libc::SYS_futex, [a, b, most, d, e, f]) }
            };
            wake(address, most, kind, kernel)
        }
        // Whoever is moved to another word, waits in the kernel; ours are woken, as the call may.
        libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE | libc::FUTEX_WAKE_OP => {
            let result = call();
            if result >= 0 {
                table::wake(address, usize::MAX, ANY);
                table::wake(e as usize, usize::MAX, ANY);
            }
            result
        }
        _ => call(),
    }
}

/// # Safety
/// `time` is null or can be read.
unsafe fn deadline(
    time: *const timespec,
    absolute: bool,
    realtime: bool,
) -> Result<Option<Instant>, Errno> {
    // SAFETY: the caller's promise.
    let Some(time) = (unsafe { time.as_ref() }) else {
        return Ok(None);
    };
    if absolute {
        let clock = if realtime {
            libc::CLOCK_REALTIME
        } else {
            libc::CLOCK_MONOTONIC
        };
        return instant_of(clock, *time).map_err(Errno);
    }
    let refused = Errno(libc::EINVAL);
    let nanos = u32::try_from(time.tv_nsec)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000);
    let seconds = u64::try_from(time.tv_sec).map_err(|_| refused)?;
    Ok(deadline_in(Duration::new(seconds, nanos.ok_or(refused)?)))
}

fn wait(
    word: &AtomicU32,
    expected: u32,
    takes: u32,
    deadline: Option<Instant>,
    private: bool,
) -> c_long {
    if parking::is_parker(word, expected) {
        return parking::park(word, deadline);
    }
    if turn_is_over() {
        yield_quietly();
    }
    let address = word.as_ptr() as usize;
    let holds = || word.load(Ordering::SeqCst) == expected;
    let mut told = expected != CONTENDED;
    loop {
        let look = match private {
            true if told => None,
            true => deadline_in(suspects::LONG),
            false => deadline_in(LOOK_AGAIN),
        };
        let until = look.into_iter().chain(deadline).min();
        return match table::wait("futex", address, takes, until, holds) {
            // One who is to end wakes for no reason, as it may: a lock that it waits for is looked at
            // again, a condition as well.
            Outcome::Woken | Outcome::Interrupted => 0,
            Outcome::NotNow => errno::fail(libc::EAGAIN),
            Outcome::TimedOut if deadline.is_some_and(|at| at <= Instant::now()) => {
                errno::fail(libc::ETIMEDOUT)
            }
            Outcome::TimedOut if holds() => {
                if private && !told {
                    told = true;
                    suspects::held_lock(address);
                }
                continue;
            }
            Outcome::TimedOut => 0,
        };
    }
}

/// Wakes up to `most` of those who wait: ours, and those of the kernel. Where there are both, they are first
/// by turns, so that neither waits for ever while the others come and go.
fn wake(address: usize, most: usize, kind: u32, kernel: impl Fn(usize) -> c_long) -> c_long {
    static TURNS: AtomicUsize = AtomicUsize::new(0);
    let turn = TURNS.fetch_add(1, Ordering::Relaxed);
    let ours = |most: usize| table::wake(address, most, kind) as c_long;
    let first = if turn.is_multiple_of(2) {
        ours(most)
    } else {
        kernel(most)
    };
    if first < 0 {
        return first;
    }
    let left = most - (first as usize).min(most);
    if left == 0 {
        return first;
    }
    let second = if turn.is_multiple_of(2) {
        kernel(left)
    } else {
        ours(left)
    };
    first + second.max(0)
}
