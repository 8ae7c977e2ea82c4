//! A second opinion: the grammar again, written for whole inputs and without regard to speed.
//!
//! Shares no code with `http1`, or it would share its mistakes.

use crate::streams::http1::HeadRecord;
use greenway_proto::http1::BodyLength;

/// No limit of the decoder refuses a stream of so few bytes.
pub(super) const BELOW_ALL_LIMITS: usize = 256;

/// A chunked body at the start of `stream` (RFC 9112 section 7.1), and how many bytes follow it.
pub(super) fn decode_chunked(stream: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut rest = stream;
    let mut body = Vec::new();
    loop {
        let line = take_line(&mut rest)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        // Ours is stricter than the grammar about leading zeros: sixteen digits in all.
        if !(1..=16).contains(&digits) || !is_extension(extension) {
            return None;
        }
        let size = u64::from_str_radix(str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok().filter(|&n| n <= rest.len())?;
        body.extend_from_slice(&rest[..size]);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let line = take_line(&mut rest)?;
        if line.is_empty() {
            return Some((body, rest.len()));
        }
        let colon = line.iter().position(|&b| b == b':')?;
        if !is_token(&line[..colon]) || !is_text(&line[colon + 1..]) {
            return None;
        }
    }
}

/// Nothing, or what begins with a semicolon behind optional white space.
fn is_extension(extension: &[u8]) -> bool {
    let mut visible = extension.iter().filter(|b| !b" \t".contains(b));
    extension.is_empty() || (visible.next() == Some(&b';') && is_text(extension))
}

/// The bytes before the first CRLF, if no LF without CR is among them.
fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    (!line.contains(&b'\n')).then_some(line)
}

fn is_token(bytes: &[u8]) -> bool {
    let separators = b"\"(),/:;<=>?@[\\]{}";
    let ok = |b: &u8| b.is_ascii_graphic() && !separators.contains(b);
    !bytes.is_empty() && bytes.iter().all(ok)
}

fn is_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

/// What must be true of every head that was let through.
pub(super) fn check_head(head: &HeadRecord) {
    let mut rest = &head.wire[..];
    let request_line = take_line(&mut rest).expect("a request line");
    let version = &request_line[request_line.len() - 8..];
    assert!(version.starts_with(b"HTTP/1."));
    let start = format!("{} {} ", head.method, head.target);
    assert_eq!(request_line[..start.len()], *start.as_bytes());
    assert_eq!(request_line.len(), start.len() + 8);
    assert!(is_token(head.method.as_bytes()));
    assert!(
        head.target
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'#')
    );
    assert!(head.path.starts_with('/') || (head.path == "*" && head.method == "OPTIONS"));

    for (name, value) in &head.fields {
        let line = take_line(&mut rest).expect("a line for each field");
        let (before, after) = line.split_at(name.len());
        assert_eq!(before, name.as_bytes());
        assert_eq!(after[0], b':', "nothing stands between name and colon");
        assert_eq!(after[1..].trim_ascii(), value.trim_ascii());
        assert!(is_token(before) && is_text(after), "{name}");
    }
    assert_eq!(take_line(&mut rest), Some(&b""[..]), "the empty line");
    assert!(rest.is_empty(), "nothing behind it");
    check_framing(head);
}

fn check_framing(head: &HeadRecord) {
    let values = |name: &str| -> Vec<&[u8]> {
        let found = head
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &value[..]).collect()
    };
    let expected = match (
        &values("content-length")[..],
        &values("transfer-encoding")[..],
    ) {
        ([], []) => BodyLength::None,
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked"));
            assert_eq!(head.version, http::Version::HTTP_11);
            BodyLength::Chunked
        }
        ([digits], []) => {
            assert!(digits.iter().all(u8::is_ascii_digit));
            match str::from_utf8(digits)
                .ok()
                .and_then(|text| text.parse().ok())
            {
                Some(0) => BodyLength::None,
                Some(length) => BodyLength::Length(length),
                None => panic!("a length that does not fit"),
            }
        }
        _ => panic!("framed twice"),
    };
    assert_eq!(head.body, expected);
    let hosts = values("host").len();
    assert!(hosts == 1 || (hosts == 0 && head.version == http::Version::HTTP_10));
}
