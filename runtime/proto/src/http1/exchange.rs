//! Where one connection is: reading, serving, answering, done.
//!
//! HTTP/1 is half-duplex in its rules though not on the wire: a request, its response, and only
//! then the next request. [`Exchange`] keeps that order. It is told what happens, as an [`Event`],
//! and says which [`State`] follows; what a server may do in each state is a question to it, so
//! that the connection, the response writer and an upgraded protocol cannot disagree.
//!
//! ```text
//!            Bytes           Request           Answer            Whole, Unread
//!   Idle ----------> Head ------------> Serving ------> Answering -------------> Draining
//!    ^                                     |               |                        |
//!    |                                     | Switch        | Whole                  | Drained
//!    |                                     v               |                        |
//!    |                                  Upgraded           |                        |
//!    +-----------------------------------------------------+------------------------+
//!
//!   Every state but Closed --- Close ---> Closed
//! ```
//!
//! | Event | Idle | Head | Serving | Answering | Upgraded | Draining | Closed |
//! |---|---|---|---|---|---|---|---|
//! | `Bytes` | Head | Head | - | - | - | - | - |
//! | `Request` | Serving | Serving | - | - | - | - | - |
//! | `Answer` | - | - | Answering | - | - | - | - |
//! | `Switch` | - | - | Upgraded | - | - | - | - |
//! | `Whole` | - | - | - | Idle | - | - | - |
//! | `Unread` | - | - | - | Draining | - | - | - |
//! | `Drained` | - | - | - | - | - | Idle | - |
//! | `Close` | Closed | Closed | Closed | Closed | Closed | Closed | Closed |
//!
//! A dash is an event that cannot happen in that state: the caller has made a mistake, and the
//! connection is closed rather than used in an order that a client would misread (the way of h11).
//!
//! `Request` happens in `Idle` as well: a pipelined request was there before anybody looked.

use super::head::RequestHead;
use http::Version;

/// Interim responses that an application may send before its response.
const INTERIMS: u8 = 8;

/// Where in its life a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// Nothing of a next request has come.
    #[default]
    Idle,
    /// Part of a request's head has come.
    Head,
    /// The application has a request and has not answered it.
    Serving,
    /// The response's head is written, its body is under way.
    Answering,
    /// Another protocol has taken over (RFC 9110 section 7.8). There is no way back.
    Upgraded,
    /// The response is whole, and the rest of the request's body is being thrown away.
    Draining,
    /// Nothing is read or written any more but what ends the connection in good order.
    Closed,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Something of a request has come, and its head is not complete.
    Bytes,
    /// A request's head is complete.
    Request,
    /// The head of the final response is written.
    Answer,
    /// A 101 is written: the request asked for another protocol and gets it.
    Switch,
    /// The response is whole, and nothing of the request is left to read.
    Whole,
    /// The response is whole, and a rest of the request's body has to be read first.
    Unread,
    /// That rest is read.
    Drained,
    /// The connection ends: somebody asked for that, or something has failed.
    Close,
}

impl State {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::Head,
        Self::Serving,
        Self::Answering,
        Self::Upgraded,
        Self::Draining,
        Self::Closed,
    ];

    /// The state after `event`; `None` where it cannot happen.
    #[must_use]
    pub const fn after(self, event: Event) -> Option<Self> {
        Some(match (self, event) {
            (Self::Idle | Self::Head, Event::Bytes) => Self::Head,
            (Self::Idle | Self::Head, Event::Request) => Self::Serving,
            (Self::Serving, Event::Answer) => Self::Answering,
            (Self::Serving, Event::Switch) => Self::Upgraded,
            (Self::Answering, Event::Whole) | (Self::Draining, Event::Drained) => Self::Idle,
            (Self::Answering, Event::Unread) => Self::Draining,
            (_, Event::Close) => Self::Closed,
            _ => return None,
        })
    }
}

impl Event {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Bytes,
        Self::Request,
        Self::Answer,
        Self::Switch,
        Self::Whole,
        Self::Unread,
        Self::Drained,
        Self::Close,
    ];
}

/// The exchange that a connection is in: its state, and what the present request allows.
///
/// ```
/// use bytes::BytesMut;
/// use greenway_proto::http1::exchange::{Exchange, Input, State};
/// use greenway_proto::http1::{HeadLimits, HeadReader};
///
/// let mut buf = BytesMut::from("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
/// let request = HeadReader::default().read(&mut buf, &HeadLimits::default())?.expect("whole");
///
/// let mut exchange = Exchange::default();
/// exchange.begin(&request, true);
/// assert_eq!(exchange.state(), State::Serving);
/// exchange.answer(true);
/// assert_eq!(exchange.finish(true, Input::Consumed), State::Idle);
/// # Ok::<(), greenway_proto::http1::Reject>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exchange {
    state: State,
    /// Both sides allow another request behind this one.
    keep_alive: bool,
    /// The request asks for another protocol.
    asks_upgrade: bool,
    /// The client may still be sent a `100 Continue` to find out whether it is there.
    may_probe: bool,
    /// Interim responses that the application may still send.
    interims: u8,
}

