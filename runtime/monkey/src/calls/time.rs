//! Sleeping and giving way.

use crate::patch::{Patch, counts};
use crate::waiting::{wait_quietly, yield_quietly};
use crate::{errno, original};
use greenway_green::Awaited;
use greenway_green::embed::{Io, deadline_in};
use libc::{c_int, c_uint, clockid_t, timespec, useconds_t};
use std::time::{Duration, Instant};

/// Lets others run until `deadline`, or the thread is to end: then it comes back early, as if it had slept.
fn sleep_until(deadline: Option<Instant>) {
    errno::kept(|| {
        let (Ok(()) | Err(_)) = wait_quietly(Awaited::Time, deadline, Io::None, |_| None::<()>);
    });
}

/// As a duration; `None` for what the kernel refuses.
pub(crate) fn duration(time: timespec) -> Option<Duration> {
    let nanos = u32::try_from(time.tv_nsec)
        .ok()
        .filter(|n| *n < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanos))
}

/// When a time of `clock` is reached; `Err` for what the kernel refuses.
pub(crate) fn instant_of(clock: clockid_t, time: timespec) -> Result<Option<Instant>, c_int> {
    let at = duration(time).ok_or(libc::EINVAL)?;
    let mut now = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time lives over the call.
    if unsafe { libc::clock_gettime(clock, &raw mut now) } != 0 {
        return Err(libc::EINVAL);
    }
    let now = duration(now).unwrap_or_default(); // a clock before 1970
    Ok(deadline_in(at.saturating_sub(now)))
}

/// As [`instant_of`], for a function of C's that takes null for "never".
///
/// # Errors
/// The number of an error, for a time or a clock that the C library refuses.
///
/// # Safety
/// `until` is null or a time that can be read.
pub(crate) unsafe fn deadline_of(
    clock: clockid_t,
    until: *const timespec,
) -> Result<Option<Instant>, c_int> {
    // SAFETY: the caller's promise.
    match unsafe { until.as_ref() } {
        Some(until) => instant_of(clock, *until),
        None => Ok(None),
    }
}

/// As [`deadline_of`], for a function that takes how long it may wait, and gives up with `EINVAL`.
///
/// # Errors
/// `EINVAL`, for a time that the kernel refuses.
///
/// # Safety
/// `time` is null or a time that can be read.
pub(crate) unsafe fn deadline_after(time: *const timespec) -> Result<Option<Instant>, c_int> {
    // SAFETY: the caller's promise.
    match unsafe { time.as_ref() } {
        Some(time) => Ok(deadline_in(duration(*time).ok_or(libc::EINVAL)?)),
        None => Ok(None),
    }
}

/// See `nanosleep(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn nanosleep(
    time: *const timespec,
    left: *mut timespec,
) -> c_int {
    if !counts(Patch::SLEEP) || time.is_null() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::nanosleep(time, left) };
    }
    // SAFETY: the caller gives a time that can be read.
    match duration(unsafe { time.read() }) {
        Some(time) => {
            sleep_until(deadline_in(time));
            0
        }
        None => errno::fail(libc::EINVAL),
    }
}

/// See `clock_nanosleep(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    left: *mut timespec,
) -> c_int {
    let known = matches!(
        clock,
        libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC | libc::CLOCK_BOOTTIME
    );
    if !counts(Patch::SLEEP) || !known || time.is_null() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::clock_nanosleep(clock, flags, time, left) };
    }
    // SAFETY: the caller gives a time that can be read.
    let time = unsafe { time.read() };
    let deadline = if flags & libc::TIMER_ABSTIME != 0 {
        instant_of(clock, time)
    } else {
        duration(time).ok_or(libc::EINVAL).map(deadline_in)
    };
    match deadline {
        Ok(deadline) => {
            sleep_until(deadline);
            0
        }
        Err(error) => error, // this call gives it, instead of setting `errno`
    }
}

/// See `usleep(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn usleep(time: useconds_t) -> c_int {
    if !counts(Patch::SLEEP) {
        // SAFETY: takes a number.
        return unsafe { original::usleep(time) };
    }
    sleep_until(deadline_in(Duration::from_micros(time.into())));
    0
}

/// See `sleep(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn sleep(seconds: c_uint) -> c_uint {
    if !counts(Patch::SLEEP) {
        // SAFETY: takes a number.
        return unsafe { original::sleep(seconds) };
    }
    let deadline = deadline_in(Duration::from_secs(seconds.into()));
    sleep_until(deadline);
    // What is left, for one who is to end.
    let left = deadline.map_or(Duration::ZERO, |at| {
        at.saturating_duration_since(Instant::now())
    });
    left.as_millis().div_ceil(1_000) as c_uint
}

/// See `sched_yield(2)`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn sched_yield() -> c_int {
    if !counts(Patch::SLEEP) {
        // SAFETY: takes nothing.
        return unsafe { original::sched_yield() };
    }
    errno::kept(yield_quietly);
    0
}

/// See `pause(2)`: on a green thread until it is to end, since a signal comes to the process.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn pause() -> c_int {
    if !counts(Patch::SLEEP) {
        // SAFETY: takes nothing.
        return unsafe { original::pause() };
    }
    sleep_until(None);
    errno::fail(libc::EINTR)
}
