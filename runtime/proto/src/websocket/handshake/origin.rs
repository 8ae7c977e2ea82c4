//! Which pages may connect (RFC 6455 section 10.2).
//!
//! Browsers let any page open a WebSocket to any server and send the server's cookies along, so a
//! page of somebody else acts with the rights of the user who looks at it: cross-site WebSocket
//! hijacking. The only protection is that the server looks at `Origin`.

use super::server::Site;

/// Whose pages may open a WebSocket, by the `Origin` that browsers send.
///
/// Requests without an `Origin` do not come from a browser's page and are not held up: what else
/// can send a request can send any `Origin`. The `Origin` `null`, of sandboxed pages and files,
/// passes only with [`Any`](Origins::Any).
///
/// ```
/// use greenway_proto::websocket::Origins;
///
/// let origins = Origins::list(["https://example.com", "https://admin.example.com:8443"]);
/// assert_eq!(Origins::default(), Origins::Same);
/// # let _ = origins;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// Pages of this server: scheme, host and port are those of the request. Behind a proxy,
    /// these are the forwarded ones if the proxy is trusted.
    #[default]
    Same,
    /// Pages of these origins, each `scheme://host` or `scheme://host:port`.
    List(Vec<String>),
    /// All pages. Right for public data that depend on nobody's cookies.
    Any,
}

impl Origins {
    /// Pages of these origins, each `scheme://host` or `scheme://host:port`, and of no other;
    /// the server's own is not among them unless it is named.
    ///
    /// # Panics
    ///
    /// If one is not of this form.
    #[must_use]
    pub fn list<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Self {
        let origins = origins.into_iter().map(|origin| {
            let origin = origin.into();
            let good = Origin::parse(&origin).is_some();
            assert!(good, "{origin:?} is no origin: scheme://host[:port]");
            origin
        });
        Self::List(origins.collect())
    }

    /// Whether a page of `origin` may send a request to `site`.
    #[must_use]
    pub fn allow(&self, origin: &str, site: Site<'_>) -> bool {
        let Some(origin) = Origin::parse(origin) else {
            return *self == Self::Any;
        };
        match self {
            Self::Same => Origin::new(site.scheme, site.host.unwrap_or_default()) == Some(origin),
            Self::List(list) => list
                .iter()
                .any(|allowed| Origin::parse(allowed).is_some_and(|allowed| allowed == origin)),
            Self::Any => true,
        }
    }
}

/// RFC 6454 section 4: scheme, host, port; in lower case, and with the port that is meant.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Self::new(scheme, authority)
    }

    fn new(scheme: &str, authority: &str) -> Option<Self> {
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address are within brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let bad = |c: char| c.is_whitespace() || "/?#@\\".contains(c);
        if scheme.is_empty() || host.is_empty() || host.contains(bad) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let port = match port {
            // RFC 3986 section 3.2.3: an empty port is the default one.
            None | Some("") => match scheme.as_str() {
                "http" | "ws" => Some(80),
                "https" | "wss" => Some(443),
                _ => None,
            },
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}
