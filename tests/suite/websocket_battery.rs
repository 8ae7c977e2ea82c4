//! Autobahn's cases over sockets: docs/src/evidence/websocket-cases.md lists them.
//!
//! The cases themselves are data that the protocol's own tests share; see there.

use self::cases::{CONTENTS, Case, End, OFFERS, Reply};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use greenway::websocket::{Deflate, Options};
use greenway::{App, Engine, Request};
use greenway_tests::websocket::{Frame, RawSocket, handshake};
use greenway_tests::{TestServer, linted, on_green_and_threads};
use std::fmt::Write;

#[path = "../../runtime/proto/src/websocket/tests/cases/mod.rs"]
mod cases;

/// A test of each of these groups.
macro_rules! groups {
    ($($test:ident: $number:literal),+ $(,)?) => {
        on_green_and_threads!($($test),+);
        $(fn $test(engine: Engine) {
            check_group(engine, $number);
        })+
    };
}

groups!(
    case_1_framing: 1,
    case_2_pings_and_pongs: 2,
    case_3_reserved_bits: 3,
    case_4_opcodes: 4,
    case_5_fragmentation: 5,
    case_6_utf8: 6,
    case_7_close: 7,
    case_9_limits: 9,
);

on_green_and_threads!(
    case_10_fragments,
    case_12_compression_of_different_content,
    case_13_compression_with_different_parameters,
);

fn case_10_fragments(engine: Engine) {
    check_group(engine, 10);
    // And the other way: the echo comes in fragments of the same size.
    let server = serve(engine, vec![generous().fragment(1300)]);
    let mut socket = open(&server, "/0", "");
    let case = cases::group(10).next().expect("the one case");
    let frames = socket.duplex(&case.writes(), |socket| {
        let mut frames = vec![socket.frame()];
        while !frames[frames.len() - 1].is_last() {
            frames.push(socket.frame());
        }
        frames
    });
    assert_eq!(frames.len(), 65536_usize.div_ceil(1300));
    assert!(frames.iter().all(|frame| frame.payload.len() <= 1300));
    let payload: Vec<u8> = frames.into_iter().flat_map(|frame| frame.payload).collect();
    assert!(payload == vec![b'*'; 65536]);
}

/// An echo for each of the options, at `/0`, `/1` and so on.
fn serve(engine: Engine, all: Vec<Options>) -> TestServer {
    let mut app = App::new();
    for (at, options) in all.into_iter().enumerate() {
        app.get(&format!("/{at}"), move |request: Request| {
            let socket = options.accept(&request).ok().flatten();
            let socket = socket.expect("the tests ask for WebSockets only");
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok(())
        });
    }
    TestServer::start(linted(app).engine(engine))
}

fn generous() -> Options {
    Options::new()
        .max_frame(cases::LARGEST)
        .max_message(cases::LARGEST)
}

fn check_group(engine: Engine, number: u8) {
    let server = serve(engine, vec![generous()]);
    for case in cases::group(number) {
        check(&server, &case);
    }
}

fn check(server: &TestServer, case: &Case) {
    let id = &case.id;
    let mut socket = open(server, "/0", "");
    socket.duplex(&case.writes(), |socket| {
        for (at, expected) in case.replies.iter().enumerate() {
            let frame = socket.message();
            let reply = match frame.opcode() {
                cases::TEXT => Reply::Text(frame.payload),
                cases::BINARY => Reply::Binary(frame.payload),
                cases::PONG => Reply::Pong(frame.payload),
                _ => panic!("{id}: {frame:?} instead of reply {at}"),
            };
            // Not by assert_eq: some are of megabytes.
            assert!(&reply == expected, "{id}: reply {at} is another");
        }
        if case.end == End::Open {
            socket.close(1000);
        }
        let code = close_code(id, &socket.message());
        match case.end {
            End::Open => assert_eq!(code, Some(1000), "{id}"),
            End::Closed(expected) => assert_eq!(code, expected, "{id}"),
            End::Failed(expected) => assert_eq!(code, Some(expected), "{id}"),
        }
        // RFC 6455 section 7.1.1: the server closes first.
        match case.end {
            End::Open => socket.end(),
            End::Closed(_) | End::Failed(_) => socket.leave(),
        }
    });
}

