//! What must hold of a whole connection, whoever serves it: a server on a socket, or one over
//! memory.

use crate::replies::{Replies, mask_dates};
use crate::streams::http1::{Event, HeadRecord, events};
use crate::{Cuts, Served, Session};
use greenway_proto::http1::HeadLimits;

/// Serves `stream` in one piece, cut, and to a client that leaves in the middle.
///
/// # Panics
/// When it finds a contradiction.
pub fn check_connection(serve: impl Fn(Session<'_>) -> Served, stream: &[u8], cuts: Cuts) {
    check(serve, stream, cuts);
}

/// As [`check_connection`], for a server whose timing depends on the session alone: then whoever
/// leaves has seen the same bytes as who stays, interim responses and sizes of chunks included.
///
/// # Panics
/// When it finds a contradiction.
pub fn check_connection_to_the_byte(
    serve: impl Fn(Session<'_>) -> Served,
    stream: &[u8],
    cuts: Cuts,
) {
    let (stayed, left) = check(serve, stream, cuts);
    assert!(
        mask_dates(&stayed.output).starts_with(&mask_dates(&left.output)),
        "a client that leaves has seen something else"
    );
}

/// Gives what a client has seen that stayed, and one that left; for both the stream was cut.
fn check(serve: impl Fn(Session<'_>) -> Served, stream: &[u8], cuts: Cuts) -> (Served, Served) {
    let found = events([stream], &HeadLimits::default());
    let methods = methods(&found);
    let whole = serve(Session::new(stream));
    let replies = Replies::parse(&whole.output, &methods);
    check_count(&found, &replies, whole.calls);

    let cut = serve(Session::new(stream).cut(cuts));
    assert!(whole.shut && cut.shut, "the connection stays open");
    assert_eq!(whole.calls, cut.calls, "the cuts matter");
    let again = Replies::parse(&cut.output, &methods);
    assert_eq!(replies, again, "the cuts matter");

    // A client that takes no more at some place has seen the start of the same, and nothing else
    // happens.
    let room = cut.output.len() / 2;
    let left = serve(Session::new(stream).cut(cuts).leaving_after(room));
    assert!(left.calls <= cut.calls);
    let seen = Replies::parse_start(&left.output, &methods);
    assert!(
        seen.is_start_of(&replies),
        "a client that leaves has seen something else"
    );
    (cut, left)
}

fn methods(found: &[Event]) -> Vec<&str> {
    let heads = found.iter().filter_map(|event| match event {
        Event::Head(head) => Some(head.method.as_str()),
        Event::Body(_) | Event::End | Event::Refused(_) => None,
    });
    heads.collect()
}

/// One response for each request until the connection ends, and it does not end unannounced.
fn check_count(found: &[Event], replies: &Replies, calls: usize) {
    let requests: Vec<(&HeadRecord, &[Event])> = requests(found);
    let Some(last) = replies.all.last() else {
        assert!(requests.is_empty(), "requests without a response");
        return;
    };
    let numbers: Vec<usize> = replies.all.iter().filter_map(|reply| reply.call).collect();
    assert!(
        numbers.is_sorted_by(|a, b| a < b) && numbers.last().is_none_or(|&last| last <= calls),
        "not the application's responses, each once and in order"
    );
    // A handler's response can be replaced by an error, if what it reads while it sends is
    // malformed; but each call has one response.
    assert!(calls <= replies.all.len());
    for reply in &replies.all[..replies.all.len() - 1] {
        assert!(!reply.close, "a response after the last one");
    }
    for reply in &replies.all {
        assert!(
            reply.call.is_some() || reply.status >= 400,
            "a response that nobody made"
        );
        assert_ne!(reply.status, 500, "nothing here fails by itself");
    }
    if last.close {
        // The refusal of a head that is malformed or not complete answers no request.
        assert!(replies.all.len() <= requests.len() + 1);
    } else if replies.all.len() != requests.len() {
        assert!(replies.all.len() < requests.len(), "too many responses");
        let (_, body) = requests[replies.all.len() - 1];
        assert!(
            !ends_well(body),
            "the connection ends, though nobody has said so"
        );
    }
}

/// Each head with the events of its body.
fn requests(found: &[Event]) -> Vec<(&HeadRecord, &[Event])> {
    let is_head = |event: &Event| matches!(event, Event::Head(_));
    let mut requests = Vec::new();
    let mut rest = found;
    while let [Event::Head(head), behind @ ..] = rest {
        let end = behind.iter().position(is_head).unwrap_or(behind.len());
        let (body, next) = behind.split_at(end);
        requests.push((&**head, body));
        rest = next;
    }
    requests
}

/// Whether a body can be read to its end by a server that throws away no more than 64 KiB.
fn ends_well(body: &[Event]) -> bool {
    match body {
        [Event::End, ..] => true,
        [Event::Body(bytes), Event::End, ..] => bytes.len() <= 64 * 1024,
        _ => false,
    }
}
