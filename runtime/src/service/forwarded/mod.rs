//! What trusted proxies say of the client: `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`, and
//! `Forwarded` (RFC 7239).
//!
//! Each proxy appends who has connected to it, so the list reads from the right: the last entry
//! was written by the proxy that has connected to us. If that proxy is trusted, the entry is
//! true; if the one it names is trusted as well, so is the entry before it; and so on. The client
//! is the rightmost hop that is not trusted. What stands further left, anybody may have written.
//!
//! What must stay true:
//! - Nothing of this is looked at unless the peer is trusted.
//! - A client cannot choose who it is taken for. A proxy that sets one family of fields lets the
//!   other one pass as the client has sent it, so if both are there they have to agree, and
//!   otherwise the request is refused (400), as gunicorn refuses contradicting schemes.
//!
//! This module does no I/O.

use super::trust::Trust;
use greenway_app::{ConnectionInfo, Head, Span};
use http::uri::Authority;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What is known of the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Forwarded {
    /// Port 0 where none is given.
    client: Option<SocketAddr>,
    scheme: Option<&'static str>,
    /// The host that the client has asked for, as a part of the head.
    host: Option<Span>,
    /// What the proxy has taken off the front of the path, as a part of the head.
    prefix: Option<Span>,
}

const CONTRADICTION: &str = "the forwarding fields contradict one another";
const MALFORMED: &str = "malformed forwarding fields";

/// The info of a request that came through a trusted proxy, if they differ from those of its
/// connection. The host goes into the head, where that of an absolute target would stand: it
/// overrides `Host` in the same way.
///
/// # Errors
/// Where the fields are malformed or contradict one another; says which. It is to be a 400.
pub(crate) fn apply(
    head: &mut Head,
    info: &Arc<ConnectionInfo>,
    trust: &Trust,
) -> Result<Option<Arc<ConnectionInfo>>, &'static str> {
    if !info.trusted_proxy
        || !head
            .fields
            .iter()
            .any(|field| is_candidate(field.name.len()))
    {
        return Ok(None);
    }
    apply_what_is_there(head, info, trust)
}

#[inline(never)] // most requests keep no stack for it
fn apply_what_is_there(
    head: &mut Head,
    info: &Arc<ConnectionInfo>,
    trust: &Trust,
) -> Result<Option<Arc<ConnectionInfo>>, &'static str> {
    let forwarded = read(head, trust)?;
    if forwarded.host.is_some() {
        head.authority = forwarded.host;
    }
    let prefix = forwarded.prefix.map(|prefix| head.text(prefix));
    if forwarded.client.is_none() && forwarded.scheme.is_none() && prefix.is_none() {
        return Ok(None);
    }
    let mut info = ConnectionInfo::clone(info);
    info.peer = forwarded.client.or(info.peer);
    info.scheme = forwarded.scheme.unwrap_or(info.scheme);
    if let Some(prefix) = prefix {
        info = info.with_prefix(prefix);
    }
    Ok(Some(Arc::new(info)))
}

/// Most requests have no field whose name is as long as one of ours.
fn is_candidate(name_length: usize) -> bool {
    name_length == "forwarded".len() || (15..=20).contains(&name_length)
}

fn read(head: &Head, trust: &Trust) -> Result<Forwarded, &'static str> {
    let ours = by_x_forwarded(head, trust)?;
    let standard = by_forwarded(head, trust)?;
    let forwarded = Forwarded {
        client: agree(ours.client, standard.client, |client| client.ip())?,
        scheme: agree(ours.scheme, standard.scheme, |scheme| scheme)?,
        host: agree(ours.host, standard.host, |host| head.text(host))?,
        prefix: ours.prefix, // RFC 7239 knows none
    };
    if forwarded.host.is_some_and(|host| !is_host(head.text(host))) {
        return Err(MALFORMED);
    }
    if forwarded
        .prefix
        .is_some_and(|prefix| !is_prefix(head.text(prefix)))
    {
        return Err(MALFORMED);
    }
    Ok(forwarded)
}

