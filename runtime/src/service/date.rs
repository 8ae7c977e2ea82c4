//! The `Date` that responses of this OS thread carry.
//!
//! The protocol crate looks at no clock; this module does, for all who write a response. Each OS
//! thread has a cache of its own. It is a plain value that is taken out and put back within one
//! call, so no green thread can leave it borrowed.

use greenway_proto::http1::{Date, DateCache};
use std::cell::Cell;
use std::time::{Instant, SystemTime};

thread_local!(static CACHE: Cell<DateCache> = const { Cell::new(DateCache::new()) });

/// The date of the moment `now`, which is the present.
#[inline]
pub(crate) fn date(now: Instant) -> Date {
    match CACHE.get().get(now) {
        Some(date) => date,
        None => new_date(now),
    }
}

#[cold]
fn new_date(now: Instant) -> Date {
    let mut cache = CACHE.get();
    let date = cache.renew(now, SystemTime::now());
    CACHE.set(cache);
    date
}
