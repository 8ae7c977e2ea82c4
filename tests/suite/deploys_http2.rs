//! Deploys while clients speak HTTP/2, with TLS (ALPN) and without. What a server has taken it
//! answers. What it has not is above the last stream of its GOAWAY, and a client may send that once
//! more (RFC 9113 section 6.8): that is all that a deploy may cost.

use super::deploys::{DEPLOYS, Deployed};
use super::deploys_tls::{connect, https, start_with_tls, until_deployed};
use greenway::Engine;
use greenway_tests::http2::{END_HEADERS, END_STREAM, Http2, Sent, fields, frame, kind, request};
use greenway_tests::request::get_close;
use greenway_tests::tls::Certificates;
use greenway_tests::tls::rustls::ClientConfig;
use greenway_tests::{Client, Load, on_green_and_threads, under_load};
use h2::Reason;
use std::sync::Arc;

on_green_and_threads!(
    ten_deploys_over_http2_lose_no_request,
    ten_deploys_over_http2_and_tls_lose_no_request,
    a_goaway_names_the_last_stream_that_is_served,
);

/// Requests that a client sends before it looks for answers.
const AT_ONCE: usize = 8;

/// A client that offers HTTP/2.
fn offers_http2(made: &Certificates) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&made.client());
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Sends a request, unless the connection takes no more.
fn ask(client: &mut Http2, path: &str) -> Option<Sent> {
    let sent = client.wait("room for a request", |send, context| {
        let ready = send.poll_ready(context);
        ready.map_ok(|()| send.send_request(request("GET", path), true))
    });
    let (response, body) = sent.ok()?.ok()?;
    Some(Sent { response, body })
}

/// Asks on one connection after the other, for as long as each takes requests.
fn keep_asking(load: &Load, connect: impl Fn() -> Http2) {
    // Sent, and refused by a GOAWAY: nobody has seen them, so they are sent once more.
    let mut again = 0;
    while !load.is_over() || again > 0 {
        let mut client = connect();
        loop {
            let wanted = AT_ONCE.max(again);
            let sent: Vec<_> = (0..wanted)
                .map_while(|_| ask(&mut client, "/hello"))
                .collect();
            client.turn();
            again = again.saturating_sub(sent.len());
            let goes = sent.len() < wanted;
            for sent in sent {
                match client.whole(sent) {
                    Ok(whole) => {
                        assert_eq!((whole.status, &*whole.text()), (200, "Hello\n"));
                        load.count();
                    }
                    Err(error) if error.is_go_away() && error.is_remote() => {
                        assert_eq!(error.reason(), Some(Reason::NO_ERROR), "{error}");
                        again += 1;
                    }
                    Err(error) => panic!("a request that was taken is lost: {error}"),
                }
            }
            if goes {
                // All is said, and so is the end.
                let end = client.end();
                assert!(end.is_ok(), "{end:?}");
                break;
            }
            if load.is_over() && again == 0 {
                return;
            }
        }
    }
}

fn ten_deploys(deployed: &Deployed, client: impl Fn(&Load) + Sync) {
    under_load(&[&client], |load| {
        for round in 0..DEPLOYS {
            let so_far = load.answered();
            until_deployed(deployed, &deployed.begin());
            assert!(
                load.answered() > so_far,
                "deploy {round}: nobody was served"
            );
        }
    });
}

fn ten_deploys_over_http2_lose_no_request(engine: Engine) {
    let deployed = Deployed::start(engine, &["-w", "2", "--keep-alive", "600"]);
    let addr = deployed.program.wait_for_addr();
    ten_deploys(&deployed, |load| keep_asking(load, || Http2::connect(addr)));
    deployed.stop();
}

fn ten_deploys_over_http2_and_tls_lose_no_request(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let deployed = start_with_tls(engine, &files, &[]);
    let (addr, config) = (https(&deployed), offers_http2(&made));
    ten_deploys(&deployed, |load| {
        keep_asking(load, || Http2::secure(addr, &config));
    });
    deployed.stop();
}

const ACK: u8 = 1;

