//! The requests of each scenario, as they go on the wire. The routes that they ask for
//! are the same in every server.

use std::time::Duration;

use crate::load::frame;
use crate::probe::{post, post_chunked, request};
use crate::scenario::{BROWSER, CHUNKED_BODY, CHUNKS, MESSAGE, PIECE, ROUTES, Scenario};

/// What the clients of a scenario send, in turn; `poll` is the sleep of a long poll.
pub(super) fn of(scenario: Scenario, poll: Duration) -> Vec<Vec<u8>> {
    match scenario {
        Scenario::Headers => vec![request("/", &BROWSER)],
        Scenario::Json => vec![request("/json", &[])],
        Scenario::Routing => (0..ROUTES)
            .map(|route| request(&format!("/r{route:02}/{}/ada", 1_000 + route), &[]))
            .collect(),
        Scenario::Post(length) => vec![post("/echo", length)],
        Scenario::ChunkedIn => vec![post_chunked("/echo", CHUNKED_BODY, PIECE)],
        Scenario::Static(length) => {
            let name = if length < 1 << 20 { "1k" } else { "1m" };
            vec![request(&format!("/file/{name}"), &[])]
        }
        Scenario::SocketEcho(_) => vec![frame(&[b'x'; MESSAGE])],
        Scenario::Stream => vec![request(&format!("/stream?n={CHUNKS}"), &[])],
        Scenario::Mixed(_) => {
            let hello = request("/", &[]);
            let json = request("/json", &[]);
            let (post, sleep) = (post("/echo", 1024), request("/sleep?ms=20", &[]));
            let ten = [
                &hello, &json, &hello, &post, &hello, &hello, &json, &hello, &sleep, &hello,
            ];
            ten.into_iter().cloned().collect()
        }
        Scenario::LongPoll(_) => {
            vec![request(&format!("/sleep?ms={}", poll.as_millis()), &[])]
        }
        _ => vec![request("/", &[])],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_what_the_story_says() {
        let mix = of(Scenario::Mixed(1), Duration::ZERO);
        let count = |start: &[u8]| mix.iter().filter(|each| each.starts_with(start)).count();
        assert_eq!(mix.len(), 10);
        assert_eq!(count(b"GET / "), 6);
        assert_eq!(count(b"GET /json "), 2);
        assert_eq!(count(b"POST /echo "), 1);
        assert_eq!(count(b"GET /sleep?ms=20 "), 1);
        let routes = of(Scenario::Routing, Duration::ZERO);
        assert!(routes[99].starts_with(b"GET /r99/1099/ada HTTP/1.1\r\n"));
    }
}
