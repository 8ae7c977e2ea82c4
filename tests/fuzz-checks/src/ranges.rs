//! Range headers, beside a second reader that was written from the grammar of RFC 9110, 14.1.

use greenway_app::{Ranges, parse_range_header};
use std::ops::Range;

/// What the library follows at most, as its documentation says.
const MOST: usize = 100;

/// The first bytes of an input are the length, in little-endian order.
pub(crate) fn check(input: &[u8]) {
    let Some((length, value)) = input.split_first_chunk::<3>() else {
        return;
    };
    let Ok(value) = std::str::from_utf8(value) else {
        return;
    };
    let [a, b, c] = *length;
    let length = u64::from(u32::from_le_bytes([a, b, c, 0]));
    let found = parse_range_header(value, length);
    assert_eq!(found, read(value, length), "{value:?} of {length}");
    if let Ranges::Some(ranges) = &found {
        assert!(!ranges.is_empty() && ranges.len() <= MOST);
        for range in ranges {
            assert!(range.start < range.end && range.end <= length);
        }
        // What was found means itself.
        let list: Vec<_> = ranges
            .iter()
            .map(|range| format!("{}-{}", range.start, range.end - 1))
            .collect();
        let again = parse_range_header(&format!("bytes={}", list.join(",")), length);
        assert_eq!(again, found);
    }
}

fn read(value: &str, length: u64) -> Ranges {
    let Some(wanted) = wanted(value) else {
        return Ranges::All;
    };
    if length == 0 {
        return Ranges::All;
    }
    let satisfiable: Vec<Range<u64>> = wanted
        .into_iter()
        .map(|one| match one {
            Wanted::From(first) => first..u128::from(length),
            Wanted::Within(first, last) => first..(last + 1).min(u128::from(length)),
            Wanted::Last(suffix) => u128::from(length).saturating_sub(suffix)..u128::from(length),
        })
        .filter(|range| range.start < range.end)
        // Both ends are at most the length by now.
        .map(|range| range.start as u64..range.end as u64)
        .collect();
    let sum: u64 = satisfiable
        .iter()
        .map(|range| range.end - range.start)
        .sum();
    if satisfiable.is_empty() {
        Ranges::Unsatisfiable
    } else if sum > length {
        Ranges::All
    } else {
        Ranges::Some(satisfiable)
    }
}

enum Wanted {
    From(u128),
    Within(u128, u128),
    Last(u128),
}

/// A ranges-specifier of bytes, or `None`.
fn wanted(value: &str) -> Option<Vec<Wanted>> {
    let equals = value.find('=')?;
    if value[..equals].trim().to_lowercase() != "bytes" {
        return None;
    }
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c');
    let mut found = Vec::new();
    for element in value[equals + 1..].split(',') {
        let element = element.trim_matches(blank);
        if element.is_empty() {
            continue;
        }
        let dash = element.find('-')?;
        let (first, last) = (number(&element[..dash])?, number(&element[dash + 1..])?);
        found.push(match (first, last) {
            (None, None) => return None,
            (Some(first), Some(last)) if last < first => return None,
            (Some(first), Some(last)) => Wanted::Within(first, last),
            (Some(first), None) => Wanted::From(first),
            (None, Some(last)) => Wanted::Last(last),
        });
    }
    (1..=MOST).contains(&found.len()).then_some(found)
}

/// Digits, or nothing at all. All numbers that are too large are one.
fn number(digits: &str) -> Option<Option<u128>> {
    if digits.is_empty() {
        return Some(None);
    }
    let mut value = 0_u128;
    for digit in digits.chars() {
        let digit = match digit {
            '0'..='9' => digit as u128 - '0' as u128,
            _ => return None,
        };
        value = (value * 10 + digit).min(u128::from(u64::MAX));
    }
    Some(Some(value))
}
