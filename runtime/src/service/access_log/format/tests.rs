//! Formats and the lines they give.

use super::*;
use crate::service::RequestLine;
use greenway_app::{ConnectionInfo, Head};
use http::StatusCode;

const HEAD: &str = "GET /a/b?c=d&e HTTP/1.1\r\nHost: example.org\r\nReferer: http://x/\r\n\
    User-Agent: a\"b\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";

fn line(format: &str) -> String {
    let info = ConnectionInfo::new(None, Some("192.0.2.1:4711".parse().unwrap()));
    let request_line = RequestLine::new(HEAD.as_bytes().to_vec().into());
    let request = http::Request::get("/a/b?c=d&e").header("Host", "example.org:81");
    let head = Head::from_http(&request.body(()).unwrap().into_parts().0);
    let entry = Entry {
        info: &info,
        line: Some(&request_line),
        status: StatusCode::OK,
        sent: 12,
        received: 200,
        duration: Some(Duration::from_micros(1_234_567)),
        head: Some(&head),
        response: Some(RESPONSE),
    };
    format.parse::<Format>().unwrap().line(&entry, now())
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_042)
}

/// What is logged of something that was no request.
fn bad_line(format: &Format) -> String {
    let info = ConnectionInfo::new(None, None);
    let entry = Entry {
        info: &info,
        line: None,
        status: StatusCode::BAD_REQUEST,
        sent: 0,
        received: 0,
        duration: None,
        head: None,
        response: None,
    };
    format.line(&entry, now())
}

#[test]
fn every_letter() {
    let process = format!("<{}>", std::process::id());
    for (letter, expected) in [
        ("h", "192.0.2.1"),
        ("l", "-"),
        ("u", "Aladdin"),
        ("t", "[06/Nov/1994:08:49:37 +0000]"),
        ("r", "GET /a/b?c=d&e HTTP/1.1"),
        ("m", "GET"),
        ("U", "/a/b"),
        ("q", "c=d&e"),
        ("H", "HTTP/1.1"),
        ("s", "200"),
        ("B", "12"),
        ("b", "12"),
        ("f", "http://x/"),
        ("a", "a\\\"b"),
        ("T", "1"),
        ("M", "1234"),
        ("D", "1234567"),
        ("L", "1.234567"),
        ("p", &process),
        ("{Host}i", "example.org"),
        ("{x-none}i", "-"),
        ("{content-type}o", "text/plain"),
        ("{x-none}o", "-"),
        ("{SERVER_PORT}e", "81"),
        ("{REMOTE_PORT}e", "4711"),
        ("{NONE}e", "-"),
    ] {
        assert_eq!(
            line(&format!("%({letter})s")),
            format!("{expected}\n"),
            "{letter}"
        );
    }
    assert_eq!(LETTERS.len(), 19, "a letter that is new needs a line above");
}

#[test]
fn text_around_letters() {
    assert_eq!(line("100%% <%(s)s> %(B)d"), "100% <200> 12\n");
    assert_eq!(line(""), "\n");
    assert_eq!(
        bad_line(&Format::default()),
        "- - - [06/Nov/1994:08:49:37 +0000] \"-\" 400 - \"-\" \"-\" 0\n"
    );
}

#[test]
fn what_cannot_be_compiled() {
    for format in [
        "%", "%h", "%(h", "%(h)", "%(x)s", "%({a}x)s", "%({a)s", "%(h)x",
    ] {
        assert!(format.parse::<Format>().is_err(), "{format:?}");
    }
}

#[test]
fn only_what_is_needed_is_asked_for() {
    let wants = |format: &str| {
        let format: Format = format.parse().unwrap();
        (format.wants_variables(), format.wants_response())
    };
    assert_eq!(wants("%(h)s %({a}i)s"), (false, false));
    assert_eq!(wants("%({A}e)s"), (true, false));
    assert_eq!(wants("%({a}o)s"), (false, true));
    assert_eq!(wants("json"), (false, false));
}

#[test]
fn json_lines() {
    assert_eq!(
        line("json"),
        concat!(
            r#"{"time":"1994-11-06T08:49:37.042Z","remote_addr":"192.0.2.1","method":"GET","#,
            r#""target":"/a/b?c=d&e","protocol":"HTTP/1.1","scheme":"http","host":"example.org","#,
            r#""status":200,"request_bytes":200,"response_body_bytes":12,"duration_us":1234567,"#,
            r#""referer":"http://x/","user_agent":"a\"b"}"#,
            "\n"
        )
    );
    assert_eq!(
        bad_line(&Format::Json),
        concat!(
            r#"{"time":"1994-11-06T08:49:37.042Z","remote_addr":null,"method":null,"#,
            r#""target":null,"protocol":null,"scheme":"http","host":null,"#,
            r#""status":400,"request_bytes":0,"response_body_bytes":0,"duration_us":null,"#,
            r#""referer":null,"user_agent":null}"#,
            "\n"
        )
    );
}
