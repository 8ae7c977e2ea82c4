//! A server whose handlers wait until they are told: what the tests of scale and of stopping run
//! in a process of its own.
//!
//! | Request | What happens |
//! |---|---|
//! | `GET /wait` | waits for the next message and answers with it |
//! | `GET /stream` | sends `START`, waits for the next message, sends it |
//! | `GET /until/<n>` | answers once `n` requests have begun to wait, since the start |
//! | `GET /websocket` | a WebSocket: echoes; `bye` is the last message, `more` gets more than a socket holds |
//! | `POST /publish` | wakes all who wait, with the body as message; answers how many |
//! | `GET /listing` | the same in lines: `START`, the next message, `END` |
//! | `GET /events` | server-sent events: `START`, then messages; may be ended at once at a stop |
//! | `GET /hello` | answers at once |
//! | `POST /echo` | sends back what comes, as it comes |
//! | `GET /large` | 16 MiB, more than the kernel keeps for a client that does not read |
//! | `GET /who` | the client's address, as the server sees it |
//! | `GET /fail/<n>` | panics |
//! | `GET /error/<n>` | answers 502, with a cause for the log |
//! | `GET /pid` | the number of its process |
//! | `GET /hold` | holds its OS thread up for ever |
//! | `GET /child-limit` | the limit on descriptors that a child of its has |
//! | `GET /drop-unwrap` | says `waits` and waits; then a destructor unwraps a wait |
//! | `GET /orphan` | leaves an orphan; answers its number |
//! | `GET /exists/<n>` | whether there is a process of this number |
//!
//! A handler that is unwound says so: `unwound` on the standard error.
//!
//! With `CROWDED` in its environment it takes 2,000 descriptors first and gives those with odd
//! numbers back.

#![forbid(unsafe_code)]

use greenway::green::subprocess::Command;
use greenway::green::{Lock, Queue, sleep};
use greenway::websocket::Upgrade;
use greenway::{App, Body, HttpError, Request, Response, abort};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Everybody who waits has a place for one message.
#[derive(Clone)]
struct Board {
    waiting: Arc<Mutex<Vec<Queue<String>>>>,
    /// How many have begun to wait, and who wants to know.
    arrived: Arc<AtomicI64>,
    arrivals: Queue<()>,
}

impl Board {
    fn new() -> Self {
        let waiting = Arc::default();
        Self {
            waiting,
            arrived: Arc::default(),
            arrivals: Queue::new(1),
        }
    }

    /// Joins those who wait.
    fn join(&self) -> Queue<String> {
        let place = Queue::new(1);
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(place.clone());
        self.arrived.fetch_add(1, Ordering::SeqCst);
        // Full is as good: it says that somebody has come since the last look.
        let _ = self.arrivals.try_put(());
        place
    }

    fn wait(&self) -> String {
        let _guard = Guard;
        self.join().get().unwrap_or_default()
    }

    fn publish(&self, message: &str) -> usize {
        let waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for place in &waiting {
            // Each place has room for one message and is given one.
            let _ = place.try_put(message.to_owned());
        }
        waiting.len()
    }

    fn until(&self, count: i64) {
        while self.arrived.load(Ordering::SeqCst) < count {
            self.arrivals.get();
        }
    }
}

/// Tells when a handler is unwound.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("unwound");
        }
    }
}

/// Unwraps a wait when it is dropped.
struct Unwraps(Arc<Lock<()>>);

impl Drop for Unwraps {
    fn drop(&mut self) {
        drop(self.0.lock().unwrap());
    }
}

/// Leaves only odd descriptors free, for a long way.
fn crowd() {
    let open =
        || File::open("/dev/null").expect("it is always there, and so are 2,000 descriptors");
    let all: Vec<_> = (0..2_000).map(|_| open()).collect();
    let (even, odd): (Vec<_>, Vec<_>) = all.into_iter().partition(|file| file.as_raw_fd() % 2 == 0);
    drop(odd);
    std::mem::forget(even); // kept open until the process ends
}

/// What a line of shell writes, if it succeeds.
fn shell(line: &str) -> Result<Vec<u8>, HttpError> {
    let output = Command::new("sh").args(["-c", line]).output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(HttpError::new(500, output.status.to_string())),
    }
}

