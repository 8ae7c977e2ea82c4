//! The PROXY protocol: a line or a binary header with which a load balancer that does not speak
//! HTTP says whose connection it passes on (haproxy's `proxy-protocol.txt`, versions 1 and 2).
//!
//! What must stay true: it is read from trusted peers only, once, before the first request, and
//! never guessed at. Where it is expected it has to be there (section 2 of the specification:
//! "the receiver MUST not try to guess"); where it is not, it is a malformed request. It has a
//! bound, and what does not follow the format to the letter ends the connection.
//!
//! This module does no I/O.

use super::Service;
use super::config::ProxyProtocol;
use super::trust::Trust;
use bytes::{Buf, BytesMut};
use greenway_app::ConnectionInfo;
use log::Level;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// The longest line of version 1, with its CRLF (section 2.1).
const V1_MOST: usize = 107;
/// The most bytes of a header of version 2. Addresses take 36 at most (216 for unix sockets, of
/// which nothing is used); the rest is for extensions, such as the names in a certificate.
const V2_MOST: usize = 4096;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The extension (TLV) that tells of TLS between client and proxy, and its bit for "it is used".
const TYPE_TLS: u8 = 0x20;
const CLIENT_TLS: u8 = 0x01;

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A complete header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    length: usize,
    /// `None`: the proxy speaks for itself (a health check), or cannot say for whom.
    proxied: Option<Proxied>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Proxied {
    client: SocketAddr,
    server: SocketAddr,
    /// The client has spoken TLS to the proxy.
    tls: bool,
}

/// Takes the header of the `expected` version off the front of `buf`, and gives the connection info
/// that it contains. `None` if more bytes are needed.
///
/// # Errors
/// When it is no such header. The connection has to be closed.
pub(crate) fn take(
    buf: &mut BytesMut,
    expected: ProxyProtocol,
    info: &ConnectionInfo,
    trust: &Trust,
) -> Result<Option<Arc<ConnectionInfo>>, Malformed> {
    let Some(header) = parse(buf, expected)? else {
        return Ok(None);
    };
    buf.advance(header.length);
    // Free the space of the header, so that an idle connection keeps nothing.
    if buf.is_empty() {
        *buf = BytesMut::new();
    }
    let mut info = info.clone();
    // Who is behind it is unknown, so what the requests claim cannot be believed either.
    info.trusted_proxy = false;
    if let Some(proxied) = header.proxied {
        info.peer = Some(proxied.client);
        info.local = Some(proxied.server);
        if proxied.tls {
            info.scheme = "https";
        }
        info.trusted_proxy = trust.trusts_peer_of(&info);
    }
    Ok(Some(Arc::new(info)))
}

/// Logs that a connection is closed for its header. Only trusted peers can cause it.
pub(crate) fn report(service: &Service, info: &ConnectionInfo, why: Malformed) {
    let peer = info
        .peer
        .map_or("a unix socket".to_owned(), |peer| peer.to_string());
    let what = format_args!("a connection from {peer} is closed: {}", why.0);
    let kind = "connections closed for their PROXY header";
    service.error_log.log(Level::Warn, kind, what);
}

fn parse(bytes: &[u8], expected: ProxyProtocol) -> Result<Option<Header>, Malformed> {
    let (v1, v2) = match expected {
        ProxyProtocol::V1 => (true, false),
        ProxyProtocol::V2 => (false, true),
        ProxyProtocol::Off | ProxyProtocol::Auto => (true, true),
    };
    if v2 && starts_alike(bytes, V2_START) {
        parse_v2(bytes)
    } else if v1 && starts_alike(bytes, V1_START) {
        parse_v1(bytes)
    } else {
        Err(Malformed(match expected {
            ProxyProtocol::V1 => "no PROXY header of version 1",
            ProxyProtocol::V2 => "no PROXY header of version 2",
            ProxyProtocol::Off | ProxyProtocol::Auto => "no PROXY header",
        }))
    }
}

/// Whether `bytes` begins with `start`, as far as it has come.
fn starts_alike(bytes: &[u8], start: &[u8]) -> bool {
    let n = bytes.len().min(start.len());
    bytes[..n] == start[..n]
}

/// Section 2.1: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`.
fn parse_v1(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let within = &bytes[..bytes.len().min(V1_MOST)];
    let Some(end) = memchr::memchr(b'\n', within) else {
        return if bytes.len() < V1_MOST {
            Ok(None)
        } else {
            Err(Malformed("the PROXY line is too long"))
        };
    };
    let line = within[..end]
        .strip_suffix(b"\r")
        .and_then(|line| std::str::from_utf8(line).ok())
        .ok_or(Malformed("malformed PROXY line"))?;
    let header = |proxied| {
        Ok(Some(Header {
            length: end + 1,
            proxied,
        }))
    };
    let mut words = line.split(' ').skip(1);
    match words.next() {
        // "the receiver must ignore anything presented before the CRLF is found"
        Some("UNKNOWN") => header(None),
        Some("TCP4") => header(Some(v1_addresses(words, |word| {
            word.parse().ok().map(IpAddr::V4)
        })?)),
        Some("TCP6") => header(Some(v1_addresses(words, |word| {
            word.parse().ok().map(IpAddr::V6)
        })?)),
        _ => Err(Malformed("malformed PROXY line")),
    }
}

