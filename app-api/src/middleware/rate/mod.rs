//! How often a client may ask.
//!
//! What must stay true: the table has the size that it was made with, however many clients there
//! are; and where the counting fails, requests are served.

mod memory;

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header;

pub use self::memory::MemoryRates;
use crate::{HttpError, IntoResponse, Middleware, Next, Request, Response};

/// Lets each client ask so often and no more: 429 with Retry-After for what is beyond.
///
/// A client has its requests all at once, if it has not used them, and gets them back one by one,
/// evenly over the period (the "generic cell rate algorithm"): with 60 in a minute, 60 in one
/// second are served, then one each second. Requests that are refused do not count.
///
/// A client is an IPv4 address, or the first 64 bits of an IPv6 address, since that is what one
/// household has. Behind a proxy that is the client that a trusted one tells
/// (`--forwarded-allow-ips`); where the proxy is not trusted, or there are no addresses (unix
/// sockets), all of them are one client, so see to that first. [`by`](RateLimit::by) counts something else: users, keys of
/// an API, nobody.
///
/// Clients are counted in this process, in a table that has room for 65,536 of them and forgets
/// those first that have asked least of late. Several processes each count for themselves, unless
/// they share a [`store`](RateLimit::store).
///
/// ```
/// use greenway_app::{App, Request, middleware::RateLimit, testing::Client};
/// use std::time::Duration;
///
/// let mut app = App::new();
/// app.post("/login", |_: Request| "hello")
///     .apply(RateLimit::new(5, Duration::from_secs(60)));
/// let client = Client::new(app);
/// for _ in 0..5 {
///     assert_eq!(client.post("/login").send().status(), 200);
/// }
/// let refused = client.post("/login").send();
/// assert_eq!((refused.status().as_u16(), refused.header("retry-after")), (429, Some("12")));
/// ```
#[derive(Clone)]
pub struct RateLimit {
    quota: Quota,
    name: Box<str>,
    key: Option<Key>,
    store: Arc<dyn RateStore>,
}

type Key = Arc<dyn Fn(&Request) -> Option<String> + Send + Sync>;

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The most requests at once, and in a period; at least 1.
    pub requests: u32,
    /// How long it takes to get them all back; not zero.
    pub period: Duration,
}

impl Quota {
    /// How long it takes to get one request back.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.period / self.requests.max(1)
    }
}

/// Where clients are counted: in this process ([`MemoryRates`]), or in a database that several
/// share.
///
/// ```
/// use greenway_app::middleware::{Quota, RateLimit, RateStore};
/// use std::{error::Error, time::Duration};
///
/// struct Redis; // with a pool of connections
///
/// impl RateStore for Redis {
///     fn take(
///         &self,
///         key: &str,
///         quota: Quota,
///     ) -> Result<Option<Duration>, Box<dyn Error + Send + Sync>> {
///         // INCR key; EXPIRE key (the period) NX; PTTL key
///         let (count, left) = (1, 500);
/// #       let _ = key;
///         Ok((count > quota.requests).then(|| Duration::from_millis(left)))
///     }
/// }
///
/// let limit = RateLimit::new(100, Duration::from_secs(60)).store(Redis);
/// # drop(limit);
/// ```
pub trait RateStore: Send + Sync + 'static {
    /// Takes one request of those that `key` has by this quota. `None` if there was one, otherwise
    /// how long it takes until there is. It may block as a handler may.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked: the request is served then, and a warning is logged.
    fn take(
        &self,
        key: &str,
        quota: Quota,
    ) -> Result<Option<Duration>, Box<dyn Error + Send + Sync>>;
}

impl<S: RateStore + ?Sized> RateStore for Arc<S> {
    fn take(
        &self,
        key: &str,
        quota: Quota,
    ) -> Result<Option<Duration>, Box<dyn Error + Send + Sync>> {
        (**self).take(key, quota)
    }
}

impl RateLimit {
    /// So many requests in so much time, for each client.
    ///
    /// # Panics
    ///
    /// When either is zero.
    #[must_use]
    pub fn new(requests: u32, period: Duration) -> Self {
        assert!(
            requests > 0 && !period.is_zero(),
            "RateLimit::new: {requests} requests in {period:?} is none at all"
        );
        Self {
            quota: Quota { requests, period },
            name: "".into(),
            key: None,
            store: Arc::new(MemoryRates::new(MemoryRates::CLIENTS)),
        }
    }

    /// What is counted, instead of addresses; `None` for a request that is not. The client's choice
    /// must not be all of it: who can change their key has no limit.
    #[must_use]
    pub fn by(mut self, key: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Where it is counted.
    #[must_use]
    pub fn store(mut self, store: impl RateStore) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// What the keys begin with, to tell several limits in one store apart. Default: nothing.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    fn key_of(&self, request: &Request) -> Option<String> {
        let key = match &self.key {
            Some(key) => key(request)?,
            None => client(request.peer_addr().map(|address| address.ip())),
        };
        Some(if self.name.is_empty() {
            key
        } else {
            format!("{}:{key}", self.name)
        })
    }
}

