//! What a certificate says (RFC 5280), as far as it is shown: whose it is, from when until when, and
//! for which names. Whether it is to be believed is rustls' business.
//!
//! A small reader of DER, since what it takes is small: lengths are checked, nothing recurses, and
//! what is not understood gives `None` or is left out.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// As RFC 4514 writes it: the most particular part first, `CN=Ada,O=Example`.
    pub(super) subject: String,
    pub(super) common_name: Option<String>,
    pub(super) issuer: String,
    /// In hexadecimal.
    pub(super) serial: String,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    /// It says for whom it is where clients look for that; a common name alone counts no more.
    pub(super) has_alternative_names: bool,
    pub(super) dns_names: Vec<String>,
    pub(super) emails: Vec<String>,
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BMP_STRING: u8 = 0x1e;
const T61_STRING: u8 = 0x14;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BOOLEAN: u8 = 0x01;
/// Of a certificate: its version, and its extensions.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// Of a subject's alternative names.
const EMAIL: u8 = 0x81;
const DNS_NAME: u8 = 0x82;

/// 2.5.29.17: the alternative names of the subject.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.4.3: the common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The short names of RFC 4514, and those that OpenSSL shows beside them.
const SHORT_NAMES: &[(&[u8], &str)] = &[
    (COMMON_NAME, "CN"),
    (&[0x55, 0x04, 0x04], "SN"),
    (&[0x55, 0x04, 0x05], "serialNumber"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x09], "street"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x55, 0x04, 0x0c], "title"),
    (&[0x55, 0x04, 0x2a], "GN"),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01],
        "emailAddress",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19],
        "DC",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01],
        "UID",
    ),
];

/// What is left to be read.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            let (digits, rest) = rest.split_at_checked(count)?;
            let length = digits
                .iter()
                .fold(0, |length, digit| (length << 8) | usize::from(*digit));
            (length, rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which has this tag.
    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let (tag, content) = self.next()?;
        (tag == wanted).then_some(content)
    }

    /// As [`take`](Self::take), of one that may be missing.
    fn take_if(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let content = ahead.take(wanted)?;
        *self = ahead;
        Some(content)
    }
}

impl Certificate {
    /// `None` for what is no certificate.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let mut certificate = Der(Der(der).take(SEQUENCE)?);
        let mut tbs = Der(certificate.take(SEQUENCE)?);
        tbs.take_if(VERSION);
        let serial = hexadecimal(tbs.take(INTEGER)?);
        tbs.take(SEQUENCE)?; // the signature's algorithm
        let issuer = Name::read(tbs.take(SEQUENCE)?)?;
        let mut validity = Der(tbs.take(SEQUENCE)?);
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        let subject = Name::read(tbs.take(SEQUENCE)?)?;
        tbs.take(SEQUENCE)?; // the key
        let (mut dns_names, mut emails) = (Vec::new(), Vec::new());
        let mut has_alternative_names = false;
        while let Some((tag, content)) = tbs.next() {
            if tag == EXTENSIONS {
                has_alternative_names = alternative_names(content, &mut dns_names, &mut emails);
            }
        }
        Some(Self {
            subject: subject.text,
            common_name: subject.common_name,
            issuer: issuer.text,
            serial,
            not_before,
            not_after,
            has_alternative_names,
            dns_names,
            emails,
        })
    }
}

/// The names in the extensions. Whether there were any, of whatever kind.
fn alternative_names(
    extensions: &[u8],
    dns_names: &mut Vec<String>,
    emails: &mut Vec<String>,
) -> bool {
    let mut any = false;
    let Some(list) = Der(extensions).take(SEQUENCE) else {
        return any;
    };
    let mut list = Der(list);
    while let Some(extension) = list.take(SEQUENCE) {
        let mut extension = Der(extension);
        if extension.take(OBJECT_IDENTIFIER) != Some(ALTERNATIVE_NAMES) {
            continue;
        }
        extension.take_if(BOOLEAN); // whether it is critical
        let names = extension
            .take(OCTET_STRING)
            .and_then(|content| Der(content).take(SEQUENCE));
        let mut names = Der(names.unwrap_or_default());
        while let Some((tag, content)) = names.next() {
            any = true;
            let Ok(text) = std::str::from_utf8(content) else {
                continue;
            };
            match tag {
                DNS_NAME => dns_names.push(text.to_ascii_lowercase()),
                EMAIL => emails.push(text.to_owned()),
                _ => {}
            }
        }
    }
    any
}

