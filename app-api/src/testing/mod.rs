//! An in-process client: call an application without a socket.
//!
//! It does what a server does with an application, in the same order: makes a
//! [`Request`], calls, takes aborts for answers, drives the body chunk by chunk,
//! leaves the body out where HTTP has none. So a test sees chunk boundaries and
//! errors that a client over a socket would have to guess.
//!
//! A panic that is not an [`abort`](crate::abort) becomes the 500 that users would see, and
//! [`Reply::panic`] has its message; the [`Failure`] behind a 5xx is logged.

mod content;
mod events;
mod jar;

use std::any::Any;
use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

pub use self::events::ReceivedEvent;
use self::jar::Jar;
use crate::header::checked_header;
use crate::{
    Application, BodyError, ConnectionInfo, Failure, Head, HttpError, Input, IntoResponse, Request,
    Response, Sink, catch_abort, error_response,
};

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

/// What is done with each chunk.
type OnChunk<'a> = &'a mut dyn FnMut(&Bytes) -> ControlFlow<()>;

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

/// What `f` gives; for an abort and for a panic, the answer that a server gives.
fn caught(panic: &mut Option<String>, f: impl FnOnce() -> Response) -> Response {
    match catch_unwind(AssertUnwindSafe(|| catch_abort(f))) {
        Ok(Ok(response)) => response,
        Ok(Err(aborted)) => aborted.into_response(),
        Err(payload) => {
            *panic = Some(text_of(&*payload));
            HttpError::new(500, "the handler failed").into_response()
        }
    }
}

/// What was given to `panic!`.
fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no text)").to_owned()
}

/// The server's part in errors.
struct Server<'a> {
    app: &'a dyn Application,
    asked: Option<Request>,
}

impl Server<'_> {
    /// The response, or what is sent instead.
    fn paged(&self, response: Response, panic: &mut Option<String>) -> Response {
        caught(panic, || {
            error_response(self.app, self.asked.as_ref(), response)
        })
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    panic: Option<String>,
    status: StatusCode,
    headers: HeaderMap,
    chunks: Vec<Bytes>,
    error: Option<BodyError>,
}

impl Reply {
    fn drive(
        response: Response,
        head_only: bool,
        patience: Option<usize>,
        server: &Server<'_>,
        on_chunk: OnChunk<'_>,
    ) -> Self {
        let (parts, body) = response.into_parts();
        if let Some(failure) = parts.extensions.get::<Failure>() {
            log::error!("{failure}");
        }
        let mut reply = Self {
            panic: None,
            status: parts.status,
            headers: parts.headers,
            chunks: Vec::new(),
            error: None,
        };
        // RFC 9110, 9.3.2, 15.3.5 and 15.4.5. The body is dropped unread.
        if head_only || reply.status == 204 || reply.status == 304 {
            return reply;
        }
        let mut wire = Wire {
            chunks: Vec::new(),
            started: false,
            patience,
            on_chunk,
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            catch_abort(|| body.send_to(&mut wire))
                .unwrap_or_else(|aborted| Err(BodyError::from(aborted)))
        }));
        let result = result.unwrap_or_else(|payload| {
            reply.panic = Some(text_of(&*payload));
            Err(HttpError::new(500, "the handler failed").into())
        });
        let begun = wire.started;
        reply.chunks = wire.chunks;
        if let Err(error) = result {
            if !begun && !error.is_gone() {
                return Self::failed(error, reply.panic, server);
            }
            reply.error = Some(error);
        }
        reply
    }

    /// An error before the head went out is a clean answer.
    fn failed(error: BodyError, mut panic: Option<String>, server: &Server<'_>) -> Self {
        let mut ignored = |_: &Bytes| ControlFlow::Continue(());
        let answer = match error.http_error() {
            Some(own) => {
                let mut answer = HttpError::new(own.status(), own.message().to_owned());
                answer.headers_mut().clone_from(own.headers());
                answer
            }
            None => HttpError::new(500, ""),
        };
        let response = server.paged(answer.into_response(), &mut panic);
        let mut reply = Self::drive(response, false, None, server, &mut ignored);
        reply.error = Some(error);
        reply.panic = reply.panic.or(panic);
        reply
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The first header of this name, if it is there and is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The headers that the application set; a server adds its own.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The chunks as they were sent, none of them empty.
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The whole body.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.chunks.concat().into()
    }

    /// The whole body as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not the JSON of a `T`; the message shows the reply.
    #[cfg(feature = "json")]
    #[must_use]
    #[track_caller]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.bytes()) {
            Ok(value) => value,
            Err(error) => panic!(
                "the reply ({}) is not as expected: {error}: {}",
                self.status,
                self.text()
            ),
        }
    }

    /// What the application's panic said, if it has panicked: the client of a server gets a 500, or
    /// a response that is cut off, and the message is in the log.
    #[must_use]
    pub fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    /// What ended the body before its end, if anything did.
    #[must_use]
    pub fn error(&self) -> Option<&BodyError> {
        self.error.as_ref()
    }
}

