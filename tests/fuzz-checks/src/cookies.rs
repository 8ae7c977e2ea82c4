//! Cookies: what a server reads against a second reader, and what it sets against a browser.

use greenway_app::{Cookie, Head, Input, Keys, Request, Response};
use std::borrow::Cow;
use std::sync::Arc;

/// Reads the lines as Cookie headers, and sets again what was found.
pub(crate) fn check(lines: &[u8]) {
    let lines: Vec<_> = lines.split(|&byte| byte == b'\n').collect();
    let Some(request) = request(&lines) else {
        return;
    };
    let found: Vec<_> = request.cookies().collect();
    assert_eq!(found, reference(&lines), "not what the second reader finds");
    let keys = Keys::new([7; 32]);
    for (name, value) in &found {
        let (_, first) = found
            .iter()
            .find(|(other, _)| other == name)
            .expect("itself");
        assert_eq!(request.cookie(name).as_ref(), Some(first));
        assert_eq!(
            request.signed_cookie(name, &keys),
            None,
            "nobody has signed it"
        );
        assert_eq!(
            request.private_cookie(name, &keys),
            None,
            "nobody has encrypted it"
        );
        goes_round(name, value);
    }
}

/// A request with these Cookie headers; `None` where they cannot stand in a head.
fn request(lines: &[&[u8]]) -> Option<Request> {
    let mut request = http::Request::get("/");
    for line in lines {
        request = request.header("cookie", http::HeaderValue::from_bytes(line).ok()?);
    }
    let (parts, ()) = request.body(()).ok()?.into_parts();
    Request::new(Head::from_http(&parts), Input::empty(), Arc::default()).ok()
}

/// The second reader: it goes through the bytes one by one.
fn reference<'a>(lines: &[&'a [u8]]) -> Vec<(&'a str, Cow<'a, str>)> {
    let mut found = Vec::new();
    for mut rest in lines.iter().copied() {
        loop {
            let end = rest.iter().position(|&byte| byte == b';');
            let pair = &rest[..end.unwrap_or(rest.len())];
            let equals = pair.iter().position(|&byte| byte == b'=');
            if let (Ok(_), Some(equals)) = (std::str::from_utf8(pair), equals) {
                let name = trimmed(&pair[..equals]);
                let mut value = trimmed(&pair[equals + 1..]);
                if value.len() >= 2 && value[0] == b'"' && value[value.len() - 1] == b'"' {
                    value = &value[1..value.len() - 1];
                }
                if !name.is_empty() {
                    found.push((text(name), decoded(value)));
                }
            }
            match end {
                Some(end) => rest = &rest[end + 1..],
                None => break,
            }
        }
    }
    found
}

/// A piece of what is known to be UTF-8, cut at ASCII.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a piece of UTF-8")
}

fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn decoded(value: &[u8]) -> Cow<'_, str> {
    let digit = |at: usize| value.get(at).and_then(|&b| char::from(b).to_digit(16));
    let (mut out, mut at) = (Vec::new(), 0);
    while at < value.len() {
        match (value[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    match String::from_utf8(out) {
        Ok(decoded) => Cow::Owned(decoded),
        Err(_) => Cow::Borrowed(text(value)),
    }
}

/// A browser that is told to keep a cookie sends the same one back, if it is to keep it at all.
fn goes_round(name: &str, value: &str) {
    let cookie = Cookie::new(name.to_owned(), value.to_owned());
    let Ok(response) = Response::default().try_with_cookie(cookie) else {
        return;
    };
    let line = response.headers()["set-cookie"].as_bytes();
    assert!(line.is_ascii() && !line.iter().any(u8::is_ascii_control));
    // RFC 6265bis, 5.6: the first semicolon ends the pair, the others the attributes.
    let mut pieces = line.split(|&byte| byte == b';');
    let pair = pieces.next().expect("there is a first piece");
    let attributes: Vec<_> = pieces.map(|piece| text(trimmed(piece))).collect();
    assert_eq!(attributes, ["Path=/", "SameSite=Lax", "HttpOnly", "Secure"]);
    assert!(pair.len() <= 4097, "browsers would ignore it");
    let back = request(&[pair]).expect("it was a header a moment ago");
    let back: Vec<_> = back.cookies().collect();
    assert_eq!(back, [(name, Cow::Borrowed(value))]);
}
