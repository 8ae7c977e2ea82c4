//! Names are looked up with [`resolve_timeout`], on an OS thread of its own.

use crate::green::net::resolve_timeout;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, Timeout};

/// As many addresses of a name as `ureq` has room for.
const MOST_ADDRESSES: usize = 16;

#[derive(Debug)]
pub(super) struct GreenResolver;

impl Resolver for GreenResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?;
        // As it stands in a URL; a socket's address is without the brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let default = match uri.scheme() == Some(&Scheme::HTTPS) {
            true => 443,
            false => 80,
        };
        let port = uri.port_u16().unwrap_or(default);
        let limit = timeout.not_zero().map_or(Duration::MAX, |limit| *limit);
        let found = resolve_timeout(host, port, limit).map_err(|error| match error.kind() {
            std::io::ErrorKind::TimedOut => Error::Timeout(Timeout::Resolve),
            _ => error.into(),
        })?;
        let mut addrs = self.empty();
        for addr in found.into_iter().take(MOST_ADDRESSES) {
            addrs.push(addr);
        }
        Ok(addrs)
    }
}
