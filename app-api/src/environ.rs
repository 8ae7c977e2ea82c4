//! The CGI environment that PEP 3333 gives to applications.
//!
//! Nothing in Greenway needs it: it is for applications, middleware and habits
//! that come from WSGI. It is built when [`Request::environ`] is first called.
//!
//! What must stay true: it cannot be forged. A header name with an underscore
//! would take the place of one with a dash (`X_Real_IP` of `X-Real-IP`), and
//! `Proxy` would become `HTTP_PROXY`, which libraries read as a setting
//! (CVE-2016-5385); neither gets in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Index;

use crate::{Request, Version};

/// The variables of PEP 3333 and RFC 3875, all as text.
///
/// | key | value |
/// |---|---|
/// | `REQUEST_METHOD`, `QUERY_STRING`, `SERVER_PROTOCOL` | as sent |
/// | `SCRIPT_NAME`, `PATH_INFO` | [`Request::script_name`], [`Request::path`] |
/// | `RAW_URI` | the request-target as sent |
/// | `CONTENT_TYPE`, `CONTENT_LENGTH` | the headers; absent if they are |
/// | `SERVER_NAME`, `SERVER_PORT` | of the Host, else of the local address |
/// | `SERVER_SOFTWARE` | [`ConnectionInfo::server`](crate::ConnectionInfo::server) |
/// | `REMOTE_ADDR`, `REMOTE_PORT` | the peer; absent on a unix socket |
/// | `HTTP_*` | the other headers; several of a name joined by `,` (`Cookie`: by `; `) |
/// | `HTTPS`, `SSL_*` | those of Apache's mod_ssl, where this server speaks TLS: see [`TlsInfo`](crate::TlsInfo) |
/// | `wsgi.version`, `wsgi.url_scheme` | `1.0`, `http` or `https` |
/// | `wsgi.multithread`, `wsgi.multiprocess`, `wsgi.run_once`, `wsgi.input_terminated` | `true` or `false` |
///
/// Header values that are not UTF-8 are decoded as Latin-1, as PEP 3333 does
/// with all of them.
///
/// ```
/// use greenway_app::{Request, testing::Client};
///
/// fn show(request: Request) -> String {
///     let environ = request.environ();
///     format!("{} {}", &environ["REQUEST_METHOD"], &environ["PATH_INFO"])
/// }
///
/// assert_eq!(Client::new(show).get("/a%20b").send().text(), "GET /a b");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environ(BTreeMap<Cow<'static, str>, String>);

impl Environ {
    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    pub(crate) fn of(request: &Request) -> Self {
        let connection = request.connection();
        let (name, port) = server(request);
        let flag = |value: bool| if value { "true" } else { "false" }.to_owned();
        let mut map: BTreeMap<Cow<'static, str>, String> = BTreeMap::new();
        for (key, value) in [
            ("REQUEST_METHOD", request.method().to_string()),
            ("SCRIPT_NAME", request.script_name().into_owned()),
            ("PATH_INFO", request.path().to_owned()),
            ("QUERY_STRING", request.query_string().to_owned()),
            ("RAW_URI", request.target().to_owned()),
            ("SERVER_NAME", name),
            ("SERVER_PORT", port.to_string()),
            ("SERVER_PROTOCOL", protocol(request.version())),
            ("SERVER_SOFTWARE", connection.server.to_owned()),
            ("wsgi.version", "1.0".to_owned()),
            ("wsgi.url_scheme", connection.scheme.to_owned()),
            ("wsgi.multithread", flag(connection.multithread)),
            ("wsgi.multiprocess", flag(false)),
            ("wsgi.run_once", flag(false)),
            // `Input` ends by itself, also without a Content-Length.
            ("wsgi.input_terminated", flag(true)),
        ] {
            map.insert(Cow::Borrowed(key), value);
        }
        if let Some(peer) = connection.peer {
            map.insert(Cow::Borrowed("REMOTE_ADDR"), peer.ip().to_string());
            map.insert(Cow::Borrowed("REMOTE_PORT"), peer.port().to_string());
        }
        if let Some(tls) = &connection.tls {
            tls.variables(|name, value| {
                map.insert(Cow::Owned(name.to_owned()), value);
            });
        }
        for (name, value) in request.head().fields() {
            if let Some(key) = variable(name) {
                add(&mut map, key, text(value));
            }
        }
        // RFC 9112, 3.2.2: an absolute target overrides the Host header.
        if let (Some(_), Some(host)) = (request.head().authority, request.host()) {
            map.insert(Cow::Borrowed("HTTP_HOST"), host.to_owned());
        }
        Self(map)
    }
}