/// One of two statements, if they do not contradict one another.
fn agree<T: Copy, K: PartialEq>(
    one: Option<T>,
    other: Option<T>,
    key: impl Fn(T) -> K,
) -> Result<Option<T>, &'static str> {
    match (one, other) {
        (Some(a), Some(b)) if key(a) != key(b) => Err(CONTRADICTION),
        _ => Ok(one.or(other)),
    }
}

/// `host` or `host:port`, without user.
fn is_host(text: &str) -> bool {
    text.parse::<Authority>()
        .is_ok_and(|authority| !authority.host().is_empty() && !text.contains('@'))
}

/// What can stand before a path: `/` and then segments. Two slashes in front would make a host of
/// what links begin with.
fn is_prefix(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+=:@%".contains(&byte);
    text.starts_with('/')
        && !text.contains("//")
        && text.bytes().all(allowed)
        && !text
            .split('/')
            .any(|segment| segment == "." || segment == "..")
}

/// Goes from the right as far as the proxies are trusted, and gives the client and how many
/// entries to the right of its own there are.
fn follow(
    entries: impl DoubleEndedIterator<Item = Option<SocketAddr>>,
    trust: &Trust,
) -> (Option<SocketAddr>, usize) {
    let mut reached = (None, 0);
    for (from_right, entry) in entries.rev().enumerate() {
        // A proxy that does not say, or hides it: what is further left, it has not vouched for.
        let Some(address) = entry else { break };
        reached = (Some(address), from_right);
        if !trust.trusts(address.ip()) {
            break;
        }
    }
    reached
}

/// The entry that belongs to the same hop. A proxy that sets a list anew makes it shorter than
/// that of the addresses; its entry then holds for the hops before it, too.
fn at_hop<T: Copy>(entries: &[T], from_right: usize) -> Option<T> {
    let last = entries.len().checked_sub(1)?;
    Some(entries[last - from_right.min(last)])
}

fn by_x_forwarded(head: &Head, trust: &Trust) -> Result<Forwarded, &'static str> {
    let addresses = list(head, "x-forwarded-for");
    let (client, hop) = follow(addresses.iter().map(|entry| node(head.text(*entry))), trust);
    let protocols = list(head, "x-forwarded-proto");
    let by_proto = at_hop(&protocols, hop).and_then(|entry| scheme(head.text(entry)));
    // Other proxies' words for it, known to gunicorn (`--secure-scheme-headers`).
    let by_protocol =
        at_hop(&list(head, "x-forwarded-protocol"), hop).and_then(|entry| scheme(head.text(entry)));
    let by_ssl =
        at_hop(&list(head, "x-forwarded-ssl"), hop).and_then(|entry| match head.text(entry) {
            "on" => Some("https"),
            "off" => Some("http"),
            _ => None,
        });
    let scheme = agree(by_proto, by_protocol, |scheme| scheme)?;
    Ok(Forwarded {
        client,
        scheme: agree(scheme, by_ssl, |scheme| scheme)?,
        host: at_hop(&list(head, "x-forwarded-host"), hop),
        prefix: at_hop(&list(head, "x-forwarded-prefix"), hop),
    })
}

fn scheme(text: &str) -> Option<&'static str> {
    let is = |name: &str| text.eq_ignore_ascii_case(name);
    if is("https") || is("wss") || is("ssl") {
        Some("https")
    } else if is("http") || is("ws") {
        Some("http")
    } else {
        None
    }
}

/// The entries of all fields of this name, as parts of the head. Empty entries are none
/// (RFC 9110 section 5.6.1).
fn list(head: &Head, name: &str) -> Vec<Span> {
    values(head, name)
        .flat_map(|value| split(head, value, |byte| byte == b','))
        .filter(|entry| !entry.is_empty())
        .collect()
}

fn values<'a>(head: &'a Head, name: &'a str) -> impl Iterator<Item = Span> + use<'a> {
    head.fields
        .iter()
        .filter(|field| field.name.len() == name.len())
        .filter(|field| head.slice(field.name).eq_ignore_ascii_case(name.as_bytes()))
        .map(|field| field.value)
}

