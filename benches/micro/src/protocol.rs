//! Pieces of the protocol, as a server calls them.
//!
//! Each function does one thing so many times and nothing beside it, so that the difference
//! between two runs of different length is the cost of the thing.

use bytes::BytesMut;
use greenway_proto::http1::{
    BodyLength, CHUNK_END, DateCache, Decoder, HeadLimits, HeadReader, RequestInfo, Step, chunk_head, plan,
    write_head,
};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use std::hint::black_box;
use std::cell::Cell;
use std::time::{Instant, SystemTime};

/// Reads `n` times the same request head; how many were found.
///
/// # Panics
/// When `head` is not one head.
#[must_use]
pub fn heads(head: &[u8], n: usize) -> usize {
    let limits = HeadLimits::default();
    let (mut buf, mut reader) = (BytesMut::new(), HeadReader::default());
    let mut found = 0;
    for _ in 0..n {
        buf.extend_from_slice(black_box(head));
        let read = reader.read(&mut buf, &limits).expect("a head is accepted");
        found += usize::from(black_box(read).is_some());
        assert!(buf.is_empty(), "more than a head");
        buf.clear();
    }
    found
}

/// Plans `n` times the response of a plain handler and writes its head; the bytes of one.
#[must_use]
pub fn responses(n: usize) -> usize {
    let headers = HeaderMap::new();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    let request = RequestInfo {
        head: false,
        version: Version::HTTP_11,
        keep_alive: true,
    };
    thread_local!(static CACHE: Cell<DateCache> = const { Cell::new(DateCache::new()) });
    let (mut out, now) = (Vec::new(), Instant::now());
    for _ in 0..n {
        out.clear();
        let headers = black_box(Some(&headers));
        let plan = plan(black_box(&request), StatusCode::OK, headers, Some(13));
        // As a server does it, with a cache for each OS thread.
        let now = black_box(now);
        let date = CACHE.get().get(now).unwrap_or_else(|| {
            let mut cache = CACHE.get();
            let date = cache.renew(now, SystemTime::now());
            CACHE.set(cache);
            date
        });
        write_head(
            &mut out,
            request.version,
            StatusCode::OK,
            Some(black_box(&text)),
            headers,
            black_box(&plan),
            &date,
        );
    }
    out.len()
}

/// Frames `n` chunks of `data`; the bytes of one.
#[must_use]
pub fn chunks_out(data: &[u8], n: usize) -> usize {
    let mut out = Vec::new();
    for _ in 0..n {
        out.clear();
        out.extend_from_slice(chunk_head(black_box(data).len()).as_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(CHUNK_END);
        black_box(&out);
    }
    out.len()
}

/// Takes the framing off `n` chunks of `data`, which come one by one; the bytes that were in them.
///
/// # Panics
/// When `data` is empty: that is no chunk.
#[must_use]
pub fn chunks_in(data: &[u8], n: usize) -> usize {
    let chunk = [chunk_head(data.len()).as_bytes(), data, CHUNK_END].concat();
    let (mut buf, mut decoder) = (BytesMut::new(), Decoder::new(BodyLength::Chunked));
    let mut taken = 0;
    for _ in 0..n {
        buf.extend_from_slice(black_box(&chunk));
        while let Step::Data(n) = decoder.next(&mut buf).expect("a chunk is accepted") {
            taken += black_box(decoder.take(&mut buf, n)).len();
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_does_what_it_is_measured_for() {
        assert_eq!(super::heads(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 7), 7);
        assert!(super::responses(2) > 60);
        assert_eq!(super::chunks_out(&[b'x'; 32], 3), 32 + 6);
        assert_eq!(super::chunks_in(&[b'x'; 32], 3), 96);
    }
}
