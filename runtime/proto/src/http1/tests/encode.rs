//! What goes out, byte by byte.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::super::encode::LengthMismatch;
use super::super::{
    CHUNK_END, CONTINUE, Date, Framing, LAST_CHUNK, Plan, RequestInfo, chunk_head, error_response,
    plan, write_head,
};

const GET: RequestInfo = RequestInfo {
    head: false,
    version: Version::HTTP_11,
    keep_alive: true,
};
const HEAD: RequestInfo = RequestInfo { head: true, ..GET };
const OLD: RequestInfo = RequestInfo {
    version: Version::HTTP_10,
    keep_alive: false,
    ..GET
};
const OLD_KEPT: RequestInfo = RequestInfo {
    version: Version::HTTP_10,
    ..GET
};
const LAST: RequestInfo = RequestInfo {
    keep_alive: false,
    ..GET
};

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for &(name, value) in fields {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers
}

/// The head of a 200 with these fields.
fn head(headers: &HeaderMap, plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    let date = Date::at(SystemTime::now());
    write_head(
        &mut out,
        Version::HTTP_11,
        StatusCode::OK,
        None,
        Some(headers),
        plan,
        &date,
    );
    out
}

/// Plan and head; the date, which must be one, becomes `DATE`.
fn respond(
    request: RequestInfo,
    status: u16,
    fields: &[(&'static str, &'static str)],
    length: Option<u64>,
) -> (Plan, String) {
    let headers = headers(fields);
    let status = StatusCode::from_u16(status).unwrap();
    let plan = plan(&request, status, Some(&headers), length);
    let mut out = b"before".to_vec();
    write_head(
        &mut out,
        request.version,
        status,
        None,
        Some(&headers),
        &plan,
        &Date::at(SystemTime::now()),
    );
    let text = String::from_utf8(out).unwrap();
    let head = text
        .strip_prefix("before")
        .expect("write_head appends")
        .to_owned();
    (plan, without_date(&head))
}

/// `head` with its own `date` line replaced, if that is an IMF-fixdate.
fn without_date(head: &str) -> String {
    let lines = head
        .split("\r\n")
        .map(|line| match line.strip_prefix("date: ") {
            Some(date) if date.len() == 29 && httpdate::parse_http_date(date).is_ok() => {
                "date: DATE"
            }
            _ => line,
        });
    lines.collect::<Vec<_>>().join("\r\n")
}

const COMMON: &str = "server: greenway\r\ndate: DATE\r\n";

#[test]
fn heads_to_the_byte() {
    let text = ("content-type", "text/plain");
    for (request, status, fields, length, expected) in [
        (
            GET,
            200,
            &[text][..],
            Some(5),
            "HTTP/1.1 200 OK\r\n+content-length: 5\r\ncontent-type: text/plain\r\n\r\n",
        ),
        (
            GET,
            404,
            &[],
            Some(0),
            "HTTP/1.1 404 Not Found\r\n+content-length: 0\r\n\r\n",
        ),
        (
            GET,
            200,
            &[],
            None,
            "HTTP/1.1 200 OK\r\n+transfer-encoding: chunked\r\n\r\n",
        ),
        (
            LAST,
            200,
            &[],
            Some(1),
            "HTTP/1.1 200 OK\r\n+connection: close\r\ncontent-length: 1\r\n\r\n",
        ),
        (
            OLD,
            200,
            &[],
            Some(1),
            "HTTP/1.0 200 OK\r\n+connection: close\r\ncontent-length: 1\r\n\r\n",
        ),
        (
            OLD_KEPT,
            200,
            &[],
            Some(1),
            "HTTP/1.0 200 OK\r\n+connection: keep-alive\r\ncontent-length: 1\r\n\r\n",
        ),
        (
            OLD_KEPT,
            200,
            &[],
            None,
            "HTTP/1.0 200 OK\r\n+connection: close\r\n\r\n",
        ),
        (GET, 204, &[], Some(0), "HTTP/1.1 204 No Content\r\n+\r\n"),
        (
            GET,
            304,
            &[("etag", "\"a\"")],
            None,
            "HTTP/1.1 304 Not Modified\r\n+etag: \"a\"\r\n\r\n",
        ),
        // RFC 9112 section 4: the space stays without a reason phrase.
        (
            GET,
            299,
            &[],
            Some(0),
            "HTTP/1.1 299 \r\n+content-length: 0\r\n\r\n",
        ),
        (
            GET,
            999,
            &[],
            Some(0),
            "HTTP/1.1 999 \r\n+content-length: 0\r\n\r\n",
        ),
        // RFC 6265 section 3: Set-Cookie must not be folded into one line.
        (
            GET,
            200,
            &[("set-cookie", "a=1"), ("set-cookie", "b=2")],
            Some(0),
            "HTTP/1.1 200 OK\r\n+content-length: 0\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\r\n",
        ),
        (
            GET,
            101,
            &[("upgrade", "websocket"), ("connection", "Upgrade")],
            None,
            "HTTP/1.1 101 Switching Protocols\r\n+connection: upgrade\r\nupgrade: websocket\r\n\r\n",
        ),
        (
            LAST,
            101,
            &[("upgrade", "websocket")],
            None,
            "HTTP/1.1 101 Switching Protocols\r\n+connection: upgrade\r\nupgrade: websocket\r\n\r\n",
        ),
        (
            LAST,
            426,
            &[("upgrade", "websocket")],
            Some(0),
            "HTTP/1.1 426 Upgrade Required\r\n+connection: close, upgrade\r\n\
             content-length: 0\r\nupgrade: websocket\r\n\r\n",
        ),
    ] {
        let (_, head) = respond(request, status, fields, length);
        assert_eq!(head, expected.replace('+', COMMON), "{status} {fields:?}");
    }
}

