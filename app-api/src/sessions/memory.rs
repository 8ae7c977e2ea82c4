//! Sessions in the memory of the process.
//!
//! What must stay true: neither the number of sessions nor their bytes exceed their bounds, and no
//! call does work for more than a few of them, however many are over.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::store::{SessionStore, new_token};
use crate::HttpError;

/// Keeps sessions in memory: they end with the process, and are to no other process.
///
/// When it is full, the session goes that was saved the longest ago. A visitor who is kept for no
/// reason takes the place of one who is logged in, so put nothing into the sessions of those of
/// whom there is nothing to be remembered.
///
/// ```
/// use greenway_app::sessions::{MemoryStore, Sessions};
///
/// // At most 10,000 sessions, which take at most 16 MiB.
/// let sessions = Sessions::new(MemoryStore::new(10_000, 16 << 20));
/// ```
pub struct MemoryStore {
    kept: Mutex<Kept>,
    sessions: usize,
    bytes: usize,
}

#[derive(Default)]
struct Kept {
    by_token: HashMap<Arc<str>, Entry>,
    /// From the one that was saved the longest ago.
    by_age: BTreeMap<u64, Arc<str>>,
    saves: u64,
    bytes: usize,
}

struct Entry {
    data: Vec<u8>,
    /// Which save it was: its key in `by_age`.
    save: u64,
    until: Instant,
}

/// What a session takes beside its data: two keys, the token, and room in two maps.
const OVERHEAD: usize = 256;

/// How many that are over are cleared up by one save: more than one, so that it comes to an end.
const CLEARED: usize = 2;

impl MemoryStore {
    /// A store for so many sessions, which take so many bytes.
    ///
    /// # Panics
    ///
    /// When either is 0.
    #[must_use]
    pub fn new(sessions: usize, bytes: usize) -> Self {
        assert!(
            sessions > 0 && bytes > 0,
            "MemoryStore: room for nothing ({sessions} sessions, {bytes} bytes)"
        );
        Self {
            kept: Mutex::default(),
            sessions,
            bytes,
        }
    }

    /// How many sessions there are, those included that are over and not cleared up yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept().by_token.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nobody waits with it.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(
        &self,
        kept: &mut Kept,
        token: Arc<str>,
        data: Vec<u8>,
        now: Instant,
        lifetime: Duration,
    ) {
        kept.forget(&token);
        for _ in 0..CLEARED {
            let oldest = kept.by_age.values().next();
            let over = oldest.filter(|token| kept.by_token[*token].until <= now);
            let Some(over) = over.cloned() else { break };
            kept.forget(&over);
        }
        kept.saves += 1;
        let save = kept.saves;
        kept.bytes += data.len() + OVERHEAD;
        kept.by_age.insert(save, token.clone());
        // Whoever wants it for ever gets as long as a clock has.
        let until = now
            .checked_add(lifetime)
            .unwrap_or(now + super::DAY * 36_500);
        kept.by_token.insert(token, Entry { data, save, until });
        while kept.by_token.len() > self.sessions || kept.bytes > self.bytes {
            // One that is larger than all there is room for goes itself.
            let Some(oldest) = kept.by_age.values().next().cloned() else {
                break;
            };
            kept.forget(&oldest);
        }
    }

    fn load_at(&self, token: &str, now: Instant) -> Option<Vec<u8>> {
        let kept = self.kept();
        let entry = kept.by_token.get(token)?;
        (now < entry.until).then(|| entry.data.clone())
    }
}

impl Kept {
    fn forget(&mut self, token: &str) {
        if let Some(entry) = self.by_token.remove(token) {
            self.bytes -= entry.data.len() + OVERHEAD;
            self.by_age.remove(&entry.save);
        }
    }
}

/// 100,000 sessions and 64 MiB.
impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(100_000, 64 << 20)
    }
}

impl SessionStore for MemoryStore {
    fn load(&self, token: &str) -> Result<Option<Vec<u8>>, HttpError> {
        Ok(self.load_at(token, Instant::now()))
    }

