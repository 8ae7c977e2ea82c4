//! What a test does over a connection that stays open: [`Live`].

use super::PATIENCE;
use super::exchange::Exchange;
use super::pair;
use super::server::Http;
use super::socket::TestWebSocket;
use crate::green::embed::Stream;
use crate::websocket::Options;
use bytes::Bytes;
use greenway_app::testing::{
    Client, Destination, EventReader, Outgoing, ReceivedEvent, Reply, RequestBuilder,
};
use http::{HeaderMap, Method, StatusCode};
use std::any::Any;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Requests of a [`Client`] whose answer is used while it is made: streams and WebSockets.
///
/// The handler runs elsewhere, in process as well: on a green thread, as under the engine `green`.
/// It has a client that can leave, which it notices at its wait.
pub trait Live<'a>: Sized {
    /// Sends the request, and gives the response while it is made.
    ///
    /// ```
    /// use greenway::testing::{Client, Live};
    /// use greenway::{Body, Request, green};
    /// use std::time::Duration;
    ///
    /// let client = Client::new(|_: Request| {
    ///     Body::stream(|out| {
    ///         out.send("a")?;
    ///         green::sleep(Duration::from_secs(3600)); // until the client leaves
    ///         out.send("b")
    ///     })
    /// });
    /// let mut stream = client.get("/").stream();
    /// assert_eq!(stream.next_chunk().unwrap(), "a");
    /// drop(stream); // the handler's sleep is over
    /// ```
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    fn stream(self) -> Streamed<'a>;

    /// Opens a WebSocket; see [`Client::websocket`].
    ///
    /// # Panics
    /// When it is not accepted.
    #[track_caller]
    fn connect(self) -> TestWebSocket;

    /// Opens a WebSocket with options of a client: subprotocols, compression, limits.
    ///
    /// ```
    /// use greenway::testing::{Client, Live};
    /// use greenway::websocket::{Options, Upgrade};
    /// use greenway::{Request, abort};
    ///
    /// let client = Client::new(|request: Request| match request.websocket() {
    ///     Some(ws) => Ok(ws.send("Hello")?),
    ///     None => abort(400, "Expected a WebSocket request."),
    /// });
    /// let socket = client.websocket("/").connect_with(&Options::new()).unwrap();
    /// assert_eq!(socket.receive_text(), "Hello");
    ///
    /// let foreign = client.websocket("/").header("origin", "http://example.org");
    /// let refused = foreign.connect_with(&Options::new()).unwrap_err();
    /// assert_eq!(refused.status(), 403);
    /// ```
    ///
    /// # Errors
    /// What the server has answered instead of 101.
    ///
    /// # Panics
    /// When the server cannot be reached, or its handshake is faulty.
    #[track_caller]
    fn connect_with(self, options: &Options) -> Result<TestWebSocket, Box<Reply>>;
}

impl<'a> Live<'a> for RequestBuilder<'a> {
    fn stream(self) -> Streamed<'a> {
        let (request, client) = self.into_parts();
        let what = format!("{} {}", request.method, request.target);
        let target = request.target.clone();
        let stream = connection(client, &what);
        Streamed {
            exchange: Exchange::begin(stream, request),
            client,
            what,
            target,
            events: EventReader::default(),
            error: None,
            begun: false,
        }
    }

    fn connect(self) -> TestWebSocket {
        let what = format!("{self:?}");
        match self.connect_with(&Options::new()) {
            Ok(socket) => socket,
            Err(reply) => panic!(
                "no WebSocket, but {}: {} ({what})",
                reply.status(),
                reply.text()
            ),
        }
    }

    fn connect_with(self, options: &Options) -> Result<TestWebSocket, Box<Reply>> {
        let (request, client) = self.into_parts();
        let Outgoing {
            target, headers, ..
        } = request;
        let what = format!("the WebSocket {target}");
        let handshake = options.handshake();
        let host = headers.get("host").and_then(|host| host.to_str().ok());
        let mut extra = headers.clone();
        extra.extend(options.headers().clone());
        let request = handshake.request(host.unwrap_or_default(), &target, &extra);
        let mut exchange = Exchange::new(connection(client, &what), Method::GET);
        // What counts is the answer, which may have come before the whole of it was sent.
        let _answered_or_gone = exchange.send(&request);
        let head = match exchange.head() {
            Ok(head) => head,
            Err(error) => panic!("{what}: no response: {error}"),
        };
        client.keep_cookies(&target, &head.headers);
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            let all = &mut |_: &Bytes| ControlFlow::Continue(());
            return Err(Box::new(Reply::read(&mut exchange, None, all)));
        }
        let established = match handshake.check(&head.headers) {
            Ok(established) => established,
            Err(why) => panic!("{what}: {why}"),
        };
        let Exchange { stream, come, .. } = exchange;
        let socket = options.over(stream.into(), established, come);
        Ok(TestWebSocket::new(socket, what))
    }
}