/// `HTTP/1.1`; HTTP/2 has no minor version (RFC 9113), and gunicorn gives none.
fn protocol(version: Version) -> String {
    match version {
        Version::HTTP_2 => "HTTP/2".to_owned(),
        other => format!("{other:?}"),
    }
}

/// # Panics
///
/// When there is no such variable; [`get`](Environ::get) does not.
impl Index<&str> for Environ {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        self.get(name)
            .unwrap_or_else(|| panic!("no variable {name:?} in the environ"))
    }
}

/// The variable that a header goes to, if any.
fn variable(name: &str) -> Option<Cow<'static, str>> {
    if name.contains('_') || name.is_empty() || name.eq_ignore_ascii_case("proxy") {
        return None;
    }
    let upper = name.to_ascii_uppercase().replace('-', "_");
    // RFC 3875, 4.1.18: what has a variable of its own is not repeated.
    Some(match upper.as_str() {
        "CONTENT_TYPE" => Cow::Borrowed("CONTENT_TYPE"),
        "CONTENT_LENGTH" => Cow::Borrowed("CONTENT_LENGTH"),
        _ => Cow::Owned(format!("HTTP_{upper}")),
    })
}

/// RFC 3875, 4.1.18: several fields of a name become one value.
fn add(map: &mut BTreeMap<Cow<'static, str>, String>, key: Cow<'static, str>, value: String) {
    // Cookies are joined as in RFC 9113, 8.2.3: their own syntax has commas.
    let separator = if key == "HTTP_COOKIE" { "; " } else { "," };
    match map.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) => {
            let joined = entry.get_mut();
            joined.push_str(separator);
            joined.push_str(&value);
        }
    }
}

/// UTF-8 if it is that, else Latin-1, which every sequence of bytes is.
fn text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().copied().map(char::from).collect(),
    }
}

/// Name and port of this server as the client calls it. Never empty, as PEP 3333
/// demands.
fn server(request: &Request) -> (String, u16) {
    let connection = request.connection();
    let default_port = if connection.scheme == "https" {
        443
    } else {
        80
    };
    if let Some((name, port)) = request.host().and_then(split_host) {
        return (name.to_owned(), port.unwrap_or(default_port));
    }
    match connection.local {
        Some(local) => (local.ip().to_string(), local.port()),
        None => ("localhost".to_owned(), default_port),
    }
}

