//! Who is in a room on other nodes.
//!
//! Each node tells the bus every second who of its own is in a room, as one entry that expires, and
//! learns what the others have told. So a node that dies, with whatever it had no time for, is gone
//! from all lists a few seconds later.
//!
//! What must stay true: a list has a bound, and beyond it members are counted and not named; a node
//! that has not heard of the others for as long as an entry lives knows nobody there.

use crate::room::members::{Presence, Via};
use bytes::{Buf, BufMut, Bytes};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a node tells.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// How long what it has told holds.
pub(super) const LIFE: Duration = Duration::from_secs(5);

/// Members of a node who are named.
const MOST_NAMED: usize = 10_000;

/// Those on other nodes, as far as one has heard.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Of the bus's lists, when one last heard of them.
    pub(super) version: u64,
    pub(super) named: Vec<Presence>,
    pub(super) count: usize,
    pub(super) heard: Option<Instant>,
}

impl Elsewhere {
    pub(super) fn is_stale(&self) -> bool {
        self.heard.is_none_or(|heard| heard.elapsed() > LIFE)
    }

    /// Takes the lists of all nodes; one's own is not among those elsewhere.
    pub(super) fn take(&mut self, version: u64, lists: &[(u64, Bytes)], own: u64) {
        self.version = version;
        self.named.clear();
        self.count = 0;
        for (node, list) in lists.iter().filter(|(node, _)| *node != own) {
            let (count, named) = decode(*node, list.clone()).unwrap_or_default();
            self.count += count;
            self.named.extend(named);
        }
    }
}

pub(super) fn encode(members: &[Presence]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_u64(members.len() as u64);
    for member in members.iter().take(MOST_NAMED) {
        bytes.put_u64(member.number);
        bytes.put_u8(match member.via {
            Via::Queue => 0,
            Via::Poll => 1,
            Via::WebSocket => 2,
        });
        // A name of more than 4 GiB is in no memory beside its member.
        bytes.put_u32(u32::try_from(member.name.len()).unwrap_or(u32::MAX));
        bytes.put_slice(member.name.as_bytes());
    }
    bytes
}

fn decode(node: u64, mut bytes: Bytes) -> Option<(usize, Vec<Presence>)> {
    let count = usize::try_from(bytes.try_get_u64().ok()?).ok()?;
    let mut named = Vec::new();
    while bytes.has_remaining() {
        let number = bytes.try_get_u64().ok()?;
        let via = match bytes.try_get_u8().ok()? {
            0 => Via::Queue,
            1 => Via::Poll,
            _ => Via::WebSocket,
        };
        let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        if length > bytes.remaining() {
            return None;
        }
        let name: Arc<str> = std::str::from_utf8(&bytes.split_to(length)).ok()?.into();
        named.push(Presence {
            number,
            name,
            via,
            node,
        });
    }
    Some((count, named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_bytes_that_come_back() {
        let member = |number, name: &str, via| Presence {
            number,
            name: name.into(),
            via,
            node: 7,
        };
        let members = [
            member(1, "Ada", Via::Queue),
            member(2, "", Via::Poll),
            member(9, "grüße", Via::WebSocket),
        ];
        let list = Bytes::from(encode(&members));
        assert_eq!(decode(7, list.clone()), Some((3, members.to_vec())));
        for end in 0..list.len() {
            let cut = decode(7, list.slice(..end));
            assert!(cut.is_none_or(|(_, named)| named.len() < 3), "{end}");
        }
        let mut elsewhere = Elsewhere::default();
        elsewhere.take(1, &[(7, list.clone()), (8, list)], 7);
        assert_eq!((elsewhere.count, elsewhere.named.len()), (3, 3));
        assert_eq!(elsewhere.named[0].node, 8);
    }
}
