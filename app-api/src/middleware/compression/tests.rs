use std::io::Read;

use super::*;
use crate::testing::{Client, Reply};
use crate::{App, BodyError, IntoResponse, Sink};

const TEXT: &str = "All work and no play makes Jack a dull boy. ";

/// The reply of an application that gives this, to a client that accepts all codings.
fn ask<R: IntoResponse>(answer: impl Fn() -> R + Send + Sync + 'static) -> Reply {
    served(Compression::new(), answer)
        .get("/")
        .header("accept-encoding", "gzip")
        .send()
}

fn served<R: IntoResponse>(
    with: Compression,
    answer: impl Fn() -> R + Send + Sync + 'static,
) -> Client {
    let mut app = App::new();
    app.install(with)
        .get("/", move |_: Request| answer().into_response());
    Client::new(app)
}

fn decoded(coding: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut text)?,
        #[cfg(feature = "brotli")]
        "br" => ::brotli::Decompressor::new(bytes, 4096).read_to_end(&mut text)?,
        #[cfg(feature = "zstd")]
        "zstd" => ::zstd::stream::read::Decoder::new(bytes)?.read_to_end(&mut text)?,
        other => panic!("{other} is not in this build"),
    };
    Ok(text)
}

/// Bytes that do not compress.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(n)
    .collect()
}

#[test]
fn all_codings_come_back_whole() {
    for coding in OFFERED.iter().map(|coding| coding.name()) {
        for n in [24, 1_000, 3_000, 100_000] {
            let text = TEXT.repeat(n);
            let sent = text.clone();
            let client = served(Compression::new(), move || sent.clone());
            let reply = client.get("/").header("accept-encoding", coding).send();
            assert_eq!(reply.header("content-encoding"), Some(coding), "{n}");
            assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
            assert!(reply.bytes().len() < text.len() / 4, "{coding} {n}");
            let whole = decoded(coding, &reply.bytes()).unwrap();
            assert!(whole == text.as_bytes(), "{coding} {n}");
        }
    }
}

#[test]
fn what_does_not_compress_comes_back_whole() {
    for coding in OFFERED {
        for n in [1, 65_535, 65_536, 200_000] {
            let bytes = Bytes::from(noise(n));
            for flush in [true, false] {
                let encoder = encoder(*coding, flush).unwrap();
                let body = Body::iter(pieces(bytes.clone())).encode(encoder);
                let mut sent = Sent::default();
                body.send_to(&mut sent).unwrap();
                let whole = decoded(coding.name(), &sent.0.concat()).unwrap();
                assert!(whole == bytes, "{coding:?} {n} {flush}");
            }
        }
    }
}

#[test]
fn each_chunk_of_a_stream_can_be_read_at_once() {
    for coding in OFFERED.iter().map(|coding| coding.name()) {
        let stream = || {
            let chunks = Body::iter((0..5).map(|n| format!("line {n}\n")));
            Response::new(chunks).with_header("content-type", "text/plain")
        };
        let client = served(Compression::new(), stream);
        let reply = client.get("/").header("accept-encoding", coding).send();
        let mut seen = Vec::new();
        for n in 0..5 {
            seen.extend_from_slice(&reply.chunks()[n]);
            let expected: String = (0..=n).map(|n| format!("line {n}\n")).collect();
            let mut text = vec![0; expected.len()];
            let mut reader: Box<dyn Read> = match coding {
                "gzip" => Box::new(flate2::read::GzDecoder::new(&seen[..])),
                #[cfg(feature = "brotli")]
                "br" => Box::new(::brotli::Decompressor::new(&seen[..], 1)),
                #[cfg(feature = "zstd")]
                "zstd" => Box::new(::zstd::stream::read::Decoder::new(&seen[..]).unwrap()),
                other => panic!("{other}"),
            };
            reader.read_exact(&mut text).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), expected, "{coding}");
        }
        assert_eq!(reply.chunks().len(), 6, "an end, and nothing else");
        assert_eq!(decoded(coding, &reply.bytes()).unwrap().len(), 35);
    }
}

