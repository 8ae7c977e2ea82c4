//! What a report says of each scenario.

use super::{
    CHUNKED_BODY, CHUNKS, CLIENTS, DEPTH, FEW_CLIENTS, HOG_MS, MESSAGE, PIECE, PUBLISHES, ROUTES,
    SMALL_FILE, Scenario, Store, TICK_MS,
};
use crate::load::crowd::Form;

impl Scenario {
    /// The heading in the report.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Self::KeepAlive => "Hello over keep-alive".to_owned(),
            Self::Wrk => "Hello over keep-alive, asked by wrk".to_owned(),
            Self::Pipelined => format!("Hello, pipelined by {DEPTH}"),
            Self::Headers => "Hello with a browser's 15 header fields".to_owned(),
            Self::Json => "JSON".to_owned(),
            Self::JsonIn => "JSON in and out".to_owned(),
            Self::Routing(n) => format!("{n} routes with wildcards"),
            Self::FormFields => "A form of five fields".to_owned(),
            Self::FormFile => "A form with a small file".to_owned(),
            Self::Upload(Store::Counter, n) => format!("An upload of {} MiB, counted", n >> 20),
            Self::Upload(Store::Disk, n) => format!("An upload of {} MiB, to disk", n >> 20),
            Self::Post(n) => format!("POST, {} KiB echoed", n >> 10),
            Self::ChunkedIn => format!("A chunked body of {} KiB, echoed", CHUNKED_BODY >> 10),
            Self::Static(n) => format!("A file of {} KiB", n >> 10),
            Self::Stream => format!("A stream of {CHUNKS} small chunks"),
            Self::FirstByte => "From yielding a chunk to its arrival".to_owned(),
            Self::SocketEcho(n) => format!("WebSocket echo, {n} clients"),
            Self::SocketRoom(n) => format!("WebSocket broadcast to {n}"),
            Self::SocketIdle(n) => format!("{n} idle WebSockets"),
            Self::Mixed(n) => format!("{n} clients that think"),
            Self::Hog(rate) => format!("{rate} requests per second beside a hog"),
            Self::Slow(Form::Head, n) => format!("{n} slow heads"),
            Self::Slow(Form::Body, n) => format!("{n} slow bodies"),
            Self::Slow(Form::Reader, n) => format!("{n} slow readers"),
            Self::Churn(1) => "A connection per request".to_owned(),
            Self::Churn(n) => format!("{n} requests per connection"),
            Self::Latency(rate) => format!("Latency at {rate} requests per second"),
            Self::Idle(n) => format!("{n} idle connections"),
            Self::Parked(n) => format!("{n} handlers asleep"),
            Self::LongPoll(n) => format!("{n} long polls"),
            Self::Publish(n) => format!("{n} long polls, one publish"),
            Self::StartUp => "Start-up".to_owned(),
        }
    }

    /// What the clients do, in a sentence.
    #[must_use]
    pub fn story(self) -> String {
        match self {
            Self::KeepAlive => {
                format!("{CLIENTS} connections; each sends the next GET / when it has its answer.")
            }
            Self::Wrk => format!(
                "The outside check of our generator: {CLIENTS} connections in a closed loop, first \
                 ours, then wrk, on the same server process and the same cores."
            ),
            Self::Pipelined => {
                format!("{CLIENTS} connections; each sends {DEPTH} requests in one write.")
            }
            Self::Headers => format!("{CLIENTS} connections, requests of about 750 bytes."),
            Self::Json => format!(
                "{CLIENTS} connections; an object of one field is made and serialized for each \
                 request."
            ),
            Self::JsonIn => format!(
                "{CLIENTS} connections; each sends an order of about a kilobyte, which is parsed \
                 into a struct and added up; the sum is answered in JSON."
            ),
            Self::FormFields => format!(
                "{CLIENTS} connections; each sends a URL-encoded form of five fields, which is \
                 parsed into a struct; the answer holds something of each."
            ),
            Self::FormFile => format!(
                "{CLIENTS} connections; each sends a multipart form of two fields and a file of \
                 {SMALL_FILE} bytes, which is read whole; the answer is the length of each."
            ),
            Self::Upload(store, n) => {
                let how = match store {
                    Store::Counter => "counts its bytes",
                    Store::Disk => "writes it to a file",
                };
                format!(
                    "One client uploads a file of {} MiB (noise, as compressed pictures are) as a \
                     multipart form; the handler takes it as a stream and {how}. \"grown by\" is \
                     how far resident memory rose at most above what it was before, after an \
                     upload of 1 MiB.",
                    n >> 20
                )
            }
            Self::Routing(n @ (0..=ROUTES)) => format!(
                "{CLIENTS} connections ask for /rNN/<id:int>/<name>, for all of {n} routes in \
                 turn; the answer holds both wildcards."
            ),
            Self::Routing(n) => format!(
                "{n} more routes of four forms (/api/v1/thingN, /api/v1/thingN/<id>, \
                 /users/<user>/thingN, /users/<user>/thingN/<id>); {CLIENTS} connections ask for \
                 all of them in turn; the answer holds the wildcards."
            ),
            Self::Post(n) => format!(
                "{} connections; each sends {n} bytes and gets them back.",
                self.connections()
            ),
            Self::ChunkedIn => format!(
                "{CLIENTS} connections; each sends {CHUNKED_BODY} bytes in chunks of {PIECE} and \
                 gets them back."
            ),
            Self::Static(n) => format!(
                "{} connections ask for a file of {n} bytes that is in the kernel's cache. \
                 Greenway's handler opens it and streams it, in the worker's own thread; others \
                 do it as their docs have it.",
                self.connections()
            ),
            Self::FirstByte => format!(
                "{FEW_CLIENTS} connections read streams whose handlers yield a chunk every \
                 {TICK_MS} ms, with the time in it. The latency is from then to the arrival at the \
                 client. Segments are those with data that the server's kernel sent: with one \
                 write per chunk there is one for each."
            ),
            Self::Stream => format!(
                "{FEW_CLIENTS} connections; each answer has {CHUNKS} chunks of 32 bytes. Greenway \
                 owes each chunk to the wire as it is yielded; others may gather them. One \
                 \"request\" is a whole stream."
            ),
            Self::Mixed(n) => format!(
                "{n} clients wait 100 to 300 ms between an answer and their next request: of ten, \
                 six are GET /, two JSON, one echoes 1 KiB, and one sleeps for 20 ms. Latencies \
                 count from the end of the pause."
            ),
            Self::Hog(rate) => format!(
                "The open loop at {rate} requests per second, while one more client asks for \
                 {HOG_MS} ms of computing at a time, again and again. A server of one scheduler \
                 thread is held up for so long."
            ),
            Self::Slow(form, n) => {
                let how = match form {
                    Form::Head => "send a head byte by byte",
                    Form::Body => "send a head at once and a body byte by byte",
                    Form::Reader => "ask for 256 KiB and take it in 64 bytes at a time",
                };
                format!(
                    "One client in a closed loop, first alone, then beside {n} that {how}. All \
                     clocks of the server are shortened by flags, where it has any; the handler's \
                     own is twice as long as the others. \"cut\" and \"all freed\" are seen from \
                     the server's open sockets, the others from the clients."
                )
            }
            Self::Churn(n) => format!(
                "{CLIENTS} clients; each closes its connection after {n} request(s) and opens a \
                 new one."
            ),
            Self::Latency(rate) => format!(
                "Open loop over {CLIENTS} connections: {rate} requests per second are due at \
                 fixed times, and each latency counts from then."
            ),
            Self::SocketEcho(n) => format!(
                "{n} clients; each sends the next message of {MESSAGE} bytes when it has the last \
                 one back. One \"request\" is a message and its echo."
            ),
            Self::SocketRoom(n) => format!(
                "{n} clients listen; {PUBLISHES} times a message goes to all of them. Latencies are \
                 from the publish to the arrival, so \"max\" is when the last client has heard of \
                 the slowest one; one \"request\" is a message delivered."
            ),
            Self::SocketIdle(n) => {
                format!("{n} WebSockets after their handshake; nothing else happens.")
            }
            Self::Idle(n) => {
                format!("{n} connections, each after one answered request; nothing else happens.")
            }
            Self::Parked(n) => format!("{n} requests whose handlers sleep."),
            Self::LongPoll(n) => format!(
                "{n} clients; each asks for an answer that comes after a fixed sleep, and asks \
                 again."
            ),
            Self::Publish(n) => format!(
                "{n} requests wait for one publish that answers them all. Then {n} wait again, \
                 and all clients leave: how long until no handler is left that waits?"
            ),
            Self::StartUp => {
                "From starting the process to its first answer, on a warm disk; size of the \
                 binary with its line tables."
                    .to_owned()
            }
        }
    }
}