    fn create(&self, data: Vec<u8>, lifetime: Duration) -> Result<String, HttpError> {
        let token = new_token();
        let kept = &mut *self.kept();
        self.save(kept, token.as_str().into(), data, Instant::now(), lifetime);
        Ok(token)
    }

    fn replace(
        &self,
        token: &str,
        data: Vec<u8>,
        lifetime: Duration,
    ) -> Result<Option<String>, HttpError> {
        // Under one lock: nobody can give the session up in between.
        let kept = &mut *self.kept();
        let Some((there, _)) = kept.by_token.get_key_value(token) else {
            return Ok(None);
        };
        self.save(kept, there.clone(), data, Instant::now(), lifetime);
        Ok(Some(token.to_owned()))
    }

    fn remove(&self, token: &str) -> Result<(), HttpError> {
        self.kept().forget(token);
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("MemoryStore")
            .field("sessions", &kept.by_token.len())
            .field("bytes", &kept.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn save(store: &MemoryStore, token: &str, data: &str, now: Instant) {
        let kept = &mut *store.kept();
        store.save(kept, token.into(), data.into(), now, HOUR);
    }

    fn held(store: &MemoryStore, now: Instant) -> String {
        let tokens = ["a", "b", "c", "d", "e"];
        let there = |token: &&str| store.load_at(token, now).is_some();
        tokens.into_iter().filter(there).collect()
    }

    /// What the fields say of one another.
    fn check(store: &MemoryStore) {
        let kept = store.kept();
        assert_eq!(kept.by_age.len(), kept.by_token.len());
        let bytes = kept
            .by_token
            .values()
            .map(|entry| entry.data.len() + OVERHEAD);
        assert_eq!(kept.bytes, bytes.sum::<usize>());
        assert!(kept.bytes <= store.bytes && kept.by_token.len() <= store.sessions);
    }

    #[test]
    fn the_oldest_goes_when_it_is_full() {
        let (store, now) = (MemoryStore::new(3, 1 << 20), Instant::now());
        for token in ["a", "b", "c", "a", "d"] {
            save(&store, token, "x", now);
            check(&store);
        }
        assert_eq!(held(&store, now), "acd");
        let (store, data) = (MemoryStore::new(99, 2000), "x".repeat(500));
        for token in ["a", "b", "c"] {
            save(&store, token, &data, now);
            check(&store);
        }
        assert_eq!(held(&store, now), "bc");
        save(&store, "d", &"x".repeat(5000), now);
        check(&store);
        assert_eq!((held(&store, now).as_str(), store.len()), ("", 0));
    }

    #[test]
    fn what_is_over_is_gone_and_cleared_up_bit_by_bit() {
        let (store, now) = (MemoryStore::default(), Instant::now());
        for token in ["a", "b", "c"] {
            save(&store, token, "x", now);
        }
        assert_eq!(held(&store, now + HOUR / 2), "abc");
        save(&store, "c", "x", now + HOUR / 2);
        assert_eq!(held(&store, now + HOUR), "c");
        assert_eq!(store.len(), 3);
        save(&store, "d", "x", now + HOUR);
        assert_eq!(store.len(), 2);
        check(&store);
        let many = MemoryStore::default();
        for at in 0..1000 {
            save(&many, &at.to_string(), "x", now);
        }
        save(&many, "a", "x", now + HOUR);
        assert_eq!(many.len(), 999, "each save clears up two of them");
    }

    #[test]
    fn what_was_given_up_does_not_come_back() {
        let store = MemoryStore::default();
        let token = store.create(b"1".to_vec(), HOUR).unwrap();
        let saved = store.replace(&token, b"2".to_vec(), HOUR).unwrap();
        assert_eq!(saved.as_ref(), Some(&token));
        assert_eq!(store.load(&token).unwrap().unwrap(), b"2");
        store.remove(&token).unwrap();
        assert_eq!(store.replace(&token, b"3".to_vec(), HOUR).unwrap(), None);
        assert_eq!(store.load(&token).unwrap(), None);
        assert!(store.is_empty());
        store.remove("never there").unwrap();
        let for_ever = store.create(Vec::new(), Duration::MAX).unwrap();
        assert!(store.load(&for_ever).unwrap().is_some());
    }
}