fn open(server: &TestServer, path: &str, fields: &str) -> RawSocket {
    RawSocket::upgrade(server.connect(), &handshake(path, fields))
}

fn close_code(id: &str, frame: &Frame) -> Option<u16> {
    assert_eq!(frame.opcode(), cases::CLOSE, "{id}: {frame:?}");
    let code = frame.payload.first_chunk()?;
    Some(u16::from_be_bytes(*code))
}

fn case_12_compression_of_different_content(engine: Engine) {
    let takeover = Deflate::new()
        .server_context_takeover(true)
        .client_context_takeover(true);
    let options = [Deflate::new(), takeover].map(|deflate| generous().deflate(Some(deflate)));
    let server = serve(engine, options.into());
    for (kind, (name, _)) in CONTENTS.into_iter().enumerate() {
        for path in ["/0", "/1"] {
            check_compressed(
                &server,
                &format!("12.{} {name}", kind + 1),
                kind,
                path,
                OFFERS[0].0,
            );
        }
    }
}

fn case_13_compression_with_different_parameters(engine: Engine) {
    let options = OFFERS.map(|(_, reset, bits)| {
        let deflate = Deflate::new()
            .server_context_takeover(true)
            .client_context_takeover(!reset)
            .client_window_bits(bits);
        generous().deflate(Some(deflate))
    });
    let server = serve(engine, options.into());
    for (at, (offers, ..)) in OFFERS.into_iter().enumerate() {
        let (what, path) = (format!("13.{}", at + 1), format!("/{at}"));
        check_compressed(&server, &what, 0, &path, offers);
    }
}

/// Sends messages of all sizes, and takes them back.
fn check_compressed(server: &TestServer, what: &str, kind: usize, path: &str, offers: &str) {
    let field = format!("Sec-WebSocket-Extensions: {offers}\r\n");
    for ((size, fragment), number) in cases::COMPRESSED.into_iter().zip(1..) {
        let mut socket = open(server, path, &field);
        let agreed = socket.head.field("sec-websocket-extensions");
        let agreed = agreed.expect("agreed on").to_owned();
        let id = format!("{what}, case {number}, {agreed}");
        let mut client = Squeeze::new(&agreed);
        let content = cases::content(kind, 2 * size);
        for content in content.chunks_exact(size) {
            let mut frames = client.frames(CONTENTS[kind].1, content, fragment);
            let writes: Vec<_> = frames.drain(..).map(|frame| frame.wire()).collect();
            let echoed = socket.duplex(&writes, RawSocket::message);
            assert_eq!(echoed.opcode(), CONTENTS[kind].1, "{id}");
            // A server need not compress what it would not make smaller.
            let payload = match echoed.rsv() {
                0 => echoed.payload,
                4 => client.inflate(&echoed.payload, size),
                _ => panic!("{id}: reserved bits {}", echoed.rsv()),
            };
            assert!(payload == content, "{id}: not the same");
        }
        socket.close(1000);
        assert_eq!(close_code(&id, &socket.message()), Some(1000), "{id}");
        socket.end();
    }
}

/// Another implementation of RFC 7692, as short as it can be.
struct Squeeze {
    deflate: Compress,
    inflate: Decompress,
    reset_ours: bool,
    reset_theirs: bool,
}

impl Squeeze {
    fn new(agreed: &str) -> Self {
        let bits = |name: &str| {
            let value = agreed.split(&format!("{name}=")).nth(1)?;
            value.split(';').next()?.trim().parse().ok()
        };
        let ours = bits("client_max_window_bits").unwrap_or(15);
        let theirs = bits("server_max_window_bits").unwrap_or(15);
        Self {
            deflate: Compress::new_with_window_bits(Compression::default(), false, ours),
            inflate: Decompress::new_with_window_bits(false, theirs),
            reset_ours: agreed.contains("client_no_context_takeover"),
            reset_theirs: agreed.contains("server_no_context_takeover"),
        }
    }

