//! What a generator thread knows of one of its connections.

use std::net::TcpStream;

use super::frames::Reader;
use super::reply::ReplyReader;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Connecting,
    Open,
}

pub(super) struct Connection {
    pub(super) stream: Option<TcpStream>,
    pub(super) state: State,
    /// Tells events of an earlier socket in the same slot from those of this one.
    pub(super) generation: u32,
    pub(super) reader: Reader,
    /// Answers that are owed to us.
    pub(super) asked: usize,
    /// When the batch was sent (closed loop) or due (open loop).
    pub(super) since: u64,
    /// Counts batches, so that the requests take turns.
    pub(super) turn: usize,
    /// Bytes of the batch that the socket has not taken.
    pub(super) unsent: usize,
    /// Requests until this connection is closed by us.
    pub(super) left: u32,
    /// Counted in `Lane::ready`.
    pub(super) ready: bool,
    /// epoll is asked about writability.
    pub(super) wants_out: bool,
}

impl Connection {
    /// One that is still to be opened. Neighbours begin with different requests.
    pub(super) fn closed(slot: usize) -> Self {
        Self {
            stream: None,
            state: State::Closed,
            generation: 0,
            reader: Reader::Http(ReplyReader::new()),
            asked: 0,
            since: 0,
            turn: slot,
            unsent: 0,
            left: 0,
            ready: false,
            wants_out: false,
        }
    }
}
