//! Times of day as logs show them, always in UTC.

use std::fmt::Write as _;
use std::time::SystemTime;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `Sun, 06 Nov 1994 08:49:37 GMT`; a clock that was never set, before 1970, shows its beginning.
fn http_date(now: SystemTime) -> String {
    httpdate::fmt_http_date(now.max(SystemTime::UNIX_EPOCH))
}

/// Appends `[06/Nov/1994:08:49:37 +0000]`, the form of access logs.
pub(crate) fn push_common(out: &mut String, now: SystemTime) {
    let date = http_date(now);
    let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
    let _infallible = write!(out, "[{day}/{month}/{year}:{time} +0000]");
}

/// Appends `1994-11-06T08:49:37Z` (RFC 3339).
pub(crate) fn push_rfc3339(out: &mut String, now: SystemTime) {
    push_rfc3339_without_zone(out, now);
    out.push('Z');
}

/// Appends `1994-11-06T08:49:37.123Z`.
pub(crate) fn push_rfc3339_millis(out: &mut String, now: SystemTime) {
    push_rfc3339_without_zone(out, now);
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.subsec_millis());
    let _infallible = write!(out, ".{millis:03}Z");
}

fn push_rfc3339_without_zone(out: &mut String, now: SystemTime) {
    let date = http_date(now);
    let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
    let month = 1 + MONTHS.iter().position(|name| *name == month).unwrap_or(0);
    let _infallible = write!(out, "{year}-{month:02}-{day}T{time}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_three_forms() {
        let then = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_042);
        for (push, expected) in [
            (
                push_common as fn(&mut String, SystemTime),
                "[06/Nov/1994:08:49:37 +0000]",
            ),
            (push_rfc3339, "1994-11-06T08:49:37Z"),
            (push_rfc3339_millis, "1994-11-06T08:49:37.042Z"),
        ] {
            let mut out = String::new();
            push(&mut out, then);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_clock_before_1970_is_no_panic() {
        let then = SystemTime::UNIX_EPOCH - Duration::from_secs(100);
        for push in [push_common, push_rfc3339, push_rfc3339_millis] {
            let mut out = String::new();
            push(&mut out, then);
            assert!(out.contains("1970"), "{out}");
        }
    }
}
