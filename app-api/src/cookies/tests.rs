//! RFC 6265bis, as far as it is about servers.

use crate::testing::Client;
use crate::{ConnectionInfo, Cookie, IntoResponse, Request, Response, SameSite};
use std::time::{Duration, SystemTime};

/// What of a Cookie header is read.
fn read(lines: &[&[u8]]) -> String {
    let app = |request: Request| {
        let pairs = request.cookies();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("|")
    };
    let client = Client::new(app);
    let mut get = client.get("/");
    for line in lines {
        get = get.header("cookie", http::HeaderValue::from_bytes(line).unwrap());
    }
    get.send().text()
}

/// The Set-Cookie header, or what is wrong.
fn set(cookie: Cookie) -> Result<String, String> {
    let response = Response::default().try_with_cookie(cookie);
    let response = response.map_err(|error| error.source().unwrap().to_string())?;
    Ok(lines(&response).join("\n"))
}

fn lines(response: &Response) -> Vec<String> {
    let lines = response.headers().get_all("set-cookie").iter();
    lines
        .map(|line| line.to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_is_sent_is_read() {
    for (line, expected) in [
        ("a=1", "a=1"),
        ("a=1; b=2", "a=1|b=2"),
        ("a=1;b=2", "a=1|b=2"),
        ("a=1; a=2", "a=1|a=2"),
        ("A=1; a=2", "A=1|a=2"),
        (" a = 1 ;\tb\t=\t2\t", "a=1|b=2"),
        ("a=", "a="),
        ("a", ""),
        ("=a", ""),
        ("=; ;;", ""),
        ("a=b=c", "a=b=c"),
        ("a==", "a=="),
        // Commas are no separators: those were of RFC 2965.
        ("a=1, b=2", "a=1, b=2"),
        ("$Version=1; a=1; $Path=/", "$Version=1|a=1|$Path=/"),
        // Quotes: a pair of them is taken off, and they never hold a semicolon.
        ("a=\"1\"", "a=1"),
        ("a=\"\"", "a="),
        ("a=\"", "a=\""),
        ("a=\"1", "a=\"1"),
        ("a=1\"", "a=1\""),
        ("a=\"1; b=2; c=3\"", "a=\"1|b=2|c=3\""),
        ("a=\"x\\\"y\"", "a=x\\\"y"),
        // Values are decoded, names are not.
        ("a=%C3%A9%3B%0A", "a=é;\n"),
        ("a=100%", "a=100%"),
        ("a=%zz", "a=%zz"),
        ("a=%ff", "a=%ff"),
        ("a=x+y", "a=x+y"),
        ("%5F%5FHost-a=1", "%5F%5FHost-a=1"),
        ("__Host-a=1", "__Host-a=1"),
        ("__host-a=1", "__host-a=1"),
        ("a[b]=1; {c}=2; d/e=3", "a[b]=1|{c}=2|d/e=3"),
    ] {
        assert_eq!(read(&[line.as_bytes()]), expected, "{line:?}");
    }
    assert_eq!(read(&[b"a=1", b"b=2"]), "a=1|b=2");
    assert_eq!(read(&[b"a=\xff; b=2"]), "b=2");
    assert_eq!(read(&[b"\xc3\xa9=\xc3\xa9"]), "é=é");
    assert_eq!(read(&[]), "");
}

#[test]
fn the_first_of_a_name_counts() {
    let app = |request: Request| {
        request
            .cookie("a")
            .map_or("none".into(), |a| a.into_owned())
    };
    let client = Client::new(app);
    let sent = |line: &'static str| client.get("/").header("cookie", line).send().text();
    assert_eq!(sent("b=0; a=1; a=2"), "1");
    assert_eq!(sent("A=1; aa=2"), "none");
    let long = format!("a={}; b=1", "x".repeat(100_000));
    assert_eq!(
        client.get("/").header("cookie", long).send().text().len(),
        100_000
    );
}

#[test]
fn what_is_set() {
    let plain = || Cookie::new("a", "1");
    let second = Duration::from_secs(1);
    for (cookie, expected) in [
        (plain(), "a=1; Path=/; SameSite=Lax; HttpOnly; Secure"),
        (
            plain()
                .max_age(second * 60)
                .path("/x y")
                .domain("example.org"),
            "a=1; Max-Age=60; Path=/x y; Domain=example.org; SameSite=Lax; HttpOnly; Secure",
        ),
        (
            plain().expires(SystemTime::UNIX_EPOCH + second * 784_111_777),
            "a=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Path=/; SameSite=Lax; HttpOnly; Secure",
        ),
        (
            plain().expires(SystemTime::UNIX_EPOCH - second),
            "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; SameSite=Lax; HttpOnly; Secure",
        ),
        (
            plain()
                .secure(false)
                .http_only(false)
                .same_site(SameSite::Strict),
            "a=1; Path=/; SameSite=Strict",
        ),
        (
            plain()
                .secure(true)
                .same_site(SameSite::None)
                .partitioned(true),
            "a=1; Path=/; SameSite=None; HttpOnly; Partitioned; Secure",
        ),
    ] {
        assert_eq!(set(cookie.clone()).unwrap(), expected, "{cookie:?}");
    }
}

#[test]
fn any_text_comes_back_and_makes_no_second_attribute() {
    for text in [
        "",
        "plain",
        "a b",
        "a;b",
        "a,b",
        "\"quoted\"",
        "back\\slash",
        "100%",
        "%41",
        "é€🦀",
        "x; Domain=evil.example",
        "line\r\nSet-Cookie: b=2",
        "\0\u{7f}\t",
        "a=b=c",
        " ",
    ] {
        let line = set(Cookie::new("n", text)).unwrap();
        let (pair, rest) = line.split_once(';').unwrap();
        assert_eq!(rest, " Path=/; SameSite=Lax; HttpOnly; Secure", "{text:?}");
        assert_eq!(read(&[pair.as_bytes()]), format!("n={text}"), "{text:?}");
    }
}

#[test]
fn what_browsers_refuse_is_an_error() {
    let plain = || Cookie::new("a", "1");
    let named = |name: &'static str| Cookie::new(name, "1");
    let bad_names = [
        "", "a b", "a=b", "a;b", "é", "a\r\nb", "a\"b", "(a)", "a[1]", "a/b", "\0",
    ];
    let bad_names = bad_names.map(|name| (named(name), "cannot be the name"));
    let others = [
        (Cookie::new("a", "x".repeat(4096)), "has 4097 bytes"),
        (Cookie::new("a", "é".repeat(700)), "has 4201 bytes"),
        (plain().path("x"), "must start with a slash"),
        (plain().path(""), "must start with a slash"),
        (plain().path("/a;b"), "cannot be a cookie's Path"),
        (plain().path("/a\r\nb"), "cannot be a cookie's Path"),
        (plain().path("/é"), "cannot be a cookie's Path"),
        (
            plain().path(format!("/{}", "x".repeat(1024))),
            "cannot be a cookie's Path",
        ),
        (plain().domain("a;Secure"), "cannot be a cookie's Domain"),
        (
            plain().same_site(SameSite::None).secure(false),
            "must be Secure",
        ),
        (plain().partitioned(true).secure(false), "must be Secure"),
        (named("__Secure-a").secure(false), "must be Secure"),
        (named("__Host-a").secure(false), "must be Secure"),
        (
            named("__hOsT-a").domain("example.org"),
            "the path `/` and no domain",
        ),
        (named("__Host-a").path("/a"), "the path `/` and no domain"),
        (named("__Http-a").http_only(false), "must be HttpOnly"),
        (named("__Host-Http-a").http_only(false), "must be HttpOnly"),
        (
            named("__Host-Http-a").path("/a"),
            "the path `/` and no domain",
        ),
    ];
    for (cookie, says) in bad_names.into_iter().chain(others) {
        let problem = set(cookie.clone()).unwrap_err();
        assert!(problem.contains(says), "{cookie:?}: {problem}");
        assert!(!problem.contains(['\r', '\n', '\0']), "{problem:?}");
    }
    for good in [
        named("__Host-a"),
        named("__Secure-a").domain("example.org"),
        named("__Http-a"),
    ] {
        assert!(set(good).unwrap().ends_with("; Secure"));
    }
    assert!(set(Cookie::new("a", "x".repeat(4095))).is_ok());
    let response = Response::default()
        .try_with_cookie(named("a b"))
        .unwrap_err();
    assert_eq!(response.status(), 500);
}

#[test]
#[should_panic(expected = "Response::with_cookie: `a b` cannot be the name of a cookie")]
fn a_bad_name_panics() {
    let _ = Response::default().with_cookie(Cookie::new("a b", ""));
}

#[test]
fn cookies_are_secure_on_https() {
    let app = |_: Request| {
        Response::new("x")
            .with_cookie(Cookie::new("auto", "1"))
            .with_cookie(Cookie::new("always", "1").secure(true))
            .with_cookie(Cookie::new("never", "1").secure(false))
            .with_cookie(Cookie::new("__Host-auto", "1"))
            .delete_cookie("gone")
    };
    let secure = |scheme| {
        let connection = ConnectionInfo::default().with_scheme(scheme);
        let reply = Client::new(app).with_connection(connection).get("/").send();
        let lines = reply.headers().get_all("set-cookie").iter();
        lines
            .map(|line| line.to_str().unwrap().ends_with("; Secure"))
            .collect::<Vec<_>>()
    };
    assert_eq!(secure("https"), [true, true, false, true, true]);
    assert_eq!(secure("http"), [false, true, false, true, false]);
}

#[test]
fn deleting_names_the_same_cookie() {
    let there = Cookie::new("a", "1").path("/x").domain("example.org");
    let response = Response::default()
        .delete_cookie(there)
        .delete_cookie("__Host-b");
    let gone = "=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/";
    assert_eq!(
        lines(&response),
        [
            format!("a{gone}x; Domain=example.org; SameSite=Lax; HttpOnly; Secure"),
            format!("__Host-b{gone}; SameSite=Lax; HttpOnly; Secure"),
        ]
    );
}

#[test]
fn a_response_keeps_its_other_headers_and_cookies() {
    let mut response = "x".into_response().with_cookie(Cookie::new("a", "1"));
    let by_hand = "b=2; Secure".parse().unwrap();
    response.headers_mut().append("set-cookie", by_hand);
    response.fit_to(&ConnectionInfo::default());
    assert_eq!(
        lines(&response),
        ["a=1; Path=/; SameSite=Lax; HttpOnly", "b=2; Secure"]
    );
    assert!(response.headers().contains_key("content-type"));
}

#[cfg(feature = "cookies")]
mod keys {
    use super::*;
    use crate::Keys;

    const SECRET: &str = "a secret of thirty-two bytes or more";

    /// What the two kinds of reading make of `value` under `name`.
    fn opened(keys: &Keys, name: &'static str, value: &str) -> [Option<String>; 2] {
        let got = std::sync::Mutex::new([None, None]);
        let keys = keys.clone();
        let got = std::sync::Arc::new(got);
        let there = got.clone();
        let app = move |request: Request| {
            let read = [
                request.signed_cookie(name, &keys),
                request.private_cookie(name, &keys),
            ];
            *there.lock().unwrap() = read;
        };
        let line = set(Cookie::new(name, value.to_owned())).unwrap();
        let pair = line.split(';').next().unwrap().to_owned();
        Client::new(app).get("/").header("cookie", pair).send();
        got.lock().unwrap().clone()
    }

    #[test]
    fn what_was_made_is_read() {
        let keys = Keys::new(SECRET);
        for text in ["", "Ada", "é; Secure", "a.b.c"] {
            let some = Some(text.to_owned());
            let signed = keys.sign(Cookie::new("n", text));
            assert_eq!(opened(&keys, "n", signed.value()), [some.clone(), None]);
            let private = keys.encrypt(Cookie::new("n", text));
            assert_eq!(opened(&keys, "n", private.value()), [None, some]);
            assert!(text.is_empty() || !private.value().contains(text));
        }
        let [a, b] = [(); 2].map(|()| keys.encrypt(Cookie::new("n", "x")));
        assert_ne!(a.value(), b.value(), "the nonce is random");
    }

    #[test]
    fn nothing_else_is_read() {
        let keys = Keys::new(SECRET);
        let none = [None, None];
        for made in [
            keys.sign(Cookie::new("n", "Ada")),
            keys.encrypt(Cookie::new("n", "Ada")),
        ] {
            let value = made.value();
            assert_eq!(opened(&keys, "other", value), none, "another name");
            assert_eq!(opened(&Keys::random(), "n", value), none, "another key");
            for at in 0..value.len() {
                let mut changed = value.as_bytes().to_vec();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(opened(&keys, "n", &changed), none, "changed at {at}");
                assert_eq!(opened(&keys, "n", &value[..at]), none, "cut at {at}");
            }
        }
        for odd in ["", ".", "Ada", "..", "%", "====", "é"] {
            assert_eq!(opened(&keys, "n", odd), none, "{odd:?}");
        }
    }

    #[test]
    fn keys_are_rotated() {
        let old = Keys::new(SECRET);
        let new = Keys::new("another secret of thirty-two bytes").and_old(SECRET);
        let some = Some("Ada".to_owned());
        let signed = |keys: &Keys| keys.sign(Cookie::new("n", "Ada"));
        let private = |keys: &Keys| keys.encrypt(Cookie::new("n", "Ada"));
        for keys in [&old, &new] {
            assert_eq!(opened(&new, "n", signed(keys).value())[0], some);
            assert_eq!(opened(&new, "n", private(keys).value())[1], some);
        }
        assert_eq!(opened(&old, "n", signed(&new).value())[0], None);
        assert_eq!(opened(&old, "n", private(&new).value())[1], None);
    }

    #[test]
    #[should_panic(expected = "the secret has 31 bytes, and 32 are needed")]
    fn short_secrets_are_refused() {
        let _ = Keys::new("x".repeat(31));
    }

    #[test]
    fn no_secret_is_shown() {
        assert_eq!(format!("{:?}", Keys::random()), "Keys(1)");
    }
}