/// A client that sends what it likes, and keeps what comes on its first streams.
struct Frames {
    client: Client,
    bodies: [Vec<u8>; 8],
    /// Responses that are whole.
    ended: usize,
}

impl Frames {
    fn over(mut client: Client) -> Self {
        assert_eq!(client.tls().alpn_protocol(), Some(&b"h2"[..]));
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.send(frame(kind::SETTINGS, 0, 0, &[]));
        Self {
            client,
            bodies: Default::default(),
            ended: 0,
        }
    }

    /// Sends a request, with the first half of its body.
    fn begin(&mut self, stream: u32) {
        let head = fields(&[
            (":method", "POST"),
            (":scheme", "https"),
            (":path", "/echo"),
            (":authority", "localhost"),
        ]);
        let head = frame(kind::HEADERS, END_HEADERS, stream, &head);
        self.client
            .send(head)
            .send(frame(kind::DATA, 0, stream, b"bef"));
    }

    /// The next frame. Gives its kind and payload.
    #[track_caller]
    fn next(&mut self) -> (u8, Vec<u8>) {
        let head = self.client.take(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let (kind, flags) = (head[3], head[4]);
        let payload = self
            .client
            .take(usize::try_from(length).expect("it is small"));
        match kind {
            kind::SETTINGS if flags & ACK == 0 => {
                self.client.send(frame(kind::SETTINGS, ACK, 0, &[]));
            }
            kind::DATA => {
                self.bodies[stream as usize].extend(&payload);
                self.ended += usize::from(flags & END_STREAM);
            }
            _ => {}
        }
        (kind, payload)
    }

    /// Reads until a frame of this kind comes, and gives its payload.
    #[track_caller]
    fn next_of(&mut self, wanted: u8) -> Vec<u8> {
        loop {
            let (kind, payload) = self.next();
            if kind == wanted {
                return payload;
            }
        }
    }

    /// The number in the next GOAWAY, which has no error.
    #[track_caller]
    fn last_stream(&mut self) -> u32 {
        let goaway = self.next_of(kind::GOAWAY);
        let (last, rest) = goaway.split_first_chunk().expect("a GOAWAY has a number");
        assert_eq!(&rest[..4], [0; 4], "no error");
        u32::from_be_bytes(*last)
    }
}

/// The server says first that it goes, and then, when the client has heard that, what it has taken by
/// then: streams that were on their way are among it. What comes afterwards is not served.
fn a_goaway_names_the_last_stream_that_is_served(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let deployed = start_with_tls(engine, &files, &[]);
    let (addr, config) = (https(&deployed), offers_http2(&made));
    let connected = (0..4).map(|_| Frames::over(connect(addr, &config)));
    let mut clients: Vec<_> = connected.collect();
    for frames in &mut clients {
        for stream in [1, 3] {
            frames.begin(stream);
            assert_eq!(frames.next_of(kind::DATA), b"bef");
        }
    }
    let old = deployed.begin();
    for frames in &mut clients {
        assert_eq!(frames.last_stream(), u32::MAX >> 1);
        let ping = frames.next_of(kind::PING);
        // It was on its way when the server has said that it goes.
        frames.begin(5);
        frames.client.send(frame(kind::PING, ACK, 0, &ping));
        assert_eq!(frames.last_stream(), 5);
        frames.begin(7);
        for stream in [1, 3, 5] {
            frames
                .client
                .send(frame(kind::DATA, END_STREAM, stream, b"ore"));
        }
        while frames.ended < 3 {
            frames.next();
        }
        for stream in [1, 3, 5] {
            assert_eq!(frames.bodies[stream], b"before", "stream {stream}");
        }
        assert!(frames.bodies[7].is_empty(), "it is above the last one");
        frames.client.rest(); // a good end
    }
    // The client's part: it sends the seventh once more.
    until_deployed(&deployed, &old);
    let mut client = Http2::secure(addr, &config);
    assert_eq!(client.get("/hello").text(), "Hello\n");
    let reply = connect(addr, &made.client())
        .send(get_close("/hello"))
        .reply();
    assert_eq!(reply.text(), "Hello\n");
    deployed.stop();
}
