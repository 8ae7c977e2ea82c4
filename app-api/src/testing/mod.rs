//! A client for tests: it calls an application without a socket, or asks a server.
//!
//! In process, it does what a server does with an application, in the same order: makes a
//! [`Request`](crate::Request), calls, takes aborts for answers, drives the body chunk by chunk,
//! leaves the body out where HTTP has none. So a test sees chunk boundaries and
//! errors that a client over a socket would have to guess.
//!
//! A panic that is not an [`abort`](crate::abort) becomes the 500 that users would see, and
//! [`Reply::panic`] has its message; the [`Failure`](crate::Failure) behind a 5xx is logged, and
//! [`Reply::failure`] has it.
//!
//! What must stay true: a test may be pointed at a server ([`Remote`]) without another change, and
//! sees the same statuses, headers and bodies. This crate has no sockets; who has them brings a
//! `Remote`.

mod content;
mod events;
mod jar;
mod remote;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method};

pub use self::events::{EventReader, ReceivedEvent};
use self::jar::Jar;
pub use self::remote::{Incoming, Outgoing, Remote};
pub use self::reply::Reply;
pub use self::request::RequestBuilder;
use crate::{Application, ConnectionInfo};

/// Calls an application, or asks a server.
///
/// ```
/// use greenway_app::{Request, testing::Client};
///
/// let client = Client::new(|request: Request| request.method().to_string());
/// let reply = client.put("/thing").header("accept", "*/*").body("data").send();
/// assert_eq!(reply.status(), 200);
/// assert_eq!(reply.text(), "PUT");
/// ```
pub struct Client {
    destination: Destination,
    jar: Option<Jar>,
}

/// Where the requests of a [`Client`] go.
#[derive(Clone)]
#[non_exhaustive]
pub enum Destination {
    /// To an application, which is called on the thread of the test.
    Application {
        /// What is called.
        app: Arc<dyn Application>,
        /// What requests seem to come in on.
        connection: Arc<ConnectionInfo>,
    },
    /// To a server.
    Remote(Arc<dyn Remote>),
}

macro_rules! methods {
    ($($name:ident $method:ident)*) => {$(
        #[doc = concat!("A ", stringify!($method), " request.")]
        pub fn $name(&self, target: &str) -> RequestBuilder<'_> {
            self.request(Method::$method, target)
        }
    )*};
}

impl Client {
    /// A client of this application.
    #[must_use]
    pub fn new(app: impl Application) -> Self {
        Self {
            destination: Destination::Application {
                app: Arc::new(app),
                connection: Arc::default(),
            },
            jar: None,
        }
    }

    /// A client whose requests go elsewhere: to a server.
    #[must_use]
    pub fn remote(remote: impl Remote) -> Self {
        Self {
            destination: Destination::Remote(Arc::new(remote)),
            jar: None,
        }
    }

    /// Sets the connection that requests seem to come in on. Those to a server come in on one of
    /// its own.
    #[must_use]
    pub fn with_connection(mut self, info: ConnectionInfo) -> Self {
        if let Destination::Application { connection, .. } = &mut self.destination {
            *connection = Arc::new(info);
        }
        self
    }

    /// Where requests go, for those who send them in a way of their own; see
    /// [`RequestBuilder::into_parts`].
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Keeps the cookies of a response to a request for this target, if this client keeps any.
    pub fn keep_cookies(&self, target: &str, headers: &HeaderMap) {
        if let Some(jar) = &self.jar {
            jar.keep(path_of(target), headers);
        }
    }

    methods! {
        get GET
        head HEAD
        post POST
        put PUT
        patch PATCH
        delete DELETE
        options OPTIONS
    }

    /// A request of any method. The target is sent as it is, in any of the forms
    /// of RFC 9112, 3.2.
    pub fn request(&self, method: Method, target: &str) -> RequestBuilder<'_> {
        RequestBuilder::new(self, method, target)
    }

    /// A request for a WebSocket (RFC 6455, 4.1). [`send`](RequestBuilder::send) shows how the
    /// handshake is refused; for one that is accepted there has to be a connection, which the crate
    /// `greenway` has: see `connect` of its `testing::Live`.
    pub fn websocket(&self, target: &str) -> RequestBuilder<'_> {
        let mut request = self.get(target);
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            request = request.header(name, value);
        }
        request
    }

    /// The authority that requests name as their host.
    fn host(&self) -> &str {
        match &self.destination {
            Destination::Application { .. } => "localhost",
            Destination::Remote(remote) => {
                let origin = remote.origin();
                origin.split_once("://").map_or(origin, |(_, host)| host)
            }
        }
    }

    fn is_https(&self) -> bool {
        match &self.destination {
            Destination::Application { connection, .. } => connection.scheme == "https",
            Destination::Remote(remote) => remote.origin().starts_with("https:"),
        }
    }
}

/// The part of a target that cookies belong to.
fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application { connection, .. } => {
                f.debug_tuple("Application").field(connection).finish()
            }
            Self::Remote(remote) => f.debug_tuple("Remote").field(&remote.origin()).finish(),
        }
    }
}
