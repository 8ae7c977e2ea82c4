//! Dates as HTTP writes them (RFC 9110, 5.6.7).

use std::time::{Duration, SystemTime};

/// The first second that has no four digits for its year.
const YEAR_10_000: Duration = Duration::from_secs(253_402_300_800);

/// A time as a header says it: `Sun, 06 Nov 1994 08:49:37 GMT`. A time before 1970 or after 9999 is
/// written as the nearest one within.
///
/// ```
/// use greenway_app::{Response, http_date};
/// use std::time::{Duration, SystemTime};
///
/// let sunset = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
/// let response = Response::new("old").with_header("sunset", http_date(sunset));
/// assert_eq!(response.headers()["sunset"], "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[must_use]
pub fn http_date(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let last = YEAR_10_000 - Duration::from_secs(1);
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since.min(last))
}

/// The time that a header says, in one of the three forms that HTTP has; `None` if it is none of
/// them: Bottle's `parse_date`.
///
/// ```
/// use greenway_app::{http_date, parse_date};
///
/// for date in [
///     "Sun, 06 Nov 1994 08:49:37 GMT",
///     "Sunday, 06-Nov-94 08:49:37 GMT",
///     "Sun Nov  6 08:49:37 1994",
/// ] {
///     assert_eq!(http_date(parse_date(date).unwrap()), "Sun, 06 Nov 1994 08:49:37 GMT");
/// }
/// assert_eq!(parse_date("yesterday"), None);
/// ```
#[must_use]
pub fn parse_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_no_header_can_say_are_the_nearest_that_one_can() {
        let year = Duration::from_secs(366 * 24 * 60 * 60);
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(http_date(epoch - year), "Thu, 01 Jan 1970 00:00:00 GMT");
        let late = http_date(epoch + YEAR_10_000 + year);
        assert_eq!(late, "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
