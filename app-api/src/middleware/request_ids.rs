//! Names for requests, by which the logs of several programs can be put together.

use http::{HeaderName, HeaderValue};

use super::random_id;
use crate::{Middleware, Next, Request, Response};

/// The most characters of an id that is taken over.
const LONGEST: usize = 128;

/// Gives each request an id, tells it to handlers ([`Request::request_id`]) and to the client
/// (`X-Request-Id`).
///
/// An id that comes with a request is taken over from a proxy whose word is taken
/// (`--forwarded-allow-ips`, [`ConnectionInfo::trusted_proxy`](crate::ConnectionInfo)), so that both
/// logs have the same. From anybody else it is not, unless [told to](RequestIds::from_clients): a
/// client could give many requests one id, or those of others. It has to consist of 1 to 128
/// letters, digits and `-_.:/+=@`; anything else is replaced. New ids have 128 random bits.
///
/// ```
/// use greenway_app::{App, Request, middleware::RequestIds, testing::Client};
///
/// let mut app = App::new();
/// app.install(RequestIds::new());
/// app.get("/", |request: Request| request.request_id().unwrap_or("none").to_owned());
/// let reply = Client::new(app).get("/").send();
/// assert_eq!(reply.header("x-request-id"), Some(&*reply.text()));
/// ```
#[derive(Debug, Clone)]
pub struct RequestIds {
    header: HeaderName,
    from_clients: bool,
}

/// What is in the extensions of a request.
#[derive(Clone)]
struct RequestId(Box<str>);

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestIds {
    /// With the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            header: HeaderName::from_static("x-request-id"),
            from_clients: false,
        }
    }

    /// Another header than `X-Request-Id`.
    ///
    /// # Panics
    ///
    /// When it is no header name.
    #[must_use]
    pub fn header(mut self, name: &str) -> Self {
        self.header = match name.parse() {
            Ok(name) => name,
            Err(_) => panic!("RequestIds::header: {name:?} is no header name"),
        };
        self
    }

    /// Takes over the ids that clients send, too: for services that only other services reach.
    /// Default: false.
    #[must_use]
    pub fn from_clients(mut self, yes: bool) -> Self {
        self.from_clients = yes;
        self
    }
}

impl Request {
    /// The id that [`RequestIds`] has given to this request; `None` without that.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        Some(&self.extensions().get::<RequestId>()?.0)
    }
}

impl Middleware for RequestIds {
    fn call(&self, mut request: Request, next: Next<'_>) -> Response {
        let trusted = self.from_clients || request.connection().trusted_proxy;
        let sent = request.header(self.header.as_str());
        let taken = sent.filter(|id| trusted && is_id(id)).map(str::to_owned);
        let Some(id) = taken.or_else(|| random_id().ok()) else {
            // The system has no random numbers, which is no reason to refuse requests.
            return next.run(request);
        };
        let value = HeaderValue::try_from(&*id);
        request.identify(&id);
        request.extensions_mut().insert(RequestId(id.into()));
        let mut response = next.run(request);
        if let Ok(value) = value {
            let headers = response.headers_mut();
            headers.entry(&self.header).or_insert(value);
        }
        response
    }
}

fn is_id(id: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b);
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;
    use crate::{App, ConnectionInfo};

    fn client(ids: RequestIds) -> Client {
        let mut app = App::new();
        app.install(ids);
        app.get("/", |request: Request| {
            request.request_id().unwrap_or_default().to_owned()
        });
        Client::new(app)
    }

    #[test]
    fn each_request_has_its_own() {
        let client = client(RequestIds::new());
        let [a, b] = [client.get("/").send(), client.get("/").send()];
        assert_ne!(a.text(), b.text());
        assert_eq!(a.text().len(), 32);
        assert_eq!(a.header("x-request-id"), Some(&*a.text()));
        assert!(client.get("/none").send().header("x-request-id").is_some());
    }

    #[test]
    fn ids_are_taken_over_from_those_who_are_trusted() {
        let taken = |client: &Client, id: &str| {
            client.get("/").header("x-request-id", id).send().text() == id
        };
        assert!(!taken(&client(RequestIds::new()), "abc"));
        let open = client(RequestIds::new().from_clients(true));
        let proxy = ConnectionInfo::default().with_trusted_proxy(true);
        let behind = client(RequestIds::new()).with_connection(proxy);
        for client in [open, behind] {
            assert!(taken(&client, "abc-1_2.3:4/5+6=@"));
            assert!(taken(&client, &"x".repeat(128)));
            for bad in ["", "a b", "a\tb", "<b>", "a,b", "a\"b", &"x".repeat(129)] {
                assert!(!taken(&client, bad), "{bad}");
            }
        }
    }

    #[test]
    fn the_header_has_the_name_that_was_given() {
        let client = client(RequestIds::new().header("X-Trace").from_clients(true));
        let reply = client.get("/").header("x-trace", "t1").send();
        assert_eq!(reply.header("x-trace"), Some("t1"));
        assert_eq!(reply.header("x-request-id"), None);
    }
}