/// Splits `host[:port]` (RFC 9110, 7.2); `None` if it is not that.
fn split_host(host: &str) -> Option<(&str, Option<u16>)> {
    let end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let (name, rest) = host.split_at(end);
    let inner = name
        .strip_prefix('[')
        .map_or(name, |inner| inner.trim_end_matches(']'));
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&b);
    let valid = if name.starts_with('[') {
        inner.bytes().all(|b| is_name(b) || b == b':')
    } else {
        inner.bytes().all(is_name)
    };
    if !valid || inner.is_empty() {
        return None;
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        // RFC 3986, 3.2.3: "host:" is a host with the default port.
        Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    Some((inner, port))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{ConnectionInfo, Head, Input, Method, Version};

    fn environ(target: &str, fields: &[(&str, &[u8])], connection: ConnectionInfo) -> Environ {
        let fields = fields.iter().copied();
        let head = Head::build(Method::GET, target, Version::HTTP_11, fields);
        let request = Request::new(head, Input::empty(), Arc::new(connection)).unwrap();
        request.environ().clone()
    }

    fn unix(fields: &[(&str, &[u8])]) -> Environ {
        environ("/", fields, ConnectionInfo::default())
    }

    #[test]
    fn every_variable() {
        let connection = ConnectionInfo::new(
            Some("10.0.0.1:8080".parse().unwrap()),
            Some("10.0.0.2:5000".parse().unwrap()),
        );
        let fields: [(&str, &[u8]); 4] = [
            ("Host", b"example.org:81"),
            ("Content-Type", b"text/plain"),
            ("Content-Length", b"3"),
            ("X-Thing", b"1"),
        ];
        let environ = environ("/a%20b?q=1", &fields, connection.with_multithread(true));
        let expected = [
            ("CONTENT_LENGTH", "3"),
            ("CONTENT_TYPE", "text/plain"),
            ("HTTP_HOST", "example.org:81"),
            ("HTTP_X_THING", "1"),
            ("PATH_INFO", "/a b"),
            ("QUERY_STRING", "q=1"),
            ("RAW_URI", "/a%20b?q=1"),
            ("REMOTE_ADDR", "10.0.0.2"),
            ("REMOTE_PORT", "5000"),
            ("REQUEST_METHOD", "GET"),
            ("SCRIPT_NAME", ""),
            ("SERVER_NAME", "example.org"),
            ("SERVER_PORT", "81"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            (
                "SERVER_SOFTWARE",
                concat!("greenway/", env!("CARGO_PKG_VERSION")),
            ),
            ("wsgi.input_terminated", "true"),
            ("wsgi.multiprocess", "false"),
            ("wsgi.multithread", "true"),
            ("wsgi.run_once", "false"),
            ("wsgi.url_scheme", "http"),
            ("wsgi.version", "1.0"),
        ];
        assert_eq!(environ.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_absent_is_absent() {
        let environ = unix(&[]);
        for name in [
            "CONTENT_TYPE",
            "CONTENT_LENGTH",
            "REMOTE_ADDR",
            "REMOTE_PORT",
            "HTTP_HOST",
        ] {
            assert_eq!(environ.get(name), None, "{name}");
        }
        assert_eq!(&environ["SERVER_NAME"], "localhost");
        assert_eq!(&environ["SERVER_PORT"], "80");
    }

    #[test]
    fn it_cannot_be_forged() {
        let environ = unix(&[
            ("X_Real_IP", b"6.6.6.6"),
            ("Content_Length", b"5"),
            ("Proxy", b"http://evil/"),
            ("X-Real-IP", b"10.0.0.1"),
        ]);
        assert_eq!(&environ["HTTP_X_REAL_IP"], "10.0.0.1");
        assert_eq!(environ.get("CONTENT_LENGTH"), None);
        assert_eq!(environ.get("HTTP_PROXY"), None);
    }

    #[test]
    fn fields_of_one_name_are_joined() {
        let environ = unix(&[
            ("Accept", b"a"),
            ("cookie", b"x=1"),
            ("ACCEPT", b"b"),
            ("Cookie", b"y=2"),
            ("X-Latin", b"caf\xe9"),
            ("X-Utf8", "café".as_bytes()),
        ]);
        assert_eq!(&environ["HTTP_ACCEPT"], "a,b");
        assert_eq!(&environ["HTTP_COOKIE"], "x=1; y=2");
        assert_eq!(&environ["HTTP_X_LATIN"], "café");
        assert_eq!(&environ["HTTP_X_UTF8"], "café");
    }

    #[test]
    fn names_of_the_server() {
        for (host, expected) in [
            ("a.example", Some(("a.example", None))),
            ("a:8080", Some(("a", Some(8080)))),
            ("a:", Some(("a", None))),
            ("[::1]:81", Some(("::1", Some(81)))),
            ("[::1]", Some(("::1", None))),
            ("", None),
            (":80", None),
            ("a:x", None),
            ("a:70000", None),
            ("a:+80", None),
            ("[::1", None),
            ("[]", None),
            ("[::1]x", None),
            ("user@a", None),
            ("a b", None),
            ("a/b", None),
        ] {
            assert_eq!(split_host(host), expected, "{host:?}");
        }
    }

    #[test]
    fn a_bad_host_falls_back_to_the_local_address() {
        let local =
            ConnectionInfo::new(Some("[::1]:443".parse().unwrap()), None).with_scheme("https");
        let bad = environ("/", &[("host", b"a b")], local.clone());
        assert_eq!((&bad["SERVER_NAME"], &bad["SERVER_PORT"]), ("::1", "443"));
        let good = environ("/", &[("host", b"a")], local.clone());
        assert_eq!((&good["SERVER_NAME"], &good["SERVER_PORT"]), ("a", "443"));
        let target = environ("http://b:7/", &[("host", b"a")], local);
        assert_eq!((&target["SERVER_NAME"], &target["SERVER_PORT"]), ("b", "7"));
        assert_eq!(&target["HTTP_HOST"], "b:7");
    }

    #[test]
    #[should_panic(expected = "no variable \"NOPE\"")]
    fn index_panics_with_the_name() {
        let _ = &unix(&[])["NOPE"];
    }
}
