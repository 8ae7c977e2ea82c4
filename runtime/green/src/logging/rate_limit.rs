//! [`RateLimit`]: how many lines may be logged, about each kind of thing and altogether. A log that
//! is flooded tells nothing, and fills the disk.
//!
//! What must stay true: every line that is not logged is counted, and the memory that this takes is
//! bounded, whatever number of kinds there is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Kinds that are remembered: more than the lines that a window may have.
const KINDS: usize = 256;

#[derive(Debug)]
/// Says which lines may be written, and counts the others.
pub struct RateLimit {
    window: Duration,
    /// Of one kind, so many may be said within a window that begins with the first of them.
    each: usize,
    /// And so many altogether within any such time.
    most: usize,
    kinds: HashMap<String, Kind>,
    /// When something was said, within the last window.
    said: Vec<Instant>,
    /// Unsaid, of kinds that are not remembered.
    others: u64,
}

#[derive(Debug)]
struct Kind {
    since: Instant,
    said: usize,
    unsaid: u64,
}

impl RateLimit {
    /// Within `window`, which begins with the first of them, `each` of a kind may be said, and `most`
    /// within any such time altogether.
    ///
    /// # Panics
    /// When `most` is more than 255.
    pub fn new(window: Duration, each: usize, most: usize) -> Self {
        assert!(most < KINDS, "those of a window are remembered");
        Self {
            window,
            each,
            most,
            kinds: HashMap::new(),
            said: Vec::new(),
            others: 0,
        }
    }

    /// Whether something may be said about this kind now, and how often it was not said before
    /// because it might not.
    pub fn admit(&mut self, kind: &str, now: Instant) -> Option<u64> {
        let recent = |at: Instant| now.saturating_duration_since(at) < self.window;
        self.said.retain(|at| recent(*at));
        let full = self.said.len() >= self.most;
        if let Some(known) = self.kinds.get_mut(kind) {
            let over = !recent(known.since);
            if full || !(over || known.said < self.each) {
                known.unsaid += 1;
                return None;
            }
            if over {
                known.since = now;
                known.said = 0;
            }
            known.said += 1;
            self.said.push(now);
            return Some(std::mem::take(&mut known.unsaid));
        }
        if full {
            self.others += 1;
            return None;
        }
        if self.kinds.len() >= KINDS {
            // Something was said of those that stay: they are `most` at most.
            let others = &mut self.others;
            self.kinds.retain(|_, known| {
                let stays = recent(known.since);
                *others += if stays { 0 } else { known.unsaid };
                stays
            });
        }
        self.said.push(now);
        let new = Kind {
            since: now,
            said: 1,
            unsaid: 0,
        };
        self.kinds.insert(kind.to_owned(), new);
        Some(0)
    }

    /// Takes the counts of what was not said, of kinds whose window is over at `now`; of all kinds
    /// if there is no `now`. `None` stands for kinds that are not remembered.
    pub fn take_unsaid(&mut self, now: Option<Instant>) -> Vec<(Option<String>, u64)> {
        let mut counts = Vec::new();
        for (kind, known) in &mut self.kinds {
            let over =
                now.is_none_or(|now| now.saturating_duration_since(known.since) >= self.window);
            if over && known.unsaid > 0 {
                counts.push((Some(kind.clone()), std::mem::take(&mut known.unsaid)));
            }
        }
        if self.others > 0 {
            counts.push((None, std::mem::take(&mut self.others)));
        }
        counts
    }

    /// Whether something was not said, and its count not taken.
    pub fn has_unsaid(&self) -> bool {
        self.others > 0 || self.kinds.values().any(|known| known.unsaid > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn each_kind_once_in_a_while_and_all_of_them_not_too_often() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = RateLimit::new(WINDOW, 1, 20);
        assert_eq!(limit.admit("a", at(0)), Some(0));
        assert_eq!(limit.admit("a", at(1)), None);
        assert_eq!(limit.admit("a", at(59)), None);
        assert_eq!(limit.admit("b", at(59)), Some(0), "another kind");
        assert_eq!(limit.admit("a", at(60)), Some(2), "two were not said");
        assert_eq!(limit.admit("a", at(121)), Some(0));

        let admitted = (0..1000)
            .filter(|n| limit.admit(&format!("kind {n}"), at(300)).is_some())
            .count();
        assert_eq!(admitted, 20);
        assert_eq!(limit.take_unsaid(Some(at(300))), [(None, 980)]);
        for n in 0..100_000 {
            let _ = limit.admit(&format!("new kind {n}"), at(400 + n));
        }
        assert!(limit.kinds.len() <= KINDS);
    }

    #[test]
    fn the_first_few_of_a_window_and_then_a_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = RateLimit::new(WINDOW, 10, 100);
        let admitted = (0..200)
            .filter(|n| limit.admit("a", at(n / 10)).is_some())
            .count();
        assert_eq!(admitted, 10);
        assert!(limit.has_unsaid());
        assert_eq!(limit.take_unsaid(Some(at(59))), []);
        let count = [(Some("a".to_owned()), 190)];
        assert_eq!(limit.take_unsaid(Some(at(60))), count);
        assert!(!limit.has_unsaid());

        for n in 0..12 {
            let expected = (n < 10).then_some(0);
            assert_eq!(limit.admit("a", at(61)), expected, "a window of its own");
        }
        assert_eq!(limit.admit("a", at(121)), Some(2), "the next one tells");
        for _ in 0..12 {
            let _ = limit.admit("a", at(122));
        }
        let rest = [(Some("a".to_owned()), 3)];
        assert_eq!(limit.take_unsaid(None), rest, "without waiting for its end");
    }

    #[test]
    fn no_count_is_lost_with_a_kind_that_is_forgotten() {
        let start = Instant::now();
        let mut limit = RateLimit::new(WINDOW, 1, 20);
        let (mut admitted, mut told) = (0, 0);
        for n in 0..2000 {
            let now = start + Duration::from_secs(n * 3);
            let kind = format!("kind {}", n / 2); // each twice
            if let Some(unsaid) = limit.admit(&kind, now) {
                (admitted, told) = (admitted + 1, told + unsaid);
            }
        }
        told += limit.take_unsaid(None).iter().map(|(_, n)| n).sum::<u64>();
        assert_eq!((admitted, told), (1000, 1000));
    }
}