#[test]
fn server_and_date_of_the_application_stay() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, expected) in [
        (
            &[("server", "mine")][..],
            "date: DATE\r\ncontent-length: 0\r\nserver: mine\r\n\r\n",
        ),
        (
            &[("date", date)],
            "server: greenway\r\ncontent-length: 0\r\ndate: DATE\r\n\r\n",
        ),
        (
            &[("server", "mine"), ("date", date)],
            "content-length: 0\r\nserver: mine\r\ndate: DATE\r\n\r\n",
        ),
    ] {
        let (_, head) = respond(GET, 200, fields, Some(0));
        assert_eq!(head, format!("HTTP/1.1 200 OK\r\n{expected}"), "{fields:?}");
    }
    let headers = headers(&[("date", date)]);
    let out = head(
        &headers,
        &plan(&GET, StatusCode::OK, Some(&headers), Some(0)),
    );
    assert!(String::from_utf8(out).unwrap().contains(date));
}

/// Request, status, the application's Content-Length, the body's length;
/// framing, whether a body follows, and the complaint.
#[test]
fn framing() {
    use Framing::{Chunked, Close, Length, None as No};
    let differs = |declared, body| Some(LengthMismatch::Differs { declared, body });
    let invalid = Some(LengthMismatch::Invalid);
    let none: &[&'static str] = &[];
    for (request, status, declared, body, expected) in [
        (GET, 200, none, Some(5), (Length(5), true, None)),
        (GET, 200, none, Some(0), (Length(0), true, None)),
        (GET, 200, none, None, (Chunked, true, None)),
        (LAST, 200, none, None, (Chunked, true, None)),
        (OLD, 200, none, None, (Close, true, None)),
        (OLD_KEPT, 200, none, None, (Close, true, None)),
        (OLD_KEPT, 200, none, Some(5), (Length(5), true, None)),
        // What the application declares counts, unless the body is known.
        (GET, 200, &["5"], None, (Length(5), true, None)),
        (OLD, 200, &["5"], None, (Length(5), true, None)),
        (GET, 200, &["5"], Some(5), (Length(5), true, None)),
        (GET, 200, &["7"], Some(5), (Length(5), true, differs(7, 5))),
        (GET, 200, &["7"], Some(0), (Length(0), true, differs(7, 0))),
        (GET, 200, &["x"], Some(5), (Length(5), true, invalid)),
        (GET, 200, &["x"], None, (Chunked, true, invalid)),
        (GET, 200, &["-5"], None, (Chunked, true, invalid)),
        (GET, 200, &["5", "5"], None, (Chunked, true, invalid)),
        (GET, 200, &["5", "5", "5"], None, (Chunked, true, invalid)),
        (
            GET,
            200,
            &["18446744073709551616"],
            None,
            (Chunked, true, invalid),
        ),
        // HEAD: the field of a GET, or none; never a body.
        (HEAD, 200, none, Some(5), (Length(5), false, None)),
        (HEAD, 200, none, Some(0), (No, false, None)),
        (HEAD, 200, none, None, (No, false, None)),
        (HEAD, 200, &["5"], None, (Length(5), false, None)),
        (HEAD, 200, &["5"], Some(0), (Length(5), false, None)),
        (
            HEAD,
            200,
            &["5"],
            Some(6),
            (Length(6), false, differs(5, 6)),
        ),
        (HEAD, 200, &["x"], None, (No, false, invalid)),
        (HEAD, 304, &["5"], None, (No, false, None)),
        // Ends with the head, whatever the application thinks.
        (GET, 100, none, None, (No, false, None)),
        (GET, 101, none, None, (No, false, None)),
        (GET, 103, &["5"], Some(5), (No, false, None)),
        (GET, 204, none, None, (No, false, None)),
        (GET, 204, &["5"], Some(5), (No, false, None)),
        (OLD, 204, none, None, (No, false, None)),
        (GET, 304, none, Some(5), (No, false, None)),
        (GET, 304, &["5"], Some(0), (No, false, None)),
        // RFC 9110 section 15.3.6.
        (GET, 205, none, Some(5), (Length(0), false, None)),
        (GET, 205, &["5"], None, (Length(0), false, None)),
    ] {
        let fields: Vec<_> = declared
            .iter()
            .map(|&value| ("content-length", value))
            .collect();
        let (plan, head) = respond(request, status, &fields, body);
        let found = (plan.framing, plan.send_body, plan.mismatch);
        assert_eq!(
            found, expected,
            "{request:?} {status} {declared:?} {body:?}"
        );
        let expected = match plan.framing {
            Length(length) => vec![format!("content-length: {length}")],
            Chunked => vec!["transfer-encoding: chunked".to_owned()],
            Close | No => vec![],
        };
        let sent: Vec<_> = head
            .split("\r\n")
            .filter(|line| line.starts_with("content-length") || line.starts_with("transfer-"))
            .collect();
        assert_eq!(sent, expected, "the head says what the plan says");
    }
}

#[test]
fn persistence() {
    let close = |value| vec![("connection", value)];
    for (request, status, fields, body, expected, sent) in [
        (GET, 200, vec![], Some(0), true, None),
        (GET, 200, vec![], None, true, None),
        (LAST, 200, vec![], Some(0), false, Some("close")),
        (LAST, 200, vec![], None, false, Some("close")),
        (OLD, 200, vec![], Some(0), false, Some("close")),
        (OLD_KEPT, 200, vec![], Some(0), true, Some("keep-alive")),
        (OLD_KEPT, 204, vec![], None, true, Some("keep-alive")),
        (OLD_KEPT, 200, vec![], None, false, Some("close")),
        // The application may close, and nothing else.
        (GET, 200, close("close"), Some(0), false, Some("close")),
        (GET, 200, close("x, CLOSE"), Some(0), false, Some("close")),
        (OLD_KEPT, 200, close("close"), Some(0), false, Some("close")),
        (GET, 200, close("keep-alive"), Some(0), true, None),
        (
            LAST,
            200,
            close("keep-alive"),
            Some(0),
            false,
            Some("close"),
        ),
        (GET, 200, close("not-close"), Some(0), true, None),
        // Upgrade goes with its option, and only then.
        (GET, 200, close("upgrade"), Some(0), true, None),
        (
            GET,
            426,
            vec![("upgrade", "h2c")],
            Some(0),
            true,
            Some("upgrade"),
        ),
        (
            OLD_KEPT,
            426,
            vec![("upgrade", "h2c")],
            Some(0),
            true,
            Some("keep-alive, upgrade"),
        ),
        (
            LAST,
            101,
            vec![("upgrade", "h2c")],
            None,
            true,
            Some("upgrade"),
        ),
        // A client that takes no other 1xx for an answer must not wait for ever.
        (GET, 100, vec![], None, false, Some("close")),
        (GET, 103, vec![], None, false, Some("close")),
    ] {
        let (plan, head) = respond(request, status, &fields, body);
        let found: Vec<_> = head
            .split("\r\n")
            .filter_map(|line| line.strip_prefix("connection: "))
            .collect();
        assert_eq!(plan.keep_alive, expected, "{request:?} {status} {fields:?}");
        assert_eq!(
            found,
            Vec::from_iter(sent),
            "{request:?} {status} {fields:?}"
        );
    }
}

/// A server that is about to stop decides so after the plan was made.
#[test]
fn closing_may_be_decided_late() {
    let headers = HeaderMap::new();
    let mut plan = plan(&GET, StatusCode::OK, Some(&headers), Some(0));
    plan.keep_alive = false;
    let out = head(&headers, &plan);
    assert!(
        String::from_utf8(out)
            .unwrap()
            .contains("\r\nconnection: close\r\n")
    );
}

/// PEP 3333, "Other HTTP Features"; RFC 9110 section 7.6.1.
#[test]
fn fields_of_the_connection_are_the_servers() {
    let (plan, head) = respond(
        GET,
        200,
        &[
            ("transfer-encoding", "gzip, chunked"),
            ("connection", "keep-alive, x-mine"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("x-te", "stays"),
            ("content-type", "text/plain"),
        ],
        Some(3),
    );
    let expected = format!(
        "HTTP/1.1 200 OK\r\n{COMMON}content-length: 3\r\nx-te: stays\r\n\
         content-type: text/plain\r\n\r\n"
    );
    assert_eq!(head, expected);
    assert!(plan.keep_alive && plan.mismatch.is_none());
}

#[test]
fn obs_text_goes_out_as_it_is() {
    let mut headers = HeaderMap::new();
    headers.insert("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let plan = plan(&GET, StatusCode::OK, Some(&headers), Some(0));
    let out = head(&headers, &plan);
    assert!(out.ends_with(b"\r\nx-latin: caf\xe9\r\n\r\n"));
}

#[test]
fn chunk_heads() {
    for n in [
        1,
        9,
        10,
        15,
        16,
        26,
        255,
        256,
        4096,
        65535,
        1 << 20,
        u32::MAX as usize,
        usize::MAX,
    ] {
        assert_eq!(chunk_head(n).as_bytes(), format!("{n:x}\r\n").as_bytes());
        assert_eq!(chunk_head(n).as_ref(), chunk_head(n).as_bytes());
    }
    assert_eq!((CHUNK_END, LAST_CHUNK), (&b"\r\n"[..], &b"0\r\n\r\n"[..]));
}

#[test]
#[should_panic(expected = "an empty chunk ends the body")]
fn an_empty_chunk_cannot_be_announced() {
    let _ = chunk_head(0);
}

#[test]
fn the_interim_response_is_a_whole_head() {
    let mut slots = [httparse::EMPTY_HEADER; 1];
    let mut response = httparse::Response::new(&mut slots);
    let parsed = response.parse(CONTINUE).unwrap();
    assert_eq!(parsed, httparse::Status::Complete(CONTINUE.len()));
    assert_eq!((response.code, response.headers.len()), (Some(100), 0));
}

#[test]
fn refusals_are_whole_responses() {
    for (status, reason, retry_after, expected) in [
        (
            400,
            "invalid Host field",
            None,
            "HTTP/1.1 400 Bad Request\r\n+content-length: 36\r\n\r\n\
             400 Bad Request: invalid Host field\n",
        ),
        (
            503,
            "too busy",
            Some(30),
            "HTTP/1.1 503 Service Unavailable\r\n+retry-after: 30\r\ncontent-length: 34\r\n\r\n\
             503 Service Unavailable: too busy\n",
        ),
        (
            408,
            "",
            None,
            "HTTP/1.1 408 Request Timeout\r\n+content-length: 20\r\n\r\n408 Request Timeout\n",
        ),
        (
            599,
            "x",
            None,
            "HTTP/1.1 599 \r\n+content-length: 13\r\n\r\n599 Error: x\n",
        ),
    ] {
        let mut out = Vec::new();
        error_response(
            &mut out,
            StatusCode::from_u16(status).unwrap(),
            reason,
            retry_after,
            &Date::at(SystemTime::now()),
        );
        let common =
            format!("{COMMON}connection: close\r\ncontent-type: text/plain; charset=utf-8\r\n");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(without_date(&text), expected.replace('+', &common));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
    }
}
