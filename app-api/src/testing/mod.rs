//! An in-process client: call an application without a socket.
//!
//! It does what a server does with an application, in the same order: makes a
//! [`Request`], calls, takes aborts for answers, drives the body chunk by chunk,
//! leaves the body out where HTTP has none. So a test sees chunk boundaries and
//! errors that a client over a socket would have to guess.
//!
//! A panic that is not an [`abort`](crate::abort) becomes the 500 that users would see, and
//! [`Reply::panic`] has its message; the [`Failure`](crate::Failure) behind a 5xx is logged.

mod content;
mod events;
mod jar;
mod reply;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

pub use self::events::ReceivedEvent;
use self::jar::Jar;
pub use self::reply::Reply;
use self::reply::{OnChunk, Server, caught};
use crate::header::checked_header;
use crate::{Application, ConnectionInfo, Head, Input, IntoResponse, Request};

/// Calls an application.
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
    app: Arc<dyn Application>,
    connection: Arc<ConnectionInfo>,
    jar: Option<Jar>,
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
            app: Arc::new(app),
            connection: Arc::default(),
            jar: None,
        }
    }

    /// Sets the connection that requests seem to come in on.
    #[must_use]
    pub fn with_connection(mut self, connection: ConnectionInfo) -> Self {
        self.connection = Arc::new(connection);
        self
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
        RequestBuilder {
            client: self,
            method,
            target: target.to_owned(),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            input: Input::empty(),
            patience: None,
            parts: Vec::new(),
            redirects: 0,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// A request in the making.
#[derive(Debug)]
#[must_use = "nothing happens until `send`"]
pub struct RequestBuilder<'a> {
    client: &'a Client,
    method: Method,
    target: String,
    version: Version,
    headers: HeaderMap,
    input: Input,
    patience: Option<usize>,
    /// Those of a form.
    parts: Vec<u8>,
    redirects: usize,
}

/// Redirects that are followed in a row.
const REDIRECTS: usize = 10;

impl RequestBuilder<'_> {
    /// Adds a header. `Host: localhost` is there unless given.
    ///
    /// # Panics
    ///
    /// When name or value cannot stand in a header.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        match checked_header(name, value) {
            Ok((name, value)) => self.headers.append(name, value),
            Err(problem) => panic!("RequestBuilder::header: {problem}"),
        };
        self
    }

    /// Sets the version; HTTP/1.1 unless set.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.input(Input::full(body))
    }

    /// Sets a body of any kind, such as one that fails half-way.
    pub fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Leaves after this many chunks: the next one finds nobody, as when a
    /// browser is closed.
    pub fn leave_after(mut self, chunks: usize) -> Self {
        self.patience = Some(chunks);
        self
    }

    /// Follows redirects, up to 10 in a row, as browsers do: with GET, but for 307 and 308, which
    /// repeat the request as it was. Those that lead to another host are not followed.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.post("/login", |request: Request| request.redirect("/home"));
    /// app.get("/home", |_: Request| "welcome");
    /// let client = Client::new(app);
    /// assert_eq!(client.post("/login").send().status(), 303);
    /// assert_eq!(client.post("/login").follow().send().text(), "welcome");
    /// ```
    pub fn follow(mut self) -> Self {
        self.redirects = REDIRECTS;
        self
    }

    /// Calls the application and takes its whole answer.
    pub fn send(self) -> Reply {
        self.send_each(|_| ControlFlow::Continue(()))
    }

    /// As [`send`](RequestBuilder::send), and looks at each chunk when it is sent, before the next
    /// one is made. With [`ControlFlow::Break`] the client leaves: for streams that do not end by
    /// themselves.
    ///
    /// ```
    /// use greenway_app::{Body, Request, testing::Client};
    /// use std::ops::ControlFlow;
    ///
    /// let client = Client::new(|_: Request| Body::iter((1..).map(|n| n.to_string())));
    /// let reply = client.get("/").send_each(|chunk| match &chunk[..] {
    ///     b"3" => ControlFlow::Break(()),
    ///     _ => ControlFlow::Continue(()),
    /// });
    /// assert_eq!(reply.text(), "123");
    /// assert!(reply.error().unwrap().is_gone());
    /// ```
    pub fn send_each(self, mut on_chunk: impl FnMut(&Bytes) -> ControlFlow<()>) -> Reply {
        let mut request = self.with_parts();
        loop {
            let client = request.client;
            let next = request.redirects.checked_sub(1).map(|left| {
                let (method, headers) = (request.method.clone(), request.headers.clone());
                let target = request.target.clone();
                (left, method, headers, target, request.input.full_copy())
            });
            let reply = request.send_once(&mut on_chunk);
            let Some((redirects, method, headers, target, body)) = next else {
                return reply;
            };
            let Some(location) = redirect_of(&reply, &target) else {
                return reply;
            };
            let same = matches!(reply.status.as_u16(), 307 | 308);
            let get = !same && method != Method::HEAD;
            request = client.request(if get { Method::GET } else { method }, &location);
            request.redirects = redirects;
            request.headers = headers;
            if get {
                request.headers.remove("content-type");
            } else if let Some(body) = body {
                request = request.body(body);
            }
        }
    }

    fn send_once(self, on_chunk: OnChunk<'_>) -> Reply {
        let head_only = self.method == Method::HEAD;
        let mut headers = self.headers;
        headers
            .entry("host")
            .or_insert(HeaderValue::from_static("localhost"));
        let path = self.target.split('?').next().unwrap_or_default().to_owned();
        if let Some(jar) = &self.client.jar
            && !headers.contains_key("cookie")
            && let Some(cookies) = jar.header(&path, self.client.connection.scheme == "https")
            && let Ok(cookies) = HeaderValue::try_from(cookies)
        {
            headers.insert("cookie", cookies);
        }
        match self.input.length() {
            // As clients do: no header for no body.
            Some(0) => {}
            Some(length) => {
                headers.entry("content-length").or_insert(length.into());
            }
            None => {
                headers
                    .entry("transfer-encoding")
                    .or_insert(HeaderValue::from_static("chunked"));
            }
        }
        let fields = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        let head = Head::build(self.method, &self.target, self.version, fields);
        let request = Request::new(head, self.input, Arc::clone(&self.client.connection));
        let server = Server {
            app: &*self.client.app,
            asked: request.as_ref().ok().map(Request::head_only),
        };
        let mut panic = None;
        let response = match request {
            Ok(request) => caught(&mut panic, || server.app.call(request)),
            Err(error) => error.into_response(),
        };
        let mut response = server.paged(response, &mut panic);
        response.fit_to(&self.client.connection);
        let mut reply = Reply::drive(response, head_only, self.patience, &server, on_chunk);
        reply.panic = reply.panic.or(panic);
        if let Some(jar) = &self.client.jar {
            jar.keep(&path, &reply.headers);
        }
        reply
    }
}

/// Where a reply sends the client, as a target on this host.
fn redirect_of(reply: &Reply, asked: &str) -> Option<String> {
    if !matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = reply.header("location")?.split('#').next()?;
    if location.starts_with('/') {
        return (!location.starts_with("//")).then(|| location.to_owned());
    }
    let local = ["http://localhost", "https://localhost"];
    if let Some(rest) = local.iter().find_map(|host| location.strip_prefix(host)) {
        let target = if rest.is_empty() { "/" } else { rest };
        return target.starts_with('/').then(|| target.to_owned());
    }
    if location.contains(':') {
        return None;
    }
    let path = asked.split('?').next()?;
    let (directory, _) = path.rsplit_once('/')?;
    Some(format!("{directory}/{location}"))
}