/// Keeps what it is sent, and the farewell.
#[derive(Default)]
struct Sent(Vec<Bytes>, Option<Bytes>);

impl Sink for Sent {
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        self.0.push(chunk);
        Ok(())
    }

    fn start(&mut self) -> Result<(), BodyError> {
        Ok(())
    }

    fn end_at_stop(&mut self, farewell: Bytes) {
        self.1 = Some(farewell);
    }
}

#[test]
fn a_stream_that_the_stop_ends_can_be_read_with_its_farewell() {
    for coding in OFFERED {
        for chunks in [0, 1, 3] {
            for farewell in [&b""[..], b"retry: 3000\n\n", &noise(200_000)] {
                let last = Bytes::copy_from_slice(farewell);
                let body = Body::stream(move |out| {
                    out.end_at_stop(Ok::<_, BodyError>(last))?;
                    for n in 0..chunks {
                        out.send(format!("data: {n}\n\n"))?;
                    }
                    Err(BodyError::new("stopped"))
                });
                let mut sent = Sent::default();
                let encoder = encoder(*coding, true).unwrap();
                body.encode(encoder).send_to(&mut sent).unwrap_err();
                sent.0.push(sent.1.unwrap());
                let mut expected: Vec<u8> = (0..chunks)
                    .flat_map(|n| format!("data: {n}\n\n").into_bytes())
                    .collect();
                expected.extend_from_slice(farewell);
                let whole = decoded(coding.name(), &sent.0.concat());
                let case = format!("{coding:?} {chunks} {}", farewell.len());
                assert!(whole.expect(&case) == expected, "{case}");
            }
        }
    }
}

#[test]
fn what_is_left_alone() {
    let page = || TEXT.repeat(100).into_response();
    type Change = fn(Response) -> Response;
    let cases: [(&str, Change); 9] = [
        ("image/png", |page| {
            page.with_header("content-type", "image/png")
        }),
        ("no type", |mut page| {
            page.headers_mut().remove("content-type");
            page
        }),
        ("coded", |page| page.with_header("content-encoding", "br")),
        ("identity", |page| {
            page.with_header("content-encoding", "identity")
        }),
        ("no-transform", |page| {
            page.with_header("cache-control", "public, No-Transform")
        }),
        ("part", |page| {
            page.with_status(206)
                .with_header("content-range", "bytes 0-1/2")
        }),
        ("small", |mut page| {
            *page.body_mut() = Body::full("x".repeat(1023));
            page
        }),
        ("known to be small", |mut page| {
            *page.body_mut() = Body::iter(["x"]).with_length(1);
            page
        }),
        ("events", |page| {
            page.with_header("content-type", "text/event-stream; charset=utf-8")
        }),
    ];
    for (case, change) in cases {
        let reply = ask(move || change(page()));
        assert_ne!(reply.header("content-encoding"), Some("gzip"), "{case}");
        assert_eq!(reply.header("vary"), None, "{case}");
        assert!(!reply.bytes().starts_with(&[0x1f, 0x8b]), "{case}");
    }
    let noise = String::from_utf8(noise(4096).into_iter().map(|b| b & 0x7f).collect()).unwrap();
    let reply = ask(move || noise.clone());
    assert_eq!(
        reply.header("content-encoding"),
        Some("gzip"),
        "7 bits of 8"
    );
}

#[test]
fn what_becomes_no_smaller_is_sent_as_it_was() {
    let answer = || Response::new(noise(2000)).with_header("content-type", "text/plain");
    let reply = ask(answer);
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
    assert!(reply.bytes() == noise(2000));
}

#[test]
fn clients_that_do_not_ask_get_the_same_vary() {
    let client = served(Compression::new(), || TEXT.repeat(100));
    for accept in ["identity", "gzip;q=0", "deflate", ""] {
        let reply = client.get("/").header("accept-encoding", accept).send();
        assert_eq!(reply.header("content-encoding"), None, "{accept}");
        assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
        assert_eq!(reply.text().len(), TEXT.len() * 100);
    }
}

