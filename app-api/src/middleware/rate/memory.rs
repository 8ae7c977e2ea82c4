//! Clients counted in a table of fixed size.
//!
//! The table is like the cache of a processor: a key belongs to one small set of places, by a hash
//! that nobody can foretell, and takes the place of the one in it that has asked least of late.
//! Nothing is ever searched or swept, and nothing grows.

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Quota, RateStore};

/// Places in a set.
const PLACES: usize = 8;

/// The store of a [`RateLimit`](super::RateLimit) in memory, 16 bytes for each client.
///
/// A client that loses its place to another begins anew: with more clients than places, some may
/// ask more often than the quota says, and nobody less often.
pub struct MemoryRates {
    sets: Box<[Mutex<[Place; PLACES]>]>,
    hashes: RandomState,
    start: Instant,
}

/// A client, by the hash of its key, and when it will have all its requests back, in nanoseconds
/// since the start. A free place is one whose time is over.
#[derive(Clone, Copy, Default)]
struct Place {
    client: u64,
    full_at: u64,
}

impl MemoryRates {
    /// The clients that there is room for unless one says otherwise.
    pub const CLIENTS: usize = 1 << 16;

    /// A table with room for so many clients, rounded up.
    #[must_use]
    pub fn new(clients: usize) -> Self {
        let sets = clients.div_ceil(PLACES).max(1);
        Self {
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            hashes: RandomState::new(),
            start: Instant::now(),
        }
    }

    /// As [`RateStore::take`], at this time since the start.
    fn take_at(&self, key: &str, quota: Quota, now: Duration) -> Option<Duration> {
        let client = self.hashes.hash_one(key);
        let now = nanos(now);
        let interval = nanos(quota.interval());
        let all = nanos(quota.period);
        // As many as there are sets.
        let set = &self.sets[(client % self.sets.len() as u64) as usize];
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match set.iter_mut().position(|place| place.client == client) {
            Some(at) => &mut set[at],
            None => {
                let idlest = set.iter_mut().min_by_key(|place| place.full_at)?;
                *idlest = Place { client, full_at: 0 };
                idlest
            }
        };
        let full_at = place.full_at.max(now).saturating_add(interval);
        // One more than all that it may have is wanted, if it has them back only after a period.
        match full_at.saturating_sub(now).checked_sub(all) {
            None | Some(0) => {
                place.full_at = full_at;
                None
            }
            Some(early) => Some(Duration::from_nanos(early)),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl RateStore for MemoryRates {
    fn take(
        &self,
        key: &str,
        quota: Quota,
    ) -> Result<Option<Duration>, Box<dyn Error + Send + Sync>> {
        Ok(self.take_at(key, quota, self.start.elapsed()))
    }
}

impl fmt::Debug for MemoryRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRates")
            .field("clients", &(self.sets.len() * PLACES))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn quota(requests: u32, seconds: u64) -> Quota {
        Quota {
            requests,
            period: SECOND * u32::try_from(seconds).unwrap(),
        }
    }

    #[test]
    fn requests_come_back_one_by_one() {
        let rates = MemoryRates::new(10);
        let quota = quota(3, 6);
        let ask = |ms| rates.take_at("a", quota, Duration::from_millis(ms));
        let wait = |ms| Some(Duration::from_millis(ms));
        assert_eq!([ask(0), ask(0), ask(0)], [None; 3], "all at once");
        assert_eq!(ask(0), wait(2000));
        assert_eq!(ask(500), wait(1500), "a refusal costs nothing");
        assert_eq!(ask(2000), None);
        assert_eq!(ask(2000), wait(2000));
        assert_eq!([ask(6000), ask(6000)], [None; 2]);
        assert_eq!(ask(6001), wait(1999));
        assert_eq!(
            [ask(60_000), ask(60_000), ask(60_000)],
            [None; 3],
            "no more than all"
        );
        assert_eq!(ask(60_000), wait(2000));
    }

    #[test]
    fn odd_quotas() {
        let rates = MemoryRates::new(0);
        let one = quota(1, 1);
        assert_eq!(rates.take_at("a", one, SECOND), None);
        assert_eq!(rates.take_at("a", one, SECOND), Some(SECOND));
        let ages = Quota {
            requests: u32::MAX,
            period: Duration::MAX,
        };
        assert_eq!(rates.take_at("b", ages, SECOND), None);
        let none = Quota {
            requests: 0,
            period: Duration::ZERO,
        };
        assert_eq!(rates.take_at("c", none, SECOND), None);
        let thirds = quota(3, 1); // whose interval is rounded down
        let taken = (0..4).filter(|_| rates.take_at("d", thirds, SECOND).is_none());
        assert_eq!(taken.count(), 3);
    }

    #[test]
    fn a_full_table_forgets_the_idlest() {
        let rates = MemoryRates::new(1);
        let quota = quota(2, 100);
        let busy = || rates.take_at("busy", quota, SECOND);
        assert_eq!([busy(), busy()], [None, None]);
        for n in 0..1000 {
            assert_eq!(rates.take_at(&n.to_string(), quota, SECOND), None, "{n}");
        }
        assert!(busy().is_some(), "the busiest keeps its place");
        assert_eq!(format!("{rates:?}"), "MemoryRates { clients: 8, .. }");
    }
}
