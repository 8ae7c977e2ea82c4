//! The `Date` of a response (RFC 9110 section 6.6.1), and `Server` beside it.
//!
//! Its resolution is a second, and formatting it costs more than the rest of a
//! small head; so each OS thread keeps the two field lines as they go out, until
//! the next second. Which second it is, is asked of the wall clock only then: in
//! between, the monotonic clock tells that it is not over, and that one a server
//! has looked at anyway. Where somebody sets the wall clock, the date follows
//! within a second.
//!
//! The cache is a `Cell` of plain bytes which is read and written within one
//! call: no green thread can change its place in between, and none can leave it
//! borrowed.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// `Sun, 06 Nov 1994 08:49:37 GMT`: IMF-fixdate always has this length
/// (RFC 9110 section 5.6.7).
const LENGTH: usize = 29;

/// 9999-12-31T23:59:59Z. IMF-fixdate has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

const SERVER: &[u8] = b"server: greenway\r\n";
const DATE: &[u8] = b"date: ";
const LINES: usize = SERVER.len() + DATE.len() + LENGTH + 2;

/// The two lines, and when they are out of date.
#[derive(Clone, Copy)]
struct Stamp {
    until: Option<Instant>,
    lines: [u8; LINES],
}

thread_local! {
    static STAMP: Cell<Stamp> = const {
        Cell::new(Stamp { until: None, lines: [0; LINES] })
    };
}

/// Appends the `Server` field and the `Date` field to `out`, for the moment `now`.
///
/// A clock that stands before 1970 or after 9999 is taken for the nearest
/// second that can be written.
pub(super) fn write_server_and_date(out: &mut Vec<u8>, now: Instant) {
    out.extend_from_slice(&stamp(now).lines);
}

/// Appends the `Date` field to `out`, for the moment `now`.
pub(super) fn write_date(out: &mut Vec<u8>, now: Instant) {
    out.extend_from_slice(&stamp(now).lines[SERVER.len()..]);
}

#[inline]
fn stamp(now: Instant) -> Stamp {
    let stamp = STAMP.get();
    match stamp.until {
        Some(until) if now < until => stamp,
        _ => new_stamp(now),
    }
}

#[cold]
fn new_stamp(now: Instant) -> Stamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let rest = Duration::from_secs(1) - Duration::from_nanos(since.subsec_nanos().into());
    let mut stamp = Stamp {
        until: now.checked_add(rest),
        lines: [0; LINES],
    };
    let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(since.as_secs().min(LAST_SECOND)));
    let mut lines = &mut stamp.lines[..];
    // Cannot fail: up to LAST_SECOND a date has exactly LENGTH bytes.
    lines
        .write_all(SERVER)
        .and_then(|()| lines.write_all(DATE))
        .and_then(|()| write!(lines, "{date}\r\n"))
        .expect("an IMF-fixdate has 29 bytes");
    STAMP.set(stamp);
    stamp
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(lines: &[u8]) -> SystemTime {
        let text = str::from_utf8(lines).unwrap();
        let text = text.strip_prefix("date: ").unwrap();
        let text = text.strip_suffix("\r\n").unwrap();
        assert_eq!(text.len(), LENGTH);
        httpdate::parse_http_date(text).unwrap()
    }

    fn written(now: Instant) -> SystemTime {
        let mut out = Vec::new();
        write_date(&mut out, now);
        date(&out)
    }

    #[test]
    fn the_date_is_now_and_survives_the_cache() {
        for _ in 0..3 {
            let before = SystemTime::now() - Duration::from_secs(1);
            let now = Instant::now();
            let date = written(now);
            assert!(before <= date && date <= SystemTime::now(), "{date:?}");
            let mut both = Vec::new();
            write_server_and_date(&mut both, now);
            let rest = both.strip_prefix(SERVER).unwrap();
            assert_eq!(super::tests::date(rest), date);
        }
    }

    #[test]
    fn a_stamp_holds_until_the_second_is_over() {
        let now = Instant::now();
        let first = written(now);
        let until = STAMP.get().until.unwrap();
        assert!(until > now && until <= now + Duration::from_secs(1));
        // As if it had been made long ago: it is kept to its last moment, and no longer.
        let mut stale = STAMP.get();
        let old = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        stale.lines[SERVER.len()..].copy_from_slice(old);
        STAMP.set(stale);
        assert_eq!(written(until - Duration::from_nanos(1)), date(old));
        assert!(written(until) >= first);
    }
}
