//! The pages of an application for errors.

use std::sync::Arc;

use super::App;
use super::middleware::Endpoint;
use super::pages::Page;
use crate::{Application, HttpError, IntoResponse, Request, Response};

impl App {
    /// The page for errors with this status: Bottle's `error`. It is there for whatever is answered
    /// with an [`HttpError`] (returned, by [`abort`](crate::abort), for a path without a route, for
    /// a panic) and for what the server refuses by itself. What handlers return as a [`Response`]
    /// or as `(404, "...")` is their own page.
    ///
    /// The page is made last, after all middleware and hooks. It has the status of the error
    /// unless it has another one than 200, and the error's headers. Of the request, there is what
    /// came with its head (see [`Application::answer_error`]); one that the server could not read
    /// is `GET *`. Of an application that is [mounted](App::mount), its own page is looked for
    /// first.
    ///
    /// ```
    /// use greenway_app::{App, Html, HttpError, Request, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.error(404, |request: &Request, _: &HttpError| {
    ///     Html(format!("<p>Nothing here. <a href='{}/'>Home</a>", request.script_name()))
    /// });
    /// let reply = Client::new(app).get("/none").send();
    /// assert_eq!(reply.status(), 404);
    /// assert_eq!(reply.text(), "<p>Nothing here. <a href='/'>Home</a>");
    /// ```
    pub fn error<F, R>(&mut self, status: u16, page: F) -> &mut Self
    where
        F: Fn(&Request, &HttpError) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        let page: Page = Arc::new(move |request, error| Some(page(request, error).into_response()));
        self.errors.of_statuses.retain(|(own, _)| *own != status);
        self.errors.of_statuses.push((status, page));
        self
    }

    /// The page for all errors that have none of their own; see [`error`](App::error).
    ///
    /// ```
    /// use greenway_app::{App, HttpError, Request, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.error_default(|_: &Request, error: &HttpError| format!("Oh dear: {}", error.status()));
    /// let reply = Client::new(app).get("/none").send();
    /// assert_eq!((reply.status().as_u16(), reply.text().as_str()), (404, "Oh dear: 404 Not Found"));
    /// ```
    pub fn error_default<F, R>(&mut self, page: F) -> &mut Self
    where
        F: Fn(&Request, &HttpError) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        let page: Page = Arc::new(move |request, error| Some(page(request, error).into_response()));
        self.errors.of_all = Some(page);
        self
    }

    /// The answer for errors that come from one of this type, which is the
    /// [source](HttpError::source) or a source of that. It goes before those for a status. What is
    /// no 5xx then is not in the log either.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    /// use std::num::ParseIntError;
    ///
    /// let mut app = App::new();
    /// app.error_for(|_: &Request, error: &ParseIntError| (400, format!("no number: {error}")));
    /// app.get("/twice/<n>", |request: Request| {
    ///     let n: i64 = request.param("n").parse()?;
    ///     Ok((2 * n).to_string())
    /// });
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/twice/4").send().text(), "8");
    /// assert_eq!(client.get("/twice/x").send().status(), 400);
    /// ```
    pub fn error_for<E, F, R>(&mut self, page: F) -> &mut Self
    where
        E: std::error::Error + 'static,
        F: Fn(&Request, &E) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        let page: Page = Arc::new(move |request, error| {
            let of_type = error.causes().find_map(|cause| cause.downcast_ref())?;
            Some(page(request, of_type).into_response())
        });
        self.errors.of_types.push(page);
        self
    }

    /// Whether errors that are the server's fault are answered with a page that shows the request,
    /// its route, the causes, and where in the program it happened. It tells secrets to whoever
    /// asks: never set it where strangers are served. Default: off, unless the server runs with
    /// `--debug` ([`Request::is_debug`](crate::Request::is_debug)).
    pub fn debug(&mut self, on: bool) -> &mut Self {
        self.info_mut().debug = on;
        self
    }

    /// The page for an error, of the application that the request is for.
    #[cold]
    pub(super) fn error_page(&self, request: &Request, error: &HttpError) -> Option<Response> {
        let (request, endpoint) = self.found_again(request);
        let of_mounted = endpoint.and_then(|at| at.handler.answer_error(&request, error));
        of_mounted.or_else(|| self.errors.answer(&request, error, self.info.debug))
    }

    /// The answer to a request that no route wants; `None` where there is one that does.
    #[cold]
    pub(super) fn refusal(&self, request: &Request) -> Option<Response> {
        match self.found_again(request) {
            (request, Some(endpoint)) => endpoint.handler.unrouted(&request),
            (request, None) => Some(self.refuse_unrouted(&request)),
        }
    }

    /// The head of a request, routed as the request itself.
    fn found_again(&self, request: &Request) -> (Request, Option<&Endpoint>) {
        let mut request = request.head_only();
        request.enter(&self.info);
        let host = self.host_of(&request);
        let endpoint = host.or_else(|| self.matched(&mut request));
        (request, endpoint)
    }
}
