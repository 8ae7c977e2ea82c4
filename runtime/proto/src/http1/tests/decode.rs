//! Bodies by length and by chunks.

use bytes::BytesMut;

use super::super::{CHUNK_END, LAST_CHUNK, chunk_head};
use super::{BodyLength, Decoder, Event, Step, whole};

/// The body of a chunked request, and what follows it: the complete body, the
/// status of its refusal, or nothing yet.
fn chunked(body: &str) -> Result<Option<String>, u16> {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut bytes = Vec::new();
    for event in whole((head.to_owned() + body).as_bytes()).split_off(1) {
        match event {
            Event::Body(data) => bytes = data,
            Event::End => return Ok(Some(String::from_utf8(bytes).unwrap())),
            Event::Refused(reject) => return Err(reject.status.as_u16()),
            Event::Head(_) => panic!("a head inside a body"),
        }
    }
    Ok(None)
}

/// RFC 9112 section 7.1.
#[test]
fn chunks() {
    for (input, expected) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        (
            "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n",
            "hello",
        ),
        // Data that looks like framing.
        ("7\r\n0\r\n\r\nab\r\n0\r\n\r\n", "0\r\n\r\nab"),
        // Section 7.1.1: extensions.
        ("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"),
        ("5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5 ; a = b\t;c\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5;\u{e9}\r\nhello\r\n0\r\n\r\n", "hello"),
        // Section 7.1.2: trailers.
        ("0\r\na: b\r\n\r\n", ""),
        (
            "5\r\nhello\r\n0\r\nContent-Length: 9\r\nx:\r\n\r\n",
            "hello",
        ),
    ] {
        assert_eq!(chunked(input), Ok(Some(expected.to_owned())), "{input:?}");
    }
}

#[test]
fn chunks_that_are_refused() {
    for input in [
        // Sizes.
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\t5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n",
        "5_0\r\n",
        "\u{665}\r\n",
        "10000000000000000\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        ";a\r\n",
        // White space or anything else behind a size, without an extension.
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "5,\r\nhello\r\n",
        "5 a\r\nhello\r\n",
        // Line ends.
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "0\r\n\n",
        "0\r\n\rX\r\n\r\n",
        "0\n\r\n",
        // Extensions.
        "5;a\n\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\u{0}\r\nhello\r\n",
        "5;\u{7f}\r\nhello\r\n",
        "5;a\u{b}\r\nhello\r\n",
        // Trailers.
        "0\r\nGET / HTTP/1.1\r\n\r\n",
        "0\r\na\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\na : b\r\n\r\n",
        "0\r\n a: b\r\n\r\n",
        "0\r\na: b\r\n c\r\n\r\n",
        "0\r\na: b\n\r\n",
        "0\r\na: b\rc\r\n\r\n",
        "0\r\na: \u{0}\r\n\r\n",
    ] {
        assert_eq!(chunked(input), Err(400), "{input:?}");
    }
}