impl Middleware for RateLimit {
    fn call(&self, request: Request, next: Next<'_>) -> Response {
        let Some(key) = self.key_of(&request) else {
            return next.run(request);
        };
        match self.store.take(&key, self.quota) {
            Ok(None) => next.run(request),
            Ok(Some(wait)) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                HttpError::new(429, "")
                    .with_header(header::RETRY_AFTER, seconds.max(1))
                    .into_response()
            }
            Err(error) => {
                log::warn!("the rate of requests is not limited: {error}");
                next.run(request)
            }
        }
    }
}

/// What is one client of those at these addresses.
fn client(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        None => "-".to_owned(),
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;
    use crate::{App, ConnectionInfo};

    const HOUR: Duration = Duration::from_secs(3600);

    fn statuses(client: &Client, n: usize) -> Vec<u16> {
        (0..n)
            .map(|_| client.get("/").send().status().as_u16())
            .collect()
    }

    fn app(limit: RateLimit) -> Arc<App> {
        let mut app = App::new();
        app.install(limit).get("/", |_: Request| "x");
        Arc::new(app)
    }

    fn from(app: &Arc<App>, address: &str) -> Client {
        let peer = address.parse().unwrap();
        Client::new(Arc::clone(app)).with_connection(ConnectionInfo::new(None, Some(peer)))
    }

    #[test]
    fn each_client_has_its_own() {
        let app = app(RateLimit::new(2, HOUR));
        assert_eq!(statuses(&from(&app, "10.0.0.1:1"), 3), [200, 200, 429]);
        assert_eq!(
            statuses(&from(&app, "10.0.0.1:2"), 1),
            [429],
            "another port"
        );
        assert_eq!(
            statuses(&from(&app, "[::ffff:10.0.0.1]:1"), 1),
            [429],
            "by another name"
        );
        assert_eq!(statuses(&from(&app, "10.0.0.2:1"), 1), [200]);
        assert_eq!(statuses(&from(&app, "[2001:db8:0:1::1]:1"), 2), [200, 200]);
        assert_eq!(
            statuses(&from(&app, "[2001:db8:0:1:ffff::2]:1"), 1),
            [429],
            "a household"
        );
        assert_eq!(statuses(&from(&app, "[2001:db8:0:2::1]:1"), 1), [200]);
        assert_eq!(
            statuses(&Client::new(Arc::clone(&app)), 3),
            [200, 200, 429],
            "no address"
        );
    }

    #[test]
    fn a_refusal_says_when() {
        let app = app(RateLimit::new(2, HOUR));
        let client = from(&app, "10.0.0.1:1");
        assert_eq!(statuses(&client, 2), [200, 200]);
        let reply = client.get("/").send();
        assert_eq!(reply.header("retry-after"), Some("1800"));
        assert_eq!(reply.text(), "429 Too Many Requests\n");
    }

    #[test]
    fn keys_can_be_others() {
        let key = |request: &Request| request.header("x-key").map(str::to_owned);
        let client = Client::new(app(RateLimit::new(1, HOUR).by(key)));
        assert_eq!(statuses(&client, 3), [200, 200, 200], "no key, no limit");
        let ask = |key| {
            client
                .get("/")
                .header("x-key", key)
                .send()
                .status()
                .as_u16()
        };
        assert_eq!([ask("a"), ask("b"), ask("a")], [200, 200, 429]);
    }

    #[test]
    fn stores_can_be_shared_and_may_fail() {
        let shared = Arc::new(MemoryRates::new(100));
        let limit = |name| {
            RateLimit::new(1, HOUR)
                .store(Arc::clone(&shared))
                .name(name)
        };
        let [a, b, c] = ["a", "a", "c"].map(|name| Client::new(app(limit(name))));
        assert_eq!(
            (statuses(&a, 1), statuses(&b, 1), statuses(&c, 1)),
            (vec![200], vec![429], vec![200])
        );

        struct Down;
        impl RateStore for Down {
            fn take(
                &self,
                _: &str,
                _: Quota,
            ) -> Result<Option<Duration>, Box<dyn Error + Send + Sync>> {
                Err("down".into())
            }
        }
        let client = Client::new(app(RateLimit::new(1, HOUR).store(Down)));
        assert_eq!(statuses(&client, 3), [200, 200, 200]);
    }

    #[test]
    #[should_panic(expected = "none at all")]
    fn no_requests() {
        let _ = RateLimit::new(0, HOUR);
    }
}
