//! A request of a test client: made step by step, sent once or along redirects.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::remote::Outgoing;
use super::reply::{OnChunk, Reply, Server, caught};
use super::{Client, Destination, path_of};
use crate::header::checked_header;
use crate::{Application, ConnectionInfo, Head, Input, IntoResponse, Request};

/// A request in the making.
#[derive(Debug)]
#[must_use = "nothing happens until `send`"]
pub struct RequestBuilder<'a> {
    pub(super) client: &'a Client,
    method: Method,
    target: String,
    version: Version,
    pub(super) headers: HeaderMap,
    input: Input,
    patience: Option<usize>,
    /// Those of a form.
    pub(super) parts: Vec<u8>,
    redirects: usize,
}

/// Redirects that are followed in a row.
const REDIRECTS: usize = 10;

impl<'a> RequestBuilder<'a> {
    pub(super) fn new(client: &'a Client, method: Method, target: &str) -> Self {
        Self {
            client,
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

    /// Adds a header. `Host` is there unless given: `localhost` in process.
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

    /// Leaves after this many chunks, as when a browser is closed. In process, whoever sends the
    /// last of them is told so.
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
    ///
    /// # Panics
    ///
    /// When a server cannot be reached, or takes too long.
    #[track_caller]
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
    ///
    /// # Panics
    ///
    /// As [`send`](RequestBuilder::send).
    #[track_caller]
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
            let Some(location) = client.redirect_of(&reply, &target) else {
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

    #[track_caller]
    fn send_once(self, on_chunk: OnChunk<'_>) -> Reply {
        let patience = self.patience;
        let (outgoing, client) = self.into_parts();
        let target = outgoing.target.clone();
        let reply = match client.destination() {
            Destination::Application { app, connection } => {
                called(&**app, connection, outgoing, patience, on_chunk)
            }
            Destination::Remote(remote) => {
                let (method, target) = (outgoing.method.clone(), &target);
                match remote.open(outgoing) {
                    Ok(mut incoming) => Reply::read(&mut *incoming, patience, on_chunk),
                    Err(error) => panic!("{method} {target}: no response: {error}"),
                }
            }
        };
        client.keep_cookies(&target, &reply.headers);
        reply
    }

    /// The request as it is to be sent, with the headers that belong to its body and the cookies
    /// that the client keeps, and the client: for those who send it in a way of their own.
    #[must_use]
    pub fn into_parts(self) -> (Outgoing, &'a Client) {
        let request = self.with_parts();
        let client = request.client;
        let mut headers = request.headers;
        if !headers.contains_key("host")
            && let Ok(host) = HeaderValue::try_from(client.host())
        {
            headers.insert("host", host);
        }
        if let Some(jar) = &client.jar
            && !headers.contains_key("cookie")
            && let Some(cookies) = jar.header(path_of(&request.target), client.is_https())
            && let Ok(cookies) = HeaderValue::try_from(cookies)
        {
            headers.insert("cookie", cookies);
        }
        match request.input.length() {
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
        let outgoing = Outgoing {
            method: request.method,
            target: request.target,
            version: request.version,
            headers,
            body: request.input,
        };
        (outgoing, client)
    }
}

/// What an application answers, called on this thread.
fn called(
    app: &dyn Application,
    connection: &Arc<ConnectionInfo>,
    request: Outgoing,
    patience: Option<usize>,
    on_chunk: OnChunk<'_>,
) -> Reply {
    let head_only = request.method == Method::HEAD;
    let fields = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let head = Head::build(request.method, &request.target, request.version, fields);
    let request = Request::new(head, request.body, Arc::clone(connection));
    let server = Server {
        app,
        asked: request.as_ref().ok().map(Request::head_only),
    };
    let mut panic = None;
    let response = match request {
        Ok(request) => caught(&mut panic, || app.call(request)),
        Err(error) => error.into_response(),
    };
    let mut response = server.paged(response, &mut panic);
    response.fit_to(connection);
    let mut reply = Reply::drive(response, head_only, patience, &server, on_chunk);
    reply.panic = reply.panic.or(panic);
    reply
}

impl Client {
    /// Where a reply sends the client, as a target on this host.
    fn redirect_of(&self, reply: &Reply, asked: &str) -> Option<String> {
        if !matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = reply.header("location")?.split('#').next()?;
        if location.starts_with('/') {
            return (!location.starts_with("//")).then(|| location.to_owned());
        }
        let absolute = location.strip_prefix("http://");
        let absolute = absolute.or_else(|| location.strip_prefix("https://"));
        if let Some(rest) = absolute.and_then(|rest| rest.strip_prefix(self.host())) {
            let target = if rest.is_empty() { "/" } else { rest };
            return target.starts_with('/').then(|| target.to_owned());
        }
        if location.contains(':') {
            return None;
        }
        let (directory, _) = path_of(asked).rsplit_once('/')?;
        Some(format!("{directory}/{location}"))
    }
}