    fn frames(&mut self, opcode: u8, content: &[u8], fragment: usize) -> Vec<cases::Frame> {
        if self.reset_ours {
            self.deflate.reset();
        }
        let mut payload = Vec::with_capacity(content.len() * 2 + 1024);
        let flush = FlushCompress::Sync;
        let compressed = self.deflate.compress_vec(content, &mut payload, flush);
        compressed.expect("there is room enough");
        payload.truncate(payload.len() - 4);
        let size = if fragment == 0 { usize::MAX } else { fragment };
        let mut frames = cases::fragments(opcode, &payload, size);
        frames[0].rsv = 4;
        frames
    }

    fn inflate(&mut self, payload: &[u8], size: usize) -> Vec<u8> {
        if self.reset_theirs {
            self.inflate.reset(false);
        }
        let mut content = Vec::with_capacity(size + 64);
        let input = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
        let flush = FlushDecompress::Sync;
        let inflated = self.inflate.decompress_vec(&input, &mut content, flush);
        inflated.expect("the server compresses by the RFC");
        content
    }
}

/// Numbers and words of all cases, as the book has them.
fn table() -> String {
    let mut table = String::new();
    for group in cases::GROUPS {
        table.push_str("| Case | What is sent | What comes back |\n|---|---|---|\n");
        for case in cases::group(group) {
            let echoes = case
                .replies
                .iter()
                .filter(|reply| !matches!(reply, Reply::Pong(_)));
            let (echoes, pongs) = (echoes.clone().count(), case.replies.len() - echoes.count());
            let mut parts = Vec::new();
            let many = |count, one: &str, many: &str| match count {
                1 => one.to_owned(),
                count => format!("{count} {many}"),
            };
            if pongs > 0 {
                parts.push(many(pongs, "a pong", "pongs"));
            }
            if echoes > 0 {
                parts.push(many(echoes, "the echo", "echoes"));
            }
            match case.end {
                End::Open => {}
                End::Closed(None) => parts.push("close without a code".to_owned()),
                End::Closed(Some(code)) => parts.push(format!("close {code}")),
                End::Failed(code) => parts.push(format!("fails with {code}")),
            }
            if parts.is_empty() {
                parts.push("nothing".to_owned());
            }
            writeln!(
                table,
                "| {} | {} | {} |",
                case.id,
                case.what,
                parts.join(", ")
            )
            .expect("a string takes all");
        }
        table.push('\n');
    }
    table.push_str("| Group | Content |\n|---|---|\n");
    for ((name, _), number) in CONTENTS.into_iter().zip(1..) {
        writeln!(table, "| 12.{number} | {name} |").expect("a string takes all");
    }
    table.push_str("\n| Group | What the client offers |\n|---|---|\n");
    for ((offers, ..), number) in OFFERS.into_iter().zip(1..) {
        let offers: Vec<_> = offers
            .split(", ")
            .map(|offer| format!("`{offer}`"))
            .collect();
        writeln!(table, "| 13.{number} | {} |", offers.join(", then "))
            .expect("a string takes all");
    }
    table.push_str(
        "\n| Case of each group | Bytes of a message | Bytes of a fragment |\n|---|---|---|\n",
    );
    for ((size, fragment), number) in cases::COMPRESSED.into_iter().zip(1..) {
        let fragment = if fragment == 0 {
            "all".to_owned()
        } else {
            fragment.to_string()
        };
        writeln!(table, "| {number} | {size} | {fragment} |").expect("a string takes all");
    }
    table
}

#[test]
fn the_book_lists_every_case() {
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/src/evidence/websocket-cases.md"
    );
    let page = std::fs::read_to_string(page).expect("the page exists");
    let listed: Vec<_> = page.lines().filter(|line| line.starts_with('|')).collect();
    let table = table();
    let expected: Vec<_> = table.lines().filter(|line| !line.is_empty()).collect();
    assert!(
        listed == expected,
        "the page is to have these tables:\n{table}"
    );
}