/// What is left of a request's body when its response is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    Consumed,
    /// Some of it, which can be read and thrown away.
    Unread,
    /// It will never be read to its end: it has failed, it is too much, or the client waits for
    /// a `100 Continue` that it did not get (RFC 9110 section 10.1.1).
    Abandoned,
}

impl Exchange {
    /// Where the connection is.
    #[must_use]
    pub const fn state(self) -> State {
        self.state
    }

    /// Does what the table says. `false`, and the connection is closed, where it says nothing.
    fn step(&mut self, event: Event) -> bool {
        let next = self.state.after(event);
        self.state = next.unwrap_or(State::Closed);
        next.is_some()
    }

    /// Part of a head has come.
    pub fn received(&mut self) {
        self.step(Event::Bytes);
    }

    /// A request's head is complete. `keep_alive` says whether the server would serve another
    /// request behind it.
    pub fn begin(&mut self, request: &RequestHead, keep_alive: bool) {
        // RFC 9110 section 15.2: a client of HTTP/1.0 knows no interim responses.
        let interim = request.head.version >= Version::HTTP_11;
        let state = self.state;
        *self = Self {
            state,
            keep_alive: keep_alive && request.keep_alive,
            asks_upgrade: request.upgrade,
            may_probe: interim,
            interims: if interim { INTERIMS } else { 0 },
        };
        self.step(Event::Request);
    }

    /// The application has the request: between its head and the end of its response.
    #[must_use]
    pub const fn is_serving(self) -> bool {
        matches!(
            self.state,
            State::Serving | State::Answering | State::Upgraded
        )
    }

    /// The final response has begun, or another protocol has.
    #[must_use]
    pub const fn is_answering(self) -> bool {
        matches!(self.state, State::Answering | State::Upgraded)
    }

    /// Whether another protocol has the connection.
    #[must_use]
    pub const fn is_upgraded(self) -> bool {
        matches!(self.state, State::Upgraded)
    }

    /// Whether the request asked for another protocol and got none: it is served as if it had not
    /// asked (RFC 9110 section 7.8: a server may ignore the field).
    #[must_use]
    pub const fn ignored_upgrade(self) -> bool {
        self.asks_upgrade && !self.is_upgraded()
    }

    /// Whether both sides have allowed another request so far.
    #[must_use]
    pub const fn keep_alive(self) -> bool {
        self.keep_alive
    }

    /// The head of the final response is written; `keep_alive` is what it tells the client (see
    /// [`Plan::keep_alive`](super::Plan::keep_alive)).
    pub fn answer(&mut self, keep_alive: bool) {
        self.keep_alive &= keep_alive;
        self.step(Event::Answer);
    }

    /// Another protocol takes over, if the request asks for one and is not answered yet. Says
    /// whether it does.
    pub fn switch(&mut self) -> bool {
        self.asks_upgrade && self.state == State::Serving && self.step(Event::Switch)
    }

    /// Whether the application may send an interim response now; counts it.
    pub fn take_interim(&mut self) -> bool {
        let allowed = self.state == State::Serving && self.interims > 0;
        self.interims -= u8::from(allowed);
        allowed
    }

    /// Whether the client may be asked for a sign of life; true once for each request at most.
    pub fn take_probe(&mut self) -> bool {
        let allowed = self.may_probe && matches!(self.state, State::Serving | State::Upgraded);
        self.may_probe &= !allowed;
        allowed
    }

    /// The application's part is over. `whole` says whether all of the response was sent that its
    /// head has promised. Gives the state that follows: `Idle` for another request, `Draining` if
    /// what is left of the body has to be read first, `Closed` for anything else.
    pub fn finish(&mut self, whole: bool, input: Input) -> State {
        let event = match input {
            Input::Consumed if whole && self.keep_alive => Event::Whole,
            Input::Unread if whole && self.keep_alive => Event::Unread,
            Input::Consumed | Input::Unread | Input::Abandoned => Event::Close,
        };
        self.step(event);
        self.state
    }

    /// The rest of the body was read to its end, or could not be.
    pub fn drained(&mut self, to_its_end: bool) -> State {
        self.step(if to_its_end {
            Event::Drained
        } else {
            Event::Close
        });
        self.state
    }

    /// The connection ends.
    pub fn close(&mut self) {
        self.step(Event::Close);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HeadLimits, HeadReader};
    use super::*;
    use bytes::BytesMut;

