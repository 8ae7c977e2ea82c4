//! What an application has answered: its body is driven as a server does it.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::Incoming;
use crate::{
    Application, BodyError, Failure, HttpError, IntoResponse, Request, Response, Sink, catch_abort,
    error_response,
};

/// What is done with each chunk.
pub(super) type OnChunk<'a> = &'a mut dyn FnMut(&Bytes) -> ControlFlow<()>;

/// What `f` gives; for an abort and for a panic, the answer that a server gives.
pub(super) fn caught(panic: &mut Option<String>, f: impl FnOnce() -> Response) -> Response {
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
pub(super) struct Server<'a> {
    pub(super) app: &'a dyn Application,
    pub(super) asked: Option<Request>,
}

impl Server<'_> {
    /// The response, or what is sent instead.
    pub(super) fn paged(&self, response: Response, panic: &mut Option<String>) -> Response {
        caught(panic, || {
            error_response(self.app, self.asked.as_ref(), response)
        })
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub(super) panic: Option<String>,
    failure: Option<String>,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) chunks: Vec<Bytes>,
    pub(super) error: Option<BodyError>,
}

impl Reply {
    pub(super) fn drive(
        response: Response,
        head_only: bool,
        patience: Option<usize>,
        server: &Server<'_>,
        on_chunk: OnChunk<'_>,
    ) -> Self {
        let (parts, body) = response.into_parts();
        let failure = parts.extensions.get::<Failure>().map(ToString::to_string);
        if let Some(failure) = &failure {
            if log::log_enabled!(log::Level::Error) {
                log::error!("{failure}");
            } else {
                // Where nobody logs, a test that fails still shows why.
                eprintln!("{failure}");
            }
        }
        let mut reply = Self {
            panic: None,
            failure,
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

    /// Reads a response to its end, or until the client leaves: after `patience` chunks, or when
    /// `on_chunk` says so.
    pub fn read(
        incoming: &mut dyn Incoming,
        patience: Option<usize>,
        on_chunk: &mut dyn FnMut(&Bytes) -> ControlFlow<()>,
    ) -> Self {
        let mut reply = Self {
            panic: None,
            failure: None,
            status: incoming.status(),
            headers: incoming.headers().clone(),
            chunks: Vec::new(),
            error: None,
        };
        reply.error = loop {
            if patience == Some(reply.chunks.len()) {
                break Some(BodyError::gone());
            }
            let chunk = match incoming.next_chunk() {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break None,
                Err(error) => break Some(error),
            };
            let flow = on_chunk(&chunk);
            reply.chunks.push(chunk);
            if flow.is_break() {
                break Some(BodyError::gone());
            }
        };
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
        let fault = reply.status.is_server_error();
        reply.failure = reply.failure.or_else(|| fault.then(|| error.to_string()));
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

    /// The headers: in process those that the application set, to which a server adds its own.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The chunks as they were sent, none of them empty. From a server, a body that has a
    /// Content-Length comes in whatever pieces the network makes of it.
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
    /// a response that is cut off, and the message is in the log; so `None` for a server's reply.
    #[must_use]
    pub fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    /// Why the reply is a 5xx: the error that the handler has returned, with its causes and the place
    /// of the `?`, as it is in a server's log. It is on the standard error as well, which is shown of
    /// a test that fails. `None` for a server's reply, whose client is not told.
    ///
    /// ```
    /// use greenway_app::{Request, testing::Client};
    ///
    /// let client = Client::new(|_: Request| {
    ///     let number: u8 = "many".parse()?;
    ///     Ok(number.to_string())
    /// });
    /// let reply = client.get("/").send();
    /// assert_eq!(reply.status(), 500);
    /// assert!(reply.failure().unwrap().contains("invalid digit found in string (at "));
    /// ```
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The token for the next form, from the hidden field of a page: what a browser would send along
    /// with it.
    ///
    /// ```
    /// # #[cfg(feature = "sessions")] {
    /// use greenway_app::sessions::{Csrf, Sessions};
    /// use greenway_app::{App, Html, Request, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.install(Sessions::in_memory()).install(Csrf::new());
    /// app.get("/", |request: Request| {
    ///     let token = request.session()?.csrf_token();
    ///     Ok(Html(format!(r#"<form><input type="hidden" name="csrf_token" value="{token}">"#)))
    /// });
    /// app.post("/", |_: Request| "thanks");
    ///
    /// let client = Client::new(app).with_cookies();
    /// let token = client.get("/").send().csrf_token();
    /// assert_eq!(client.post("/").form([("csrf_token", token)]).send().text(), "thanks");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the page has no form with such a field; the message shows the page.
    #[must_use]
    #[track_caller]
    pub fn csrf_token(&self) -> String {
        let text = self.text();
        let field = text
            .split("<input")
            .skip(1)
            .filter_map(|tag| tag.split('>').next())
            .find(|tag| tag.contains("name=\"csrf_token\""));
        let value = field.and_then(|tag| tag.split("value=\"").nth(1)?.split('"').next());
        match value {
            Some(token) => token.to_owned(),
            None => panic!(
                "the reply ({}) has no field `csrf_token`: {text}",
                self.status
            ),
        }
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
        // Now and not with the next chunk, for which the body might wait as long as it likes.
        self.check_patience()
    }

    fn start(&mut self) -> Result<(), BodyError> {
        self.check_patience()?;
        self.started = true;
        Ok(())
    }
}

impl Wire<'_> {
    fn check_patience(&self) -> Result<(), BodyError> {
        if self.patience == Some(self.chunks.len()) {
            return Err(BodyError::gone());
        }
        Ok(())
    }
}