/// A new connection to where the requests of this client go.
#[track_caller]
fn connection(client: &Client, what: &str) -> Stream {
    let connected = match client.destination() {
        Destination::Application { app, connection } => pair::connect(app.clone(), connection),
        Destination::Remote(remote) => {
            let any: &dyn Any = &**remote;
            match any.downcast_ref::<Http>() {
                Some(http) => http.connect(),
                None => Err(io::ErrorKind::Unsupported.into()),
            }
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    };
    match connected {
        Ok(stream) => stream,
        Err(error) => panic!("{what}: no connection: {error}"),
    }
}

/// A response that comes while it is made. Who drops it has left.
pub struct Streamed<'a> {
    exchange: Exchange,
    client: &'a Client,
    what: String,
    target: String,
    events: EventReader,
    error: Option<io::Error>,
    /// Its head has come.
    begun: bool,
}

impl Streamed<'_> {
    /// Waits for the head.
    #[track_caller]
    fn begin(&mut self) {
        if self.begun {
            return;
        }
        match self.exchange.head() {
            Ok(head) => self.client.keep_cookies(&self.target, &head.headers),
            Err(error) => panic!("{}: no response: {error}", self.what),
        }
        self.begun = true;
    }

    /// The status, once the head has come.
    ///
    /// # Panics
    /// When none comes in time.
    #[track_caller]
    pub fn status(&mut self) -> StatusCode {
        use greenway_app::testing::Incoming;
        self.begin();
        self.exchange.status()
    }

    /// The headers, once they have come.
    ///
    /// # Panics
    /// When none come in time.
    #[track_caller]
    pub fn headers(&mut self) -> &HeaderMap {
        use greenway_app::testing::Incoming;
        self.begin();
        self.exchange.headers()
    }

    /// The next chunk, once it has come; `None` at the end, and where the response was cut off:
    /// see [`error`](Self::error).
    ///
    /// # Panics
    /// When nothing comes in time.
    #[track_caller]
    pub fn next_chunk(&mut self) -> Option<Bytes> {
        self.begin();
        let chunk = self.exchange.chunk();
        chunk.unwrap_or_else(|error| {
            self.error = Some(error);
            None
        })
    }

    /// The next server-sent event, once all of it has come; `None` at the end.
    ///
    /// # Panics
    /// When nothing comes in time.
    #[track_caller]
    pub fn next_event(&mut self) -> Option<ReceivedEvent> {
        self.next_event_within(PATIENCE)
    }

    /// What comes meanwhile and is no event, as heartbeats are, prolongs nothing.
    #[track_caller]
    fn next_event_within(&mut self, patience: Duration) -> Option<ReceivedEvent> {
        let begun = Instant::now();
        loop {
            if let Some(event) = self.events.next_event() {
                return Some(event);
            }
            if begun.elapsed() > patience {
                panic!("{}: no event has come for {patience:?}", self.what);
            }
            let chunk = self.next_chunk()?;
            self.events.feed(&chunk);
        }
    }

    /// What has cut the response off, if that was found out.
    #[must_use]
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }
}

impl std::fmt::Debug for Streamed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Streamed").field(&self.what).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;
    use crate::green::Queue;
    use crate::sse::{Event, Sse};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A stream that is never silent, and never says anything.
    #[test]
    fn heartbeats_are_no_events() {
        let client = Client::new(|_: Request| {
            let silent = Queue::<Event>::new(1);
            Sse::new(silent).heartbeat(Duration::from_millis(5))
        });
        let mut stream = client.get("/").stream();
        let wait = || stream.next_event_within(Duration::from_millis(50));
        let payload = catch_unwind(AssertUnwindSafe(wait)).expect_err("there is no event");
        let text = payload.downcast::<String>().expect("it says something");
        assert_eq!(*text, "GET /: no event has come for 50ms");
    }
}
