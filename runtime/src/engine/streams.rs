//! Connections of HTTP/2, and the green threads of their requests.
//!
//! The thread of the connection becomes the one that drives its state machine. Each request gets a
//! green thread on the same worker, which calls the application or waits for a thread of the pool
//! that does, as the thread of a connection of HTTP/1.

use super::host::Host;
use super::{HandlerThreads, Returns};
use crate::connection::{Connection, Detached, Exchanged, Handlers, Socket};
use crate::green::embed::{current_worker, least_loaded, spawn_on};
use crate::http2::{self, RequestStream};
use crate::service::{Admission, ConnContext, ConnState, Service};
use greenway_proto::http1::{Reject, RequestHead};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl<H: HandlerThreads> Host<H> {
    /// Serves a connection that speaks HTTP/2, until it is closed.
    #[inline(never)] // its frame is not to lie below the handlers of HTTP/1
    pub(super) fn serve_http2(
        self: &Arc<Self>,
        admission: Admission,
        connection: Connection<Socket>,
    ) {
        let context = connection.context().clone();
        let Some(detached) = connection.detach() else {
            return;
        };
        http2::serve(detached, &self.service, &context, |stream, request| {
            let host = self.clone();
            let worker = current_worker().unwrap_or_else(least_loaded);
            // Where there is no memory for it, the stream is reset.
            spawn_on(worker, move || host.serve_stream(stream, request));
        });
        drop(admission);
    }

    /// Serves one request.
    fn serve_stream(
        self: &Arc<Self>,
        stream: Box<Detached<RequestStream>>,
        request: Result<RequestHead, Reject>,
    ) {
        let registered = Registered::new(&self.service);
        let connection = self.attach_stream(stream, &registered);
        let request = match request {
            Ok(request) => request,
            Err(reject) => return connection.reject(&reject),
        };
        match self.handlers.exchange(connection, request) {
            Exchanged::Back(connection) => finish(&connection),
            Exchanged::Closed => {}
            Exchanged::Queued(queued) => self.wait_stream(queued),
        }
    }

    #[inline(never)] // as in `host`
    fn attach_stream(
        self: &Arc<Self>,
        stream: Box<Detached<RequestStream>>,
        registered: &Registered<'_>,
    ) -> Connection<RequestStream> {
        Connection::attach(stream, self.service.clone(), registered.context.clone())
    }

    /// Gives the green thread up while the request waits for its handler's thread.
    #[inline(never)]
    fn wait_stream(self: &Arc<Self>, queued: <H as Handlers<RequestStream>>::Queued) {
        let host = self.clone();
        let worker = current_worker().unwrap_or_else(least_loaded);
        let go_on = move |stream: Option<Box<Detached<RequestStream>>>| {
            let has_more = stream.filter(|it| it.has_output() || it.io.stream.has_rest());
            let Some(stream) = has_more else {
                return;
            };
            spawn_on(worker, move || {
                let registered = Registered::new(&host.service);
                finish(&host.attach_stream(stream, &registered));
            });
        };
        Returns::<RequestStream>::when_back(&self.handlers, queued, Box::new(go_on));
    }
}

/// How long the rest of a request's body is thrown away when its response has been sent.
const DISCARD: Duration = Duration::from_secs(1);

/// Sends what a thread of the pool has left to be sent, and takes what is still to come of a body that
/// nobody has read, for a while. To end a stream before its request's end takes a reset (RFC 9113
/// section 8.1), and clients that get both in one read throw the response away: `curl` does.
fn finish(connection: &Connection<RequestStream>) {
    match connection.flush() {
        Ok(()) => connection.stream().discard_rest(Instant::now() + DISCARD),
        Err(_) => log::debug!("the last bytes of a response could not be sent"),
    }
}

/// The context of a thread that serves a request, where a stop finds it.
struct Registered<'a> {
    service: &'a Service,
    context: Arc<ConnContext>,
    number: u64,
}

impl<'a> Registered<'a> {
    /// For the thread that calls.
    #[inline(never)]
    fn new(service: &'a Service) -> Self {
        let context = ConnContext::new(ConnState::Busy);
        let number = service.lifecycle.register(context.clone());
        Self {
            service,
            context,
            number,
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.service.lifecycle.unregister(self.number);
    }
}
