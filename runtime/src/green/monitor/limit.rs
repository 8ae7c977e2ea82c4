//! How often one may say something, about each kind of thing and altogether.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The same kind is reported once in this time.
const QUIET: Duration = Duration::from_secs(60);
/// So many reports altogether in that time.
const MOST: usize = 20;
/// Kinds that are remembered.
const KINDS: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Limit {
    kinds: HashMap<String, Kind>,
    /// When something was said, within the last [`QUIET`].
    said: Vec<Instant>,
}

#[derive(Debug)]
struct Kind {
    last: Instant,
    unsaid: u64,
}

impl Limit {
    /// Whether something may be said about this kind now, and how often it was not said before
    /// because it might not.
    pub(super) fn admit(&mut self, kind: &str, now: Instant) -> Option<u64> {
        let recent = |at: Instant| now.saturating_duration_since(at) < QUIET;
        self.said.retain(|at| recent(*at));
        let full = self.said.len() >= MOST;
        if let Some(known) = self.kinds.get_mut(kind) {
            if full || recent(known.last) {
                known.unsaid += 1;
                return None;
            }
            known.last = now;
            self.said.push(now);
            return Some(std::mem::take(&mut known.unsaid));
        }
        if full {
            return None;
        }
        if self.kinds.len() >= KINDS {
            self.kinds.retain(|_, known| recent(known.last)); // at most MOST of them
        }
        self.said.push(now);
        let new = Kind {
            last: now,
            unsaid: 0,
        };
        self.kinds.insert(kind.to_owned(), new);
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_once_in_a_while_and_all_of_them_not_too_often() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = Limit::default();
        assert_eq!(limit.admit("a", at(0)), Some(0));
        assert_eq!(limit.admit("a", at(1)), None);
        assert_eq!(limit.admit("a", at(59)), None);
        assert_eq!(limit.admit("b", at(59)), Some(0), "another kind");
        assert_eq!(limit.admit("a", at(60)), Some(2), "two were not said");
        assert_eq!(limit.admit("a", at(121)), Some(0));

        let admitted = (0..1000)
            .filter(|n| limit.admit(&format!("kind {n}"), at(300)).is_some())
            .count();
        assert_eq!(admitted, MOST);
        for n in 0..100_000 {
            let _ = limit.admit(&format!("new kind {n}"), at(400 + n));
        }
        assert!(limit.kinds.len() <= KINDS);
    }
}
