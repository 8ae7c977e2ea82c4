//! The `Date` of a response (RFC 9110 section 6.6.1), and `Server` beside it.
//!
//! A [`Date`] holds the two field lines as they go out. Formatting them costs more than the rest
//! of a small head, and they change once a second, so a [`DateCache`] keeps them until the second
//! is over.
//!
//! This crate looks at no clock. Whoever owns a cache (a server has one for each OS thread) passes
//! the moment in: of the monotonic clock for each response, which a server reads anyway, and of
//! the wall clock only when the cache asks for a new date. Where somebody sets the wall clock, the
//! date follows within a second.

use std::fmt;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// `Sun, 06 Nov 1994 08:49:37 GMT`: IMF-fixdate always has this length
/// (RFC 9110 section 5.6.7).
const LENGTH: usize = 29;

/// 9999-12-31T23:59:59Z. IMF-fixdate has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

/// The value of the field `Server`.
pub(crate) const SERVER_NAME: &str = "greenway";
const SERVER: &[u8] = b"server: greenway\r\n";
const DATE: &[u8] = b"date: ";
const LINES: usize = SERVER.len() + DATE.len() + LENGTH + 2;

/// A second, as the field lines `Server` and `Date` of a response.
///
/// ```
/// use greenway_proto::http1::Date;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let date = Date::at(UNIX_EPOCH + Duration::from_secs(784_111_777));
/// assert_eq!(date.as_str(), "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Date {
    lines: [u8; LINES],
}

impl Date {
    /// The second that holds the moment `wall`. A clock that stands before 1970 or after 9999 is
    /// taken for the nearest second that can be written.
    #[must_use]
    pub fn at(wall: SystemTime) -> Self {
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = Duration::from_secs(since.as_secs().min(LAST_SECOND));
        let date = HttpDate::from(UNIX_EPOCH + second);
        let mut lines = [0; LINES];
        let mut rest = &mut lines[..];
        // Cannot fail: up to LAST_SECOND a date has exactly LENGTH bytes.
        rest.write_all(SERVER)
            .and_then(|()| rest.write_all(DATE))
            .and_then(|()| write!(rest, "{date}\r\n"))
            .expect("an IMF-fixdate has 29 bytes");
        Self { lines }
    }

    /// The value of the field `Date`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let start = SERVER.len() + DATE.len();
        str::from_utf8(&self.lines[start..start + LENGTH]).expect("a date is ASCII")
    }

    /// The field lines `Server` and `Date`, each with its CRLF.
    #[inline]
    pub(super) fn server_and_date(&self) -> &[u8] {
        &self.lines
    }

    /// The field line `Server` with its CRLF.
    pub(super) fn server(&self) -> &[u8] {
        &self.lines[..SERVER.len()]
    }

    /// The field line `Date` with its CRLF.
    pub(super) fn date(&self) -> &[u8] {
        &self.lines[SERVER.len()..]
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Date").field(&self.as_str()).finish()
    }
}

/// A [`Date`] that is formatted anew only when its second is over.
///
/// It is a plain value that can be copied, so it fits a thread-local `Cell`, which no green thread
/// can leave borrowed.
///
/// ```
/// use greenway_proto::http1::{Date, DateCache};
/// use std::time::{Duration, Instant, UNIX_EPOCH};
///
/// let (now, wall) = (Instant::now(), UNIX_EPOCH + Duration::from_millis(1_250));
/// let mut cache = DateCache::new();
/// assert_eq!(cache.get(now), None);
/// assert_eq!(cache.renew(now, wall), Date::at(wall));
/// // The second of `wall` lasts for another three quarters.
/// assert_eq!(cache.get(now + Duration::from_millis(749)), Some(Date::at(wall)));
/// assert_eq!(cache.get(now + Duration::from_millis(750)), None);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DateCache {
    date: Date,
    /// When the date's second is over; `None` if there is no date yet.
    until: Option<Instant>,
}

impl Default for DateCache {
    fn default() -> Self {
        Self::new()
    }
}

impl DateCache {
    /// A cache without a date.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            date: Date {
                lines: [b' '; LINES],
            },
            until: None,
        }
    }

    /// The date, if `now` is still within its second.
    #[inline]
    #[must_use]
    pub fn get(&self, now: Instant) -> Option<Date> {
        match self.until {
            Some(until) if now < until => Some(self.date),
            _ => None,
        }
    }

    /// Makes the date of `wall`, which is the same moment as `now`, and keeps it until its second
    /// is over.
    pub fn renew(&mut self, now: Instant, wall: SystemTime) -> Date {
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let rest = Duration::from_secs(1) - Duration::from_nanos(since.subsec_nanos().into());
        self.date = Date::at(wall);
        self.until = now.checked_add(rest);
        self.date
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(date: &Date) -> SystemTime {
        let text = str::from_utf8(date.date()).unwrap();
        let text = text.strip_prefix("date: ").unwrap();
        let text = text.strip_suffix("\r\n").unwrap();
        assert_eq!((text.len(), text), (LENGTH, date.as_str()));
        assert_eq!(date.server(), SERVER);
        assert_eq!(
            date.server_and_date(),
            [date.server(), date.date()].concat()
        );
        httpdate::parse_http_date(text).unwrap()
    }

    #[test]
    fn the_date_is_now_and_survives_the_cache() {
        let mut cache = DateCache::new();
        for _ in 0..3 {
            let before = SystemTime::now() - Duration::from_secs(1);
            let now = Instant::now();
            let date = match cache.get(now) {
                Some(date) => date,
                None => cache.renew(now, SystemTime::now()),
            };
            let date = parsed(&date);
            assert!(before <= date && date <= SystemTime::now(), "{date:?}");
        }
    }

    #[test]
    fn a_date_holds_until_its_second_is_over() {
        let (now, wall) = (Instant::now(), UNIX_EPOCH + Duration::new(784_111_777, 1));
        let mut cache = DateCache::new();
        let date = cache.renew(now, wall);
        assert_eq!(parsed(&date), UNIX_EPOCH + Duration::from_secs(784_111_777));
        let until = now + Duration::from_nanos(999_999_999);
        assert_eq!(cache.get(until - Duration::from_nanos(1)), Some(date));
        assert_eq!(cache.get(until), None);
    }

    #[test]
    fn clocks_that_stand_outside_of_the_calendar() {
        let early = Date::at(UNIX_EPOCH - Duration::from_secs(5));
        assert_eq!(early.as_str(), "Thu, 01 Jan 1970 00:00:00 GMT");
        let late = Date::at(UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 5));
        assert_eq!(late.as_str(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
