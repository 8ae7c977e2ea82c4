//! An HTTP client for handlers: [`ureq`], which waits as everything here waits.
//!
//! `ureq`'s own agents open sockets of std, and a handler that asks another server with one of them
//! holds up its worker until the answer is there. The agents that are made here look names up and
//! connect with [`green::net`](crate::green::net), so a handler waits for itself alone, and is ended
//! in the middle of a request as at any other wait: when its client has left, when its time is
//! over. On the threads engine and in OS threads they work just as well.
//!
//! Only with the feature `client` of this crate. `https` is rustls with the root certificates of
//! Mozilla's; other roots and client certificates are set by
//! [`tls_config`](ureq::config::ConfigBuilder::tls_config).
//!
//! ```no_run
//! use greenway::{App, HttpError, Request, client};
//!
//! let agent = client::agent(); // one for all handlers: it keeps connections for the next request
//! let mut app = App::new();
//! app.get("/weather/<city>", move |req: Request| {
//!     let asked = agent.get("https://weather.example/now");
//!     let asked = asked.query("city", req.param("city")).call(); // percent-encoded
//!     let text = asked.and_then(|mut reply| reply.body_mut().read_to_string());
//!     text.map_err(|error| HttpError::new(502, "no weather today").with_source(error))
//! });
//! greenway::serve(app)
//! ```
//!
//! What a visitor sends belongs into a query or a body, or percent-encoded into a path: pasted into
//! a URL as it is, it could ask for something else, or of somebody else. Redirects are followed, ten
//! of them, also to other hosts; where the answering server is not to choose whom this one asks,
//! [`max_redirects(0)`](ureq::config::ConfigBuilder::max_redirects) ends that.
//!
//! # Implementation
//!
//! `ureq` is made for transports of others, and says of that part of its interface that it may
//! change in any version. It is used in this module alone, and none of its types is passed on.

mod resolver;
mod transport;

pub use ureq;

use self::resolver::GreenResolver;
use self::transport::GreenConnector;
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector};

/// Until a connection is there, or its name is known to have no address.
const CONNECT: Duration = Duration::from_secs(10);

/// Until the head of a response has come.
const RESPONSE: Duration = Duration::from_secs(30);

/// An agent that gives up after 10 seconds without a connection, and after 30 without the beginning
/// of a response. How long a body may take is not limited, except by what limits the handler.
///
/// Clones share its connections. All else is as `ureq` has it: ten redirects are followed, a status
/// of 400 or more is an error, `HTTP_PROXY` and the like name a proxy.
#[must_use]
pub fn agent() -> Agent {
    let config = Agent::config_builder()
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(RESPONSE));
    agent_with(config.build())
}

/// An agent with settings of one's own, which start without any time limit.
///
/// ```
/// use greenway::client::{agent_with, ureq::Agent};
/// use std::time::Duration;
///
/// let config = Agent::config_builder()
///     .timeout_global(Some(Duration::from_secs(5)))
///     .http_status_as_error(false);
/// let agent = agent_with(config.build());
/// # let _ = agent;
/// ```
#[must_use]
pub fn agent_with(config: Config) -> Agent {
    // As `ureq` chains its own. A proxy of the kind SOCKS is for nobody here.
    let connector = ConnectProxyConnector::default()
        .chain(GreenConnector)
        .chain(RustlsConnector::default());
    Agent::with_parts(config, connector, GreenResolver)
}
