//! The `Date` of a response (RFC 9110 section 6.6.1).
//!
//! Its resolution is a second, and formatting it costs more than the rest of a
//! small head; so each OS thread keeps the last one. The cache is a `Cell` of
//! plain bytes which is read and written within one call: no green thread can
//! change its place in between, and none can leave it borrowed.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// `Sun, 06 Nov 1994 08:49:37 GMT`: IMF-fixdate always has this length
/// (RFC 9110 section 5.6.7).
const LENGTH: usize = 29;

/// 9999-12-31T23:59:59Z. IMF-fixdate has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

thread_local! {
    /// The second that was formatted last; its date.
    static CACHE: Cell<(u64, [u8; LENGTH])> = const { Cell::new((u64::MAX, [0; LENGTH])) };
}

/// Appends the date of now, 29 bytes, to `out`.
///
/// A clock that stands before 1970 or after 9999 is taken for the nearest
/// second that can be written.
pub(crate) fn write_date(out: &mut Vec<u8>) {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let second = since.as_secs().min(LAST_SECOND);
    let (cached, mut date) = CACHE.get();
    if cached != second {
        date = format(second);
        CACHE.set((second, date));
    }
    out.extend_from_slice(&date);
}

fn format(second: u64) -> [u8; LENGTH] {
    let mut date = [b' '; LENGTH];
    let time = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
    // Cannot fail: up to LAST_SECOND a date has exactly LENGTH bytes.
    write!(&mut date[..], "{time}").expect("an IMF-fixdate has 29 bytes");
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_imf_fixdates() {
        for (second, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_210_096, "Thu, 29 Feb 2024 12:34:56 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(str::from_utf8(&format(second)).unwrap(), date);
        }
    }

    #[test]
    fn the_date_is_now_and_survives_the_cache() {
        for _ in 0..3 {
            let before = SystemTime::now() - Duration::from_secs(1);
            let mut out = b"date: ".to_vec();
            write_date(&mut out);
            let text = str::from_utf8(&out[6..]).unwrap();
            let date = httpdate::parse_http_date(text).unwrap();
            assert!(before <= date && date <= SystemTime::now(), "{text}");
        }
    }

    #[test]
    fn a_new_second_replaces_the_cached_one() {
        let stale = (12345, *b"Thu, 01 Jan 1970 03:25:45 GMT");
        CACHE.set(stale);
        let mut out = Vec::new();
        write_date(&mut out);
        assert_ne!(out, stale.1);
        assert_ne!(CACHE.get().0, stale.0);
    }
}