#[test]
fn head_has_the_headers_of_get() {
    for n in [10, 100, 100_000] {
        let client = served(Compression::new(), move || {
            TEXT.repeat(n).into_response().with_header("etag", "\"a\"")
        });
        let [get, head] = [client.get("/"), client.head("/")]
            .map(|ask| ask.header("accept-encoding", "gzip").send());
        assert_eq!(get.headers(), head.headers());
        assert!(head.chunks().is_empty());
    }
}

#[test]
fn headers_follow_the_bytes() {
    let reply = ask(|| {
        let page = TEXT.repeat(100);
        let length = page.len();
        page.into_response()
            .with_header("content-length", length)
            .with_header("accept-ranges", "bytes")
            .with_header("vary", "Cookie")
            .with_header("etag", "\"a\"")
    });
    assert_eq!(reply.header("content-length"), None);
    assert_eq!(reply.header("accept-ranges"), None);
    assert_eq!(reply.header("etag"), Some("W/\"a\""));
    let vary: Vec<_> = reply.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["Cookie", "Accept-Encoding"]);

    let weak = ask(|| {
        TEXT.repeat(100)
            .into_response()
            .with_header("etag", "W/\"a\"")
    });
    assert_eq!(weak.header("etag"), Some("W/\"a\""));
    let named = ask(|| {
        TEXT.repeat(100)
            .into_response()
            .with_header("vary", "accept-encoding")
    });
    assert_eq!(named.headers().get_all("vary").iter().count(), 1);
    let any = ask(|| TEXT.repeat(100).into_response().with_header("vary", "*"));
    assert_eq!(any.header("vary"), Some("*"));
}

#[test]
fn events_are_compressed_where_that_is_asked_for() {
    let events = || {
        let events = Body::iter(["data: 1\n\n", "data: 2\n\n"]);
        Response::new(events).with_header("content-type", "text/event-stream")
    };
    let client = served(Compression::new().event_streams(true), events);
    let reply = client.get("/").header("accept-encoding", "gzip").send();
    assert_eq!(reply.chunks().len(), 3);
    assert_eq!(
        decoded("gzip", &reply.bytes()).unwrap(),
        b"data: 1\n\ndata: 2\n\n"
    );
}

#[test]
fn an_error_before_the_first_chunk_is_a_plain_answer() {
    let fails = || {
        let body = Body::stream(|_| Err(BodyError::new("no")));
        Response::new(body).with_header("content-type", "text/plain")
    };
    let reply = ask(fails);
    assert_eq!(reply.status(), 500);
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.text(), "500 Internal Server Error\n");
}

/// Pages of errors take the place of their texts when all middleware is done.
#[test]
fn the_page_of_an_error_is_no_gzip() {
    let fails = || crate::HttpError::new(409, "so many words ".repeat(100));
    let client = served(Compression::new(), fails);
    for accept in ["text/html", "application/json", "text/plain"] {
        let ask = client.get("/").header("accept-encoding", "gzip");
        let reply = ask.header("accept", accept).send();
        assert_eq!(reply.status(), 409);
        assert_eq!(reply.header("content-encoding"), None);
        assert!(reply.text().contains("so many words"), "{accept}");
    }
}

#[test]
fn a_304_has_the_tag_of_the_200() {
    let client = served(Compression::new(), || {
        Response::empty(StatusCode::NOT_MODIFIED).with_header("etag", "\"x\"")
    });
    for (accepted, known, tag) in [
        ("gzip", "W/\"x\"", "W/\"x\""),
        ("gzip", "\"y\", W/\"x\"", "W/\"x\""),
        // It has what was sent without a coding, as pictures are.
        ("gzip", "\"x\"", "\"x\""),
        ("identity", "W/\"x\"", "\"x\""),
    ] {
        let get = client.get("/").header("accept-encoding", accepted);
        let reply = get.header("if-none-match", known).send();
        assert_eq!(reply.header("etag"), Some(tag), "{accepted} {known}");
    }
}
