//! Range requests: RFC 9110, 14.

use std::ops::Range;

/// So many ranges are followed at most. Each costs a few hundred bytes of heads and a seek, and no
/// honest client asks for more (PDF viewers, the most demanding, stay below).
const MOST: usize = 100;

/// What a Range header asks for; see [`parse_range_header`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// There is nothing to follow: the answer is a 200 with all bytes.
    All,
    /// A 206 with these bytes, each `start..end` of them in the order in which they were asked
    /// for; one at least, and none of them empty. More than one need a body of
    /// `multipart/byteranges`.
    Some(Vec<Range<u64>>),
    /// None of it is there: 416, with `Content-Range: bytes */length`.
    Unsatisfiable,
}

/// What the value of a Range header means for `length` bytes: Bottle's `parse_range_header`.
///
/// `Range: bytes=0-99` asks for the first hundred bytes, `bytes=100-` for all behind them and
/// `bytes=-100` for the last hundred. What is malformed, or counted in another unit than bytes, is
/// [`All`](Ranges::All), as RFC 9110 wants, and so is what is meant to be costly: more than 100
/// ranges, or overlapping ones that together are longer than the whole.
///
/// ```
/// use greenway_app::{Ranges, parse_range_header};
///
/// assert_eq!(parse_range_header("bytes=0-3", 10), Ranges::Some(vec![0..4]));
/// assert_eq!(parse_range_header("bytes=8-, -3", 10), Ranges::Some(vec![8..10, 7..10]));
/// assert_eq!(parse_range_header("bytes=10-", 10), Ranges::Unsatisfiable);
/// assert_eq!(parse_range_header("lines=1-2", 10), Ranges::All);
/// ```
#[must_use]
pub fn parse_range_header(value: &str, length: u64) -> Ranges {
    match ranges(value, length) {
        // There is no range of nothing that a 206 could name; clients that always send a Range
        // are better off with a 200 than with an error.
        None => Ranges::All,
        Some(_) if length == 0 => Ranges::All,
        Some(found) if found.is_empty() => Ranges::Unsatisfiable,
        Some(found) => {
            // Each is at most `length`, and there are few, so this does not overflow.
            let sum: u128 = found
                .iter()
                .map(|range| u128::from(range.end - range.start))
                .sum();
            if sum > u128::from(length) {
                Ranges::All
            } else {
                Ranges::Some(found)
            }
        }
    }
}

/// The ranges that can be satisfied; `None` if the header is not to be followed.
fn ranges(value: &str, length: u64) -> Option<Vec<Range<u64>>> {
    let (unit, set) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut found = Vec::new();
    let mut given = 0;
    for element in super::elements(set.as_bytes()) {
        given += 1;
        if given > MOST {
            return None;
        }
        // The element is cut at commas and blanks, so it is as much UTF-8 as the whole.
        let element = std::str::from_utf8(element).ok()?;
        let (first, last) = element.split_once('-')?;
        let (first, last) = (position(first)?, position(last)?);
        let range = match (first, last) {
            (Some(first), Some(last)) if first > last => return None,
            (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
            (Some(first), None) => first..length,
            (None, Some(suffix)) => length.saturating_sub(suffix)..length,
            (None, None) => return None,
        };
        if range.start < range.end {
            found.push(range);
        }
    }
    (given > 0).then_some(found)
}

/// A number or nothing; the outer `None` for what is neither. One that is too large for a u64 is
/// beyond the end of all there is.
#[allow(clippy::option_option)]
fn position(digits: &str) -> Option<Option<u64>> {
    if digits.is_empty() {
        return Some(None);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Some(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(ranges: &[Range<u64>]) -> Ranges {
        Ranges::Some(ranges.to_vec())
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init)]
    fn the_table() {
        use Ranges::{All, Unsatisfiable};
        for (value, length, expected) in [
            ("bytes=0-0", 10, some(&[0..1])),
            ("bytes=0-9", 10, some(&[0..10])),
            ("bytes=0-99", 10, some(&[0..10])),
            ("bytes=5-", 10, some(&[5..10])),
            ("bytes=0-", 10, some(&[0..10])),
            ("bytes=9-9", 10, some(&[9..10])),
            ("bytes=-1", 10, some(&[9..10])),
            ("bytes=-10", 10, some(&[0..10])),
            ("bytes=-99", 10, some(&[0..10])),
            ("Bytes=1-2", 10, some(&[1..3])),
            ("bytes=1-2,", 10, some(&[1..3])),
            ("bytes=,,1-2 ,\t5-6", 10, some(&[1..3, 5..7])),
            ("bytes= 1-2", 10, some(&[1..3])),
            ("bytes =1-2", 10, some(&[1..3])),
            ("bytes=8-9,0-1", 10, some(&[8..10, 0..2])),
            ("bytes=0-0,-1", 10, some(&[0..1, 9..10])),
            ("bytes=0-1,50-60", 10, some(&[0..2])),
            ("bytes=0-1,-0", 10, some(&[0..2])),
            ("bytes=007-008", 10, some(&[7..9])),
            ("bytes=0-99999999999999999999999", 10, some(&[0..10])),
            ("bytes=0-18446744073709551615", 10, some(&[0..10])),
            ("bytes=-99999999999999999999999", 10, some(&[0..10])),
            ("bytes=0-0", u64::MAX, some(&[0..1])),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-12", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=50-60,70-", 10, Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Unsatisfiable),
            // Malformed, or in other units.
            ("", 10, All),
            ("bytes", 10, All),
            ("bytes=", 10, All),
            ("bytes=,", 10, All),
            ("bytes=-", 10, All),
            ("bytes=a-b", 10, All),
            ("bytes=1", 10, All),
            ("bytes=1-2-3", 10, All),
            ("bytes=--1", 10, All),
            ("bytes=+1-2", 10, All),
            ("bytes=1 - 2", 10, All),
            ("bytes=3-2", 10, All),
            ("bytes=0-1,x", 10, All),
            ("bytes=0-1,3-2", 10, All),
            ("bytes=0-1;2-3", 10, All),
            ("bytes=0x1-2", 10, All),
            ("bytes=\u{0661}-", 10, All),
            ("bytes:0-1", 10, All),
            ("items=0-1", 10, All),
            ("bytes=bytes=0-1", 10, All),
            // Of nothing.
            ("bytes=0-", 0, All),
            ("bytes=-1", 0, All),
            ("bytes=0-0", 0, All),
            // More than there is.
            ("bytes=0-,0-", 10, All),
            ("bytes=0-9,0-0", 10, All),
            ("bytes=0-5,5-9", 10, All),
            ("bytes=0-5,2-5", 10, some(&[0..6, 2..6])),
        ] {
            assert_eq!(
                parse_range_header(value, length),
                expected,
                "{value} of {length}"
            );
        }
    }

    #[test]
    fn too_many_are_not_followed() {
        let many = |n: usize| {
            let list: Vec<_> = (0..n).map(|i| format!("{0}-{0}", 2 * i)).collect();
            parse_range_header(&format!("bytes={}", list.join(",")), 1 << 20)
        };
        let Ranges::Some(found) = many(MOST) else {
            panic!("{MOST} ranges are not too many")
        };
        assert_eq!(found.len(), MOST);
        assert_eq!(many(MOST + 1), Ranges::All);
        assert_eq!(many(100_000), Ranges::All);
    }
}