/// The routes on which nobody waits.
fn plain(app: &mut App) {
    app.get("/hello", |_: Request| "Hello\n");
    app.post("/echo", |mut request: Request| {
        let mut input = request.take_input();
        Body::stream(move |out| {
            let mut buffer = [0; 8 * 1024];
            loop {
                let n = input.read(&mut buffer)?;
                if n == 0 {
                    return Ok(());
                }
                out.send(buffer[..n].to_vec())?;
            }
        })
    });
    app.post("/whole", |request: Request| request.body(1 << 20));
    app.get("/large", |_: Request| {
        Body::stream(|out| {
            for _ in 0..256 {
                out.send(vec![b'x'; 64 * 1024])?;
            }
            Ok(())
        })
    });
    app.get("/who", |request: Request| {
        let environ = request.environ();
        environ.get("REMOTE_ADDR").unwrap_or("-").to_owned()
    });
    app.get("/websocket", |request: Request| {
        let Some(ws) = request.websocket() else {
            abort(400, "Expected WebSocket request.");
        };
        while let Some(message) = ws.receive()? {
            match message.as_text() {
                Some("bye") => return Ok(()),
                // In pieces: large blocks would show the allocator's habits rather than a leak.
                Some("more") => (0..256).try_for_each(|_| ws.send(vec![0; 64 * 1024]))?,
                _ => ws.send(message)?,
            }
        }
        Ok(())
    });
    app.get("/fail/<n>", |request: Request| -> &'static str {
        panic!("failure {}", request.param("n"))
    });
    app.get("/error/<n>", |request: Request| -> Result<(), HttpError> {
        let cause = format!("cause {}", request.param("n"));
        Err(HttpError::new(502, "try later").with_source(cause))
    });
    app.get("/pid", |_: Request| std::process::id().to_string());
    app.get("/hold", |_: Request| -> &'static str {
        loop {
            std::thread::park();
        }
    });
    app.get("/child-limit", |_: Request| shell("ulimit -n"));
    app.get("/drop-unwrap", |_: Request| -> &'static str {
        let lock = Arc::new(Lock::new(()));
        let _held = lock.lock();
        let _unwraps = Unwraps(lock.clone());
        eprintln!("waits");
        sleep(Duration::MAX);
        "never"
    });
    app.get("/orphan", |_: Request| shell("(true & echo $!)"));
    app.get("/exists/<n:int>", |request: Request| {
        let path = format!("/proc/{}", request.int("n"));
        std::path::Path::new(&path).exists().to_string()
    });
}

fn main() {
    if std::env::var_os("CROWDED").is_some() {
        greenway_tests::raise_descriptor_limit();
        crowd();
    }
    let board = Board::new();
    let mut app = App::new();
    plain(&mut app);
    let here = board.clone();
    app.get("/wait", move |_: Request| here.wait());
    let here = board.clone();
    app.get("/stream", move |_: Request| {
        let board = here.clone();
        Body::stream(move |out| {
            out.send("START")?;
            out.send(board.wait())
        })
    });
    let here = board.clone();
    app.get("/listing", move |_: Request| {
        let board = here.clone();
        Body::stream(move |out| {
            let _guard = Guard;
            // Whoever sees START may publish at once, so the place is taken before.
            let place = board.join();
            out.send("START\n")?;
            out.send(format!("{}\n", place.get().unwrap_or_default()))?;
            out.send("END\n")
        })
    });
    let here = board.clone();
    app.get("/events", move |_: Request| {
        let board = here.clone();
        let body = Body::stream(move |out| {
            out.end_at_stop("retry: 3000\n\n")?;
            out.send("data: START\n\n")?;
            loop {
                out.send(format!("data: {}\n\n", board.wait()))?;
            }
        });
        Response::new(body).with_header("content-type", "text/event-stream")
    });
    let here = board.clone();
    app.get("/until/<n:int>", move |request: Request| {
        here.until(request.int("n"));
    });
    app.post("/publish", move |request: Request| {
        let message = request.body(1024)?;
        Ok::<_, HttpError>(
            board
                .publish(&String::from_utf8_lossy(&message))
                .to_string(),
        )
    });
    greenway::serve(app)
}
