//! One connection as its client sees it, and the application that answers.

use crate::Cuts;
use greenway_app::{App, Application, Body, HttpError, Request, Response};
use std::io::BufRead;

/// A connection to be served.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// All that the client sends.
    pub stream: &'a [u8],
    /// How what is sent is cut.
    pub cuts: Cuts,
    /// The client leaves when it has taken so many bytes.
    pub room: usize,
}

/// What came of a [`Session`].
#[derive(Debug)]
pub struct Served {
    /// All that the client has taken.
    pub output: Vec<u8>,
    /// How often the application was called.
    pub calls: usize,
    /// Whether the server is done with the connection, and has ended its sending direction or
    /// closed the whole of it.
    pub shut: bool,
}

impl<'a> Session<'a> {
    /// A client that sends `stream`, all at once, and takes whatever comes.
    #[must_use]
    pub fn new(stream: &'a [u8]) -> Self {
        Self {
            stream,
            cuts: Cuts::NONE,
            room: usize::MAX,
        }
    }

    /// Cuts the stream into pieces.
    #[must_use]
    pub fn cut(mut self, cuts: Cuts) -> Self {
        self.cuts = cuts;
        self
    }

    /// The client leaves when it has taken `room` bytes.
    #[must_use]
    pub fn leaving_after(mut self, room: usize) -> Self {
        self.room = room;
        self
    }
}

/// What all sessions are served by. Each response carries the number that `count` gives to its
/// call: 1 for the first of a connection, and so on.
pub fn application(count: impl Fn(&Request) -> usize + Send + Sync + 'static) -> impl Application {
    let app = app();
    move |request: Request| {
        let number = count(&request);
        Application::call(&app, request).with_header("x-call", number.to_string())
    }
}

/// All the ways in which an application can treat a request's body and make its own.
fn app() -> App {
    let mut app = App::new();
    app.any("/", |_: Request| "unread");
    app.any("/echo", |request: Request| request.body(1024 * 1024));
    app.any("/stream", |mut request: Request| {
        let mut input = request.take_input();
        Body::stream(move |out| {
            loop {
                let piece = input.fill_buf()?.to_vec();
                if piece.is_empty() {
                    return Ok(());
                }
                input.consume(piece.len());
                out.send(piece)?;
            }
        })
    });
    app.any("/first", |mut request: Request| {
        let first = request.input().fill_buf()?.first().copied();
        Ok::<_, HttpError>(format!("{first:?}"))
    });
    app.any("/drip", |_: Request| Body::iter(["a", "", "bc"]));
    app.any("/none", |_: Request| Response::new("x").with_status(204));
    app.any("/close", |_: Request| {
        Response::new("bye").with_header("connection", "close")
    });
    app
}