/// The trimmed parts of a span between separators.
fn split(head: &Head, whole: Span, mut separates: impl FnMut(u8) -> bool) -> Vec<Span> {
    let mut parts = Vec::new();
    let mut start = whole.start;
    for at in whole.start..whole.end {
        if separates(head.slice(Span::new(at, at + 1))[0]) {
            parts.push(trim(head, Span::new(start, at)));
            start = at + 1;
        }
    }
    parts.push(trim(head, Span::new(start, whole.end)));
    parts
}

fn trim(head: &Head, span: Span) -> Span {
    let text = head.slice(span);
    // Lengths of parts of a span, which are of 32 bits.
    let before = (text.len() - text.trim_ascii_start().len()) as u32;
    let after = (text.len() - text.trim_ascii_end().len()) as u32;
    if before as usize == text.len() {
        return Span::new(span.start, span.start);
    }
    Span::new(span.start + before, span.end - after)
}

/// An address as proxies write it: `192.0.2.1`, `192.0.2.1:5`, `2001:db8::1`, `[2001:db8::1]:5`.
/// `unknown` and what is obfuscated (RFC 7239 section 6.3) is `None`.
fn node(text: &str) -> Option<SocketAddr> {
    let canonical = |address: IpAddr, port| SocketAddr::new(address.to_canonical(), port);
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(canonical(address, 0));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(canonical(address.ip(), address.port()));
    }
    // Without a port, or with one that is obfuscated.
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find(':')?),
    };
    let hidden = port.is_empty() || port.starts_with(":_");
    hidden
        .then(|| address.parse().ok())?
        .map(|address| canonical(address, 0))
}

fn by_forwarded(head: &Head, trust: &Trust) -> Result<Forwarded, &'static str> {
    let mut entries = Vec::new();
    for value in values(head, "forwarded") {
        for element in split_quoted(head, value, b',')? {
            if !element.is_empty() {
                entries.push(element_of(head, element)?);
            }
        }
    }
    let (client, hop) = follow(entries.iter().map(|entry| entry.client), trust);
    let entry = at_hop(&entries, hop).unwrap_or_default();
    Ok(Forwarded { client, ..entry })
}

/// As [`split`], leaving quoted strings whole. One that does not end would swallow what our
/// proxy has appended to what a client sent, so it is an error.
fn split_quoted(head: &Head, whole: Span, separator: u8) -> Result<Vec<Span>, &'static str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = split(head, whole, |byte| {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        }
        byte == separator && !quoted
    });
    if quoted { Err(MALFORMED) } else { Ok(parts) }
}

/// RFC 7239 section 4: `for=192.0.2.1;proto=https;host="example.org:8080"`, each at most once.
fn element_of(head: &Head, element: Span) -> Result<Forwarded, &'static str> {
    let mut forwarded = Forwarded::default();
    let mut seen = [false; 3];
    for pair in split_quoted(head, element, b';')? {
        if pair.is_empty() {
            continue;
        }
        let text = head.text(pair);
        let (name, value) = text.split_once('=').ok_or(MALFORMED)?;
        // At most as long as the span of 32 bits that it is a part of.
        let start = pair.start + name.len() as u32 + 1;
        let value = unquoted(value, start)?;
        let known = ["for", "proto", "host"];
        let Some(which) = known
            .iter()
            .position(|known| name.eq_ignore_ascii_case(known))
        else {
            continue; // `by`, and extensions
        };
        if std::mem::replace(&mut seen[which], true) {
            return Err(MALFORMED);
        }
        match which {
            0 => forwarded.client = node(head.text(value)),
            1 => forwarded.scheme = scheme(head.text(value)),
            _ => forwarded.host = Some(value),
        }
    }
    Ok(forwarded)
}

/// The inside of a quoted string, or a token as it is. Neither addresses nor hosts have anything
/// to escape.
fn unquoted(value: &str, start: u32) -> Result<Span, &'static str> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or(MALFORMED)?,
        None => value,
    };
    if inner.contains(['"', '\\']) {
        return Err(MALFORMED);
    }
    // Both are part of a head, whose offsets have 32 bits.
    let start = start + u32::from(inner.len() != value.len());
    Ok(Span::new(start, start + inner.len() as u32))
}

#[cfg(test)]
mod tests;