    /// The table of the module's documentation, read from its source.
    fn documented() -> Vec<(Event, State, Option<State>)> {
        let rows = include_str!("exchange.rs").lines().filter_map(|line| {
            let row = line.strip_prefix("//! | `")?;
            let (event, cells) = row.split_once("` |")?;
            Some((event, cells))
        });
        let mut table = Vec::new();
        for (name, cells) in rows {
            let event = Event::ALL
                .into_iter()
                .find(|event| format!("{event:?}") == name)
                .unwrap_or_else(|| panic!("no event {name}"));
            let cells: Vec<_> = cells
                .trim_end_matches('|')
                .split('|')
                .map(str::trim)
                .collect();
            assert_eq!(cells.len(), State::ALL.len(), "{name}");
            for (state, cell) in State::ALL.into_iter().zip(cells) {
                let next = State::ALL
                    .into_iter()
                    .find(|next| format!("{next:?}") == cell);
                assert_eq!(next.is_none(), cell == "-", "{name}: {cell}");
                table.push((event, state, next));
            }
        }
        assert_eq!(table.len(), Event::ALL.len() * State::ALL.len());
        table
    }

    #[test]
    fn the_table_is_what_happens() {
        for (event, state, next) in documented() {
            assert_eq!(state.after(event), next, "{event:?} in {state:?}");
        }
    }

    #[test]
    fn a_closed_connection_stays_closed() {
        for event in Event::ALL {
            let mut exchange = Exchange::default();
            exchange.close();
            exchange.step(event);
            assert_eq!(exchange.state(), State::Closed, "{event:?}");
        }
    }

    /// An exchange whose request is `head`.
    fn begun(head: &str, keep_alive: bool) -> Exchange {
        let mut buf = BytesMut::from(head);
        let read = HeadReader::default().read(&mut buf, &HeadLimits::default());
        let request = read.expect("a good head").expect("a whole head");
        let mut exchange = Exchange::default();
        exchange.received();
        exchange.begin(&request, keep_alive);
        exchange
    }

    const PLAIN: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    const OLD: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    const CLOSE: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

    #[test]
    fn a_connection_is_used_again_only_if_everybody_wants_that() {
        for (head, server, response, whole, input, next) in [
            (PLAIN, true, true, true, Input::Consumed, State::Idle),
            (PLAIN, true, true, true, Input::Unread, State::Draining),
            (PLAIN, true, true, true, Input::Abandoned, State::Closed),
            (PLAIN, true, true, false, Input::Consumed, State::Closed),
            (PLAIN, true, false, true, Input::Consumed, State::Closed),
            (PLAIN, false, true, true, Input::Consumed, State::Closed),
            (CLOSE, true, true, true, Input::Consumed, State::Closed),
            (OLD, true, true, true, Input::Consumed, State::Idle),
        ] {
            let mut exchange = begun(head, server);
            exchange.answer(response);
            assert_eq!(exchange.finish(whole, input), next, "{head:?} {input:?}");
        }
    }

    #[test]
    fn an_exchange_without_a_response_closes() {
        assert_eq!(
            begun(PLAIN, true).finish(true, Input::Consumed),
            State::Closed
        );
    }

    #[test]
    fn what_is_left_is_read_or_the_connection_ends() {
        for (to_its_end, next) in [(true, State::Idle), (false, State::Closed)] {
            let mut exchange = begun(PLAIN, true);
            exchange.answer(true);
            exchange.finish(true, Input::Unread);
            assert_eq!(exchange.drained(to_its_end), next);
        }
    }

    #[test]
    fn a_protocol_takes_over_once_and_only_if_asked() {
        assert!(!begun(PLAIN, true).switch());
        let mut exchange = begun(UPGRADE, true);
        assert!(exchange.ignored_upgrade());
        assert!(exchange.switch() && !exchange.ignored_upgrade());
        assert!(!exchange.switch());
        assert_eq!(exchange.finish(true, Input::Consumed), State::Closed);
        let mut answered = begun(UPGRADE, true);
        answered.answer(true);
        assert!(!answered.switch());
        assert!(answered.is_answering(), "the refusal changes nothing");
    }

    #[test]
    fn interim_responses_are_few_and_come_first() {
        let mut exchange = begun(PLAIN, true);
        let sent = (0..100).filter(|_| exchange.take_interim()).count();
        assert_eq!(sent, usize::from(INTERIMS));
        assert!(!begun(OLD, true).take_interim());
        let mut answered = begun(PLAIN, true);
        answered.answer(true);
        assert!(!answered.take_interim());
    }

    #[test]
    fn a_client_is_probed_once_at_most() {
        let mut exchange = begun(PLAIN, true);
        assert!(exchange.take_probe() && !exchange.take_probe());
        assert!(!begun(OLD, true).take_probe());
        let mut answered = begun(PLAIN, true);
        answered.answer(true);
        assert!(!answered.take_probe());
    }
}