/// The sink of a client that may lose patience.
struct Wire<'a> {
    chunks: Vec<Bytes>,
    started: bool,
    patience: Option<usize>,
    on_chunk: OnChunk<'a>,
}

impl Sink for Wire<'_> {
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        self.start()?;
        let flow = (self.on_chunk)(&chunk);
        self.chunks.push(chunk);
        if flow.is_break() {
            self.patience = Some(self.chunks.len());
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), BodyError> {
        if self.patience == Some(self.chunks.len()) {
            return Err(BodyError::gone());
        }
        self.started = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{Body, abort};

    #[test]
    fn a_request_arrives_as_it_was_made() {
        let client = Client::new(|request: Request| {
            let body = request.body(99).unwrap();
            let length = request.content_length();
            let host = request.host().unwrap_or_default().to_owned();
            let coding = request.header("transfer-encoding");
            format!(
                "{:?} {host} {length:?} {coding:?} {}",
                request.version(),
                body.len()
            )
        });
        assert_eq!(
            client.get("/").send().text(),
            "HTTP/1.1 localhost None None 0"
        );
        let reply = client
            .post("/")
            .body("abc")
            .version(Version::HTTP_10)
            .header("host", "h");
        assert_eq!(reply.send().text(), "HTTP/1.0 h Some(3) None 3");
        let reply = client.post("/").input(Input::default()).send();
        assert_eq!(reply.text(), "HTTP/1.1 localhost None Some(\"chunked\") 0");
    }

    #[test]
    fn a_bad_path_never_reaches_the_application() {
        let client = Client::new(|_: Request| -> () { unreachable!("the path is bad") });
        assert_eq!(client.get("/%zz").send().status(), 400);
    }

    #[test]
    fn bodies_are_left_out_where_http_has_none() {
        static DRIVEN: AtomicU32 = AtomicU32::new(0);
        let client = Client::new(|request: Request| {
            let status = request
                .query("status")
                .map_or(200, |text| text.parse().unwrap());
            let body = Body::stream(|out| {
                DRIVEN.fetch_add(1, Ordering::Relaxed);
                out.send("x")
            });
            (status, body)
        });
        for reply in [
            client.head("/").send(),
            client.get("/?status=204").send(),
            client.get("/?status=304").send(),
        ] {
            assert!(reply.chunks().is_empty());
            assert_eq!(DRIVEN.load(Ordering::Relaxed), 0);
        }
        assert_eq!(client.get("/").send().text(), "x");
    }

    #[test]
    fn an_error_before_the_first_chunk_is_an_answer() {
        let fail = |out: &mut crate::Out<'_>| -> Result<(), BodyError> {
            out.send("")?;
            Err(HttpError::new(413, "big").with_header("x-a", "1").into())
        };
        let reply = Client::new(move |_: Request| Body::stream(fail))
            .get("/")
            .send();
        assert_eq!(reply.text(), "413 Payload Too Large: big\n");
        assert_eq!(
            (reply.header("x-a"), reply.error().is_some()),
            (Some("1"), true)
        );

        let odd = |_: Request| Body::stream(|_| Err(BodyError::new("secret")));
        assert_eq!(
            Client::new(odd).get("/").send().text(),
            "500 Internal Server Error\n"
        );

        let aborts = |_: Request| Body::stream(|_| abort(409, "no"));
        assert_eq!(Client::new(aborts).get("/").send().status(), 409);
    }

    #[test]
    fn an_error_after_the_first_chunk_cuts() {
        let app = |_: Request| {
            Body::stream(|out| {
                out.send("a")?;
                Err(BodyError::new("late"))
            })
        };
        let reply = Client::new(app).get("/").send();
        assert_eq!((reply.status().as_u16(), reply.text().as_str()), (200, "a"));
        assert_eq!(reply.error().unwrap().to_string(), "late");
        // Once the head is out there is no other status to be had.
        let started = |_: Request| {
            Body::stream(|out| {
                out.start()?;
                Err(BodyError::new("late"))
            })
        };
        assert_eq!(Client::new(started).get("/").send().status(), 200);
    }

    #[test]
    fn a_client_that_leaves_ends_the_body() {
        thread_local!(static DROPS: Rc<Cell<u32>> = Rc::default());
        struct Guard;
        impl Drop for Guard {
            fn drop(&mut self) {
                DROPS.with(|drops| drops.set(drops.get() + 1));
            }
        }
        let client = Client::new(|_: Request| {
            let guard = Guard;
            Body::iter(std::iter::repeat_with(move || {
                let _held = &guard;
                "x"
            }))
        });
        for chunks in [0, 1, 5] {
            let reply = client.get("/").leave_after(chunks).send();
            assert_eq!(reply.chunks().len(), chunks);
            assert!(reply.error().unwrap().is_gone());
        }
        assert_eq!(DROPS.with(|drops| drops.get()), 3);
    }

    #[test]
    fn a_panic_is_the_500_that_users_see() {
        let client = Client::new(|request: Request| -> Body {
            match request.path() {
                "/handler" => panic!("boom"),
                "/body" => Body::stream(|_| panic!("{}", "boom")),
                _ => Body::stream(|out| {
                    out.send("a")?;
                    panic!("boom")
                }),
            }
        });
        for path in ["/handler", "/body"] {
            let reply = client.get(path).send();
            assert_eq!(
                reply.text(),
                "500 Internal Server Error: the handler failed\n"
            );
            assert_eq!(reply.panic(), Some("boom"));
        }
        let cut = client.get("/late").send();
        assert_eq!((cut.status().as_u16(), cut.text().as_str()), (200, "a"));
        assert_eq!(cut.panic(), Some("boom"));
        assert!(cut.error().is_some());
    }

    #[test]
    fn redirects_are_followed_on_demand() {
        let mut app = crate::App::new();
        app.post("/303", |request: Request| request.redirect("/end?a"));
        app.post("/307", |request: Request| {
            request.redirect("/end").with_status(307)
        });
        app.get("/dir/relative", |_: Request| Response::redirect("end", 302));
        app.get("/dir/end", |_: Request| "in the directory");
        app.get("/loop", |request: Request| request.redirect("/loop"));
        app.get("/away", |_: Request| {
            Response::redirect("https://example.org/", 302)
        });
        app.get("/far", |_: Request| {
            Response::redirect("//example.org/", 302)
        });
        app.any("/end", |request: Request| {
            let body = request.body(99)?;
            Ok(format!(
                "{} {} {body:?}",
                request.method(),
                request.target()
            ))
        });
        let client = Client::new(app);
        let post = |path| client.post(path).body("x").follow().send().text();
        assert_eq!(post("/303"), "GET /end?a b\"\"");
        assert_eq!(post("/307"), "POST /end b\"x\"");
        let get = |path| client.get(path).follow().send();
        assert_eq!(get("/dir/relative").text(), "in the directory");
        for (path, status) in [("/loop", 303), ("/away", 302), ("/far", 302)] {
            assert_eq!(get(path).status(), status, "{path}");
        }
    }
}