/// A distinguished name.
struct Name {
    text: String,
    common_name: Option<String>,
}

impl Name {
    fn read(content: &[u8]) -> Option<Self> {
        let mut parts = Vec::new();
        let mut common_name = None;
        let mut list = Der(content);
        while !list.0.is_empty() {
            let mut set = Der(list.take(SET)?);
            let mut together = Vec::new();
            while !set.0.is_empty() {
                let mut attribute = Der(set.take(SEQUENCE)?);
                let kind = attribute.take(OBJECT_IDENTIFIER)?;
                let (tag, value) = attribute.next()?;
                let value = text(tag, value);
                together.push(format!("{}={}", short_name(kind), escaped(&value)));
                if kind == COMMON_NAME {
                    common_name = Some(value);
                }
            }
            parts.push(together.join("+"));
        }
        parts.reverse();
        Some(Self {
            text: parts.join(","),
            common_name,
        })
    }
}

fn short_name(kind: &[u8]) -> String {
    let known = SHORT_NAMES.iter().find(|(oid, _)| *oid == kind);
    known.map_or_else(|| dotted(kind), |(_, name)| (*name).to_owned())
}

/// An object identifier in numbers.
fn dotted(kind: &[u8]) -> String {
    let mut shown = String::new();
    let mut number = 0u64;
    for byte in kind {
        number = (number << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        let written = if shown.is_empty() {
            let first = (number / 40).min(2);
            write!(shown, "{first}.{}", number - first * 40)
        } else {
            write!(shown, ".{number}")
        };
        written.expect("text takes text");
        number = 0;
    }
    shown
}

/// A string of whichever of the many types.
fn text(tag: u8, value: &[u8]) -> String {
    match tag {
        BMP_STRING => {
            let units = value.chunks_exact(2);
            let units: Vec<_> = units
                .map(|two| u16::from_be_bytes([two[0], two[1]]))
                .collect();
            String::from_utf16_lossy(&units)
        }
        T61_STRING => value.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}

/// As RFC 4514 section 2.4 wants it; and without characters that would break a line.
fn escaped(value: &str) -> String {
    let mut shown = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let at_an_end = (at == 0 && (c == ' ' || c == '#')) || (at == last && c == ' ');
        if c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                write!(shown, "\\{byte:02X}").expect("text takes text");
            }
            continue;
        }
        if at_an_end || "\"+,;<>\\".contains(c) {
            shown.push('\\');
        }
        shown.push(c);
    }
    shown
}

fn hexadecimal(number: &[u8]) -> String {
    let digits = match number {
        [0, rest @ ..] if !rest.is_empty() => rest, // the sign
        all => all,
    };
    data_encoding::HEXUPPER.encode(digits)
}

/// A time of either type, which are in UTC both.
fn time(der: &mut Der<'_>) -> Option<SystemTime> {
    let (tag, content) = der.next()?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match tag {
        UTC_TIME if text.len() == 12 => {
            let year: i64 = text[..2].parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                &text[2..],
            )
        }
        GENERALIZED_TIME if text.len() == 14 => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<i64>().ok();
    let days = days_since_1970(year, part(0)?, part(2)?);
    let seconds = days * 86_400 + part(4)? * 3_600 + part(6)? * 60 + part(8)?;
    let length = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(length)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(length)
    }
}

/// In the calendar that has no end in either direction. Years begin in March here, so that the day
/// that is not always there is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        for (date, days) in [
            ((1970, 1, 1), 0),
            ((2000, 3, 1), 11_017),
            ((2024, 2, 29), 19_782),
            ((1969, 12, 31), -1),
        ] {
            assert_eq!(days_since_1970(date.0, date.1, date.2), days);
        }
    }

    #[test]
    fn object_identifiers() {
        assert_eq!(dotted(&[0x55, 0x1d, 0x11]), "2.5.29.17");
        assert_eq!(
            dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]),
            "1.2.840.113549"
        );
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(escaped("a,b+c"), "a\\,b\\+c");
        assert_eq!(escaped(" #x "), "\\ #x\\ ");
        assert_eq!(escaped("a\nb"), "a\\0Ab");
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        for der in [
            &b""[..],
            b"\x30",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x80\x00\x00",
            b"\x30\x03\x30\x01\x02",
        ] {
            assert_eq!(Certificate::read(der), None);
        }
    }
}