/// Each bound to the byte, complete and incomplete.
#[test]
fn bounds_of_the_chunked_framing() {
    let extended = |length: usize| format!("1;{}\r\nx\r\n", "e".repeat(length - 2));
    let end = "0\r\n\r\n";
    assert_eq!(chunked(&(extended(256) + end)), Ok(Some("x".into())));
    assert_eq!(chunked(&(extended(257) + end)), Err(400));
    assert_eq!(chunked(&format!("1;{}", "e".repeat(254))), Ok(None));
    assert_eq!(chunked(&format!("1;{}\r", "e".repeat(254))), Ok(None));
    assert_eq!(chunked(&format!("1;{}", "e".repeat(255))), Err(400));
    assert_eq!(chunked(&"0".repeat(257)), Err(400));

    // 255 bytes of extension on each of 64 lines, and 64 more, are 16 KiB.
    let lines = extended(256).repeat(64);
    assert_eq!(
        chunked(&format!("{lines}{}{end}", extended(65))),
        Ok(Some("x".repeat(65)))
    );
    assert_eq!(chunked(&format!("{lines}{}{end}", extended(66))), Err(400));

    let trailer = |length: usize| format!("0\r\na: {}", "v".repeat(length - 3));
    assert_eq!(
        chunked(&(trailer(8192) + "\r\n\r\n")),
        Ok(Some(String::new()))
    );
    assert_eq!(chunked(&(trailer(8193) + "\r\n\r\n")), Err(431));
    assert_eq!(chunked(&(trailer(8192) + "\r\na")), Err(431));
    assert_eq!(chunked(&trailer(8192)), Ok(None));
    assert_eq!(chunked(&trailer(8193)), Err(431));
    let fields = |count: usize| format!("0\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(chunked(&fields(100)), Ok(Some(String::new())));
    assert_eq!(chunked(&fields(101)), Err(431));
}

#[test]
fn incomplete_chunks_want_more() {
    let body = "5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n";
    for length in 0..body.len() {
        assert_eq!(chunked(&body[..length]), Ok(None), "{:?}", &body[..length]);
    }
}

#[test]
fn a_body_of_known_length_is_counted_down() {
    let mut decoder = Decoder::new(BodyLength::Length(10));
    let mut buf = BytesMut::from("hello");
    assert_eq!(decoder.remaining(), Some(10));
    assert_eq!(decoder.next(&mut buf), Ok(Step::Data(5)));
    assert_eq!(
        decoder.next(&mut buf),
        Ok(Step::Data(5)),
        "asking changes nothing"
    );
    decoder.take(&mut buf, 2);
    assert_eq!(decoder.next(&mut buf), Ok(Step::Data(3)));
    decoder.take(&mut buf, 3);
    assert_eq!(decoder.next(&mut buf), Ok(Step::NeedMore));
    assert_eq!((decoder.remaining(), decoder.total()), (Some(5), 5));
    buf.extend_from_slice(b"worldGET /");
    assert_eq!(
        decoder.next(&mut buf),
        Ok(Step::Data(5)),
        "not the next request"
    );
    assert!(!decoder.is_done());
    decoder.take(&mut buf, 5);
    assert!(decoder.is_done());
    assert_eq!(decoder.next(&mut buf), Ok(Step::End));
    assert_eq!((decoder.remaining(), decoder.total()), (Some(0), 10));
    assert_eq!(&buf[..], b"GET /");
}

#[test]
fn no_body_is_done_at_once() {
    for length in [BodyLength::None, BodyLength::Length(0)] {
        let mut decoder = Decoder::new(length);
        let mut buf = BytesMut::from("GET");
        assert!(decoder.is_done());
        assert_eq!(decoder.next(&mut buf), Ok(Step::End));
        decoder.take(&mut buf, 0);
        assert_eq!((&buf[..], decoder.total()), (&b"GET"[..], 0));
    }
}

#[test]
fn a_chunked_body_counts_its_data_only() {
    let mut decoder = Decoder::new(BodyLength::Chunked);
    let mut buf = BytesMut::from("3;x\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET");
    assert_eq!(decoder.remaining(), None);
    assert_eq!(decoder.next(&mut buf), Ok(Step::Data(3)));
    decoder.take(&mut buf, 3);
    assert_eq!(decoder.next(&mut buf), Ok(Step::Data(2)));
    decoder.take(&mut buf, 2);
    assert!(!decoder.is_done(), "the last chunk was not seen yet");
    assert_eq!(decoder.next(&mut buf), Ok(Step::End));
    assert!(decoder.is_done());
    assert_eq!((decoder.remaining(), decoder.total()), (Some(0), 5));
    assert_eq!(&buf[..], b"GET");
}

#[test]
fn a_chunk_of_any_size_is_announced() {
    let mut decoder = Decoder::new(BodyLength::Chunked);
    let mut buf = BytesMut::from("ffffffffffffffff\r\nab");
    assert_eq!(decoder.next(&mut buf), Ok(Step::Data(2)));
    decoder.take(&mut buf, 2);
    assert_eq!(decoder.next(&mut buf), Ok(Step::NeedMore));
}

/// Bytes of unknown meaning must not become a body, whatever comes next.
#[test]
fn an_error_is_final() {
    let mut decoder = Decoder::new(BodyLength::Chunked);
    let mut buf = BytesMut::from("x\r\n");
    let reject = decoder.next(&mut buf).unwrap_err();
    buf = BytesMut::from("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(decoder.next(&mut buf), Err(reject));
    assert_eq!((decoder.is_done(), decoder.remaining()), (false, None));
}

#[test]
#[should_panic(expected = "took more than the body holds")]
fn more_than_the_body_cannot_be_consumed() {
    let mut decoder = Decoder::new(BodyLength::Length(3));
    decoder.take(&mut BytesMut::from("abcGET"), 4);
}

#[test]
fn what_is_encoded_is_decoded() {
    for size in [1, 9, 10, 15, 16, 17, 255, 256, 4095, 65536, 1 << 20] {
        let data: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let mut buf = BytesMut::new();
        buf.extend_from_slice(chunk_head(size).as_bytes());
        buf.extend_from_slice(&data);
        buf.extend_from_slice(CHUNK_END);
        buf.extend_from_slice(LAST_CHUNK);
        let mut decoder = Decoder::new(BodyLength::Chunked);
        assert_eq!(decoder.next(&mut buf), Ok(Step::Data(size)));
        assert_eq!(buf[..size], data[..]);
        decoder.take(&mut buf, size);
        assert_eq!(decoder.next(&mut buf), Ok(Step::End));
        assert!(buf.is_empty());
    }
}
