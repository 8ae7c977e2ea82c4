//! A server that is sent what it must refuse.

use greenway::{App, Engine, Request, Server};
use greenway_tests::request::get;
use greenway_tests::{TestServer, linted};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server that counts how often its application was called.
pub(crate) struct Counting {
    /// The server.
    pub(crate) server: TestServer,
    /// How often the application was called.
    pub(crate) calls: Arc<AtomicUsize>,
}

impl Counting {
    /// Starts one; `set` chooses its limits.
    pub(crate) fn start(engine: Engine, set: impl FnOnce(Server) -> Server) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let mut app = App::new();
        app.get("/", |_: Request| "fine");
        app.post("/read", |request: Request| request.body(1 << 30));
        app.post("/unread", |_: Request| "unread");
        let app = move |request: Request| {
            counter.fetch_add(1, Ordering::SeqCst);
            greenway::Application::call(&app, request)
        };
        Self {
            server: TestServer::start(set(linted(app).engine(engine))),
            calls,
        }
    }

    /// Sends `bytes`; one response with `status` comes, announces the end, and the end follows.
    #[track_caller]
    pub(crate) fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16) {
        let bytes = bytes.as_ref();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
        let mut client = self.server.connect();
        // A server may close before it has read all of what it refuses.
        let _refused_early = client.try_send(bytes);
        let reply = client.reply();
        assert_eq!(reply.status(), status, "to {shown:?}: {reply:?}");
        let (rest, in_order) = client.rest_or_reset();
        assert!(
            rest.is_empty(),
            "after the refusal of {shown:?}: {:?}",
            String::from_utf8_lossy(&rest)
        );
        assert!(
            in_order || bytes.len() > 100_000,
            "{shown:?} ended in a reset"
        );
        assert!(reply.head.says_close(), "to {shown:?}: {reply:?}");
    }

    /// As [`refuses`](Self::refuses), for heads: the application is not called.
    #[track_caller]
    pub(crate) fn refuses_head(&self, head: impl AsRef<[u8]>, status: u16) {
        let before = self.calls.load(Ordering::SeqCst);
        let mut bytes = head.as_ref().to_vec();
        bytes.extend_from_slice(get("/").as_bytes());
        self.refuses(&bytes, status);
        let called = self.calls.load(Ordering::SeqCst) - before;
        assert_eq!(
            called,
            0,
            "the application was called for {:?}",
            String::from_utf8_lossy(head.as_ref())
        );
    }

    /// A good request on a new connection is served.
    #[track_caller]
    pub(crate) fn still_serves(&self) {
        assert_eq!(self.server.get("/").summary(), (200, "fine".into()));
    }
}

/// One with the limits that it has by itself.
pub(crate) fn with_defaults(engine: Engine) -> Counting {
    Counting::start(engine, |server| server)
}