fn v1_addresses<'a>(
    mut words: impl Iterator<Item = &'a str>,
    address: impl Fn(&str) -> Option<IpAddr>,
) -> Result<Proxied, Malformed> {
    let proxied = (|| {
        let (from, to) = (address(words.next()?)?, address(words.next()?)?);
        let (from_port, to_port) = (port(words.next()?)?, port(words.next()?)?);
        words.next().is_none().then(|| Proxied {
            client: SocketAddr::new(from, from_port),
            server: SocketAddr::new(to, to_port),
            tls: false,
        })
    })();
    proxied.ok_or(Malformed("malformed PROXY line"))
}

/// Decimal digits, without a sign and without leading zeros.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    (plain && (word == "0" || !word.starts_with('0'))).then(|| word.parse().ok())?
}

/// Section 2.2: signature, version and command, family and transport, length, addresses, TLVs.
fn parse_v2(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    const FIXED: usize = V2_START.len() + 4;
    let Some(fixed) = bytes.get(V2_START.len()..FIXED) else {
        return Ok(None);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if length > V2_MOST {
        return Err(Malformed("the PROXY header is too long"));
    }
    let local = match fixed[0] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed("unknown version or command of the PROXY header")),
    };
    let Some(rest) = bytes.get(FIXED..length) else {
        return Ok(None);
    };
    if local {
        // "the receiver must accept this connection as valid and must use the real connection
        // endpoints and discard the protocol block"
        return Ok(Some(Header {
            length,
            proxied: None,
        }));
    }
    let short = Malformed("the PROXY header is too short for its addresses");
    let (addresses, extensions) = match fixed[1] {
        0x11 => {
            let (block, extensions) = rest.split_first_chunk::<12>().ok_or(short)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *block;
            let (from, to) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
            (Some((from.into(), to.into(), ports)), extensions)
        }
        0x21 => {
            let (from, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
            let (to, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
            let (ports, extensions) = rest.split_first_chunk::<4>().ok_or(short)?;
            let (from, to) = (Ipv6Addr::from(*from), Ipv6Addr::from(*to));
            (Some((from.into(), to.into(), *ports)), extensions)
        }
        // AF_UNSPEC, and a unix socket: there is no address to use.
        0x00 | 0x31 => (None, &[][..]),
        _ => return Err(Malformed("unknown family or transport of the PROXY header")),
    };
    let tls = mentions_tls(extensions)?;
    let proxied = addresses.map(
        |(from, to, [a, b, c, d]): (IpAddr, IpAddr, [u8; 4])| Proxied {
            client: SocketAddr::new(from, u16::from_be_bytes([a, b])),
            server: SocketAddr::new(to, u16::from_be_bytes([c, d])),
            tls,
        },
    );
    Ok(Some(Header { length, proxied }))
}

/// Walks through the extensions (section 2.2.1): type, length, value.
fn mentions_tls(mut rest: &[u8]) -> Result<bool, Malformed> {
    let mut tls = false;
    while let Some((&kind, after)) = rest.split_first() {
        let malformed = Malformed("malformed extension of the PROXY header");
        let (length, after) = after.split_first_chunk::<2>().ok_or(malformed)?;
        let (value, after) = after
            .split_at_checked(u16::from_be_bytes(*length).into())
            .ok_or(malformed)?;
        tls |= kind == TYPE_TLS && value.first().is_some_and(|bits| bits & CLIENT_TLS != 0);
        rest = after;
    }
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
        super::parse(bytes, ProxyProtocol::Auto)
    }

    #[test]
    fn one_version_may_be_expected_alone() {
        use ProxyProtocol::{Auto, V1, V2};
        let line = b"PROXY UNKNOWN\r\n".to_vec();
        let binary = v2(0x20, 0x00, &[]);
        for (bytes, expected, right) in [
            (&line, V1, true),
            (&line, V2, false),
            (&line, Auto, true),
            (&binary, V1, false),
            (&binary, V2, true),
            (&binary, Auto, true),
        ] {
            for end in 1..=bytes.len() {
                let parsed = super::parse(&bytes[..end], expected);
                assert_eq!(parsed.is_ok(), right, "{expected:?}, {end} bytes");
            }
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family], &length, rest].concat()
    }

    const V4_BLOCK: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 1, 0xbb];

    fn v6_block() -> Vec<u8> {
        let (from, to): (Ipv6Addr, Ipv6Addr) = (
            "2001:db8::1".parse().unwrap(),
            "2001:db8::2".parse().unwrap(),
        );
        [&from.octets()[..], &to.octets(), &V4_BLOCK[8..]].concat()
    }

    fn told(client: &str, server: &str, tls: bool) -> Option<Proxied> {
        Some(Proxied {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
            tls,
        })
    }

    #[test]
    fn what_proxies_send() {
        let v4 = told("192.0.2.1:56324", "192.0.2.2:443", false);
        let v6 = told("[2001:db8::1]:56324", "[2001:db8::2]:443", false);
        let tls = |bits| {
            [
                &V4_BLOCK[..],
                &[0x04, 0, 1, 0, 0x20, 0, 5, bits, 0, 0, 0, 0],
            ]
            .concat()
        };
        for (bytes, expected) in [
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(), v4),
            (
                b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n".to_vec(),
                v6,
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ::1 whatever it is\r\n".to_vec(), None),
            (v2(0x21, 0x11, &V4_BLOCK), v4),
            (v2(0x21, 0x21, &v6_block()), v6),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &[1, 2, 3]), None),
            (v2(0x21, 0x00, &[9; 20]), None),
            (v2(0x21, 0x31, &[9; 216]), None),
            (v2(0x21, 0x11, &tls(0)), v4),
            (
                v2(0x21, 0x11, &tls(1)),
                told("192.0.2.1:56324", "192.0.2.2:443", true),
            ),
        ] {
            let length = bytes.len();
            let mut more = bytes.clone();
            more.extend_from_slice(b"GET / HTTP/1.1\r\n");
            let header = Header {
                length,
                proxied: expected,
            };
            assert_eq!(parse(&more), Ok(Some(header)), "{}", more.escape_ascii());
            for end in 0..length {
                assert_eq!(
                    parse(&bytes[..end]),
                    Ok(None),
                    "{}",
                    bytes[..end].escape_ascii()
                );
            }
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let line = |text: &str| text.as_bytes().to_vec();
        for bytes in [
            line("GET / HTTP/1.1\r\n"),
            line("PROXY\r\n"),
            line("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"),
            line("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"),
            line("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"),
            line("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"),
            line("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n"),
            line("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"),
            line("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"),
            line("PROXY TCP4 ::1 ::1 1 2\r\n"),
            line("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"),
            line("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"),
            line("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 100]].concat(),
            v2(0x11, 0x11, &V4_BLOCK),
            v2(0x22, 0x11, &V4_BLOCK),
            v2(0x21, 0x12, &V4_BLOCK),
            v2(0x21, 0x11, &V4_BLOCK[1..]),
            v2(0x21, 0x21, &v6_block()[1..]),
            v2(0x21, 0x11, &[&V4_BLOCK[..], &[4]].concat()),
            v2(0x21, 0x11, &[&V4_BLOCK[..], &[4, 0, 2, 0]].concat()),
            v2(0x21, 0x11, &vec![0; V2_MOST]),
        ] {
            assert!(parse(&bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn it_is_taken_off_and_told() {
        let local = "10.0.0.1:80".parse().ok();
        let info = ConnectionInfo::new(local, "127.0.0.1:9".parse().ok()).with_trusted_proxy(true);
        let trust = "127.0.0.1,192.0.2.1".parse().unwrap();
        let mut buf = BytesMut::from(&b"PROXY TCP4 192.0.2.1 192.0.2.2 5 443\r\nGET"[..]);
        let told = take(&mut buf, ProxyProtocol::Auto, &info, &trust)
            .unwrap()
            .unwrap();
        assert_eq!(&buf[..], b"GET");
        assert_eq!(told.peer, "192.0.2.1:5".parse().ok());
        assert_eq!(told.local, "192.0.2.2:443".parse().ok());
        assert!(
            told.trusted_proxy,
            "the one behind is an HTTP proxy of ours"
        );

        let mut buf = BytesMut::from(&b"PROXY UNKNOWN\r\n"[..]);
        let unknown = take(&mut buf, ProxyProtocol::V1, &info, &trust)
            .unwrap()
            .unwrap();
        assert_eq!(unknown.peer, info.peer);
        assert!(!unknown.trusted_proxy, "nobody knows who is behind");
    }

    proptest! {
        /// However many bytes have come, it neither panics nor waits beyond its bound, and says
        /// the same of a longer stream once it has spoken.
        #[test]
        fn any_bytes_are_judged_within_the_bound(
            start in prop_oneof![Just(&b""[..]), Just(V1_START), Just(V2_START)],
            rest in proptest::collection::vec(any::<u8>(), 0..V2_MOST + 100),
        ) {
            let bytes = [start, &rest].concat();
            let mut verdict = None;
            for end in 0..=bytes.len() {
                let now = parse(&bytes[..end]);
                if let Some(spoken) = verdict {
                    prop_assert_eq!(now, spoken);
                } else if now != Ok(None) {
                    verdict = Some(now);
                }
                prop_assert!(now != Ok(None) || end < V2_MOST);
            }
        }
    }
}
