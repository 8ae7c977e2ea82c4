//! The keys that TLS session tickets are sealed with. The master makes them and hands them to its
//! processes over their socket pairs, so that any process opens what another one has sealed, and
//! those that a deploy starts do as well.
//!
//! What must stay true:
//! - Keys are in no environment, no argument and no file, and nobody's `Debug` shows them.
//! - What is dropped is overwritten.
//! - A key seals for [`PERIOD`] and opens for as long again, so that no ticket lives longer than
//!   twice that. Whoever gets at the memory of a process can read no more than that of what was
//!   recorded of TLS 1.2.

use crate::green::embed::lock;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a key seals. rustls and Go have the same order of magnitude.
pub(crate) const PERIOD: Duration = Duration::from_secs(6 * 60 * 60);
/// Bytes of the name by which a ticket says which key it is for (RFC 5077 section 4).
pub(crate) const NAME: usize = 16;
const SECRET: usize = 32;

/// A key: what it is called in tickets, and what nobody else knows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TicketKey {
    pub(crate) name: [u8; NAME],
    pub(crate) secret: Zeroizing<[u8; SECRET]>,
}

/// The keys of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TicketKeys {
    /// Seals and opens.
    pub(crate) present: TicketKey,
    /// Opens what was sealed before. `None` until keys have changed.
    pub(crate) former: Option<TicketKey>,
}

impl TicketKey {
    fn new() -> io::Result<Self> {
        let (mut name, mut secret) = ([0; NAME], Zeroizing::new([0; SECRET]));
        getrandom::fill(&mut name)?;
        getrandom::fill(&mut secret[..])?;
        Ok(Self { name, secret })
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (name, rest) = bytes.split_first_chunk()?;
        let (secret, rest) = rest.split_first_chunk()?;
        let secret = Zeroizing::new(*secret);
        let key = Self {
            name: *name,
            secret,
        };
        Some((key, rest))
    }
}

impl TicketKeys {
    /// The first ones.
    ///
    /// # Errors
    /// When the kernel has no random numbers.
    pub(crate) fn new() -> io::Result<Self> {
        let present = TicketKey::new()?;
        Ok(Self {
            present,
            former: None,
        })
    }

    /// Those of the time that comes.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn next(&self) -> io::Result<Self> {
        Ok(Self {
            present: TicketKey::new()?,
            former: Some(self.present.clone()),
        })
    }

    /// As they are handed to another process.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // With room for all, since a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * (NAME + SECRET)));
        for key in [&self.present].into_iter().chain(&self.former) {
            bytes.extend_from_slice(&key.name);
            bytes.extend_from_slice(&key.secret[..]);
        }
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) has made; `None` for anything else.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (present, rest) = TicketKey::read(bytes)?;
        let former = match rest {
            [] => None,
            rest => match TicketKey::read(rest)? {
                (former, []) => Some(former),
                _ => return None,
            },
        };
        Some(Self { present, former })
    }
}

/// The keys that hold, for all connections of a server.
#[derive(Debug)]
pub(crate) struct TicketRing(Mutex<Held>);

#[derive(Debug)]
struct Held {
    keys: Arc<TicketKeys>,
    /// When to make new ones, if none have come by then.
    until: Instant,
}

impl TicketRing {
    /// With keys of its own, which it changes itself.
    ///
    /// # Errors
    /// When the kernel has no random numbers.
    pub(crate) fn new() -> io::Result<Self> {
        let keys = Arc::new(TicketKeys::new()?);
        let until = Instant::now() + PERIOD;
        Ok(Self(Mutex::new(Held { keys, until })))
    }

    /// With the keys of a master, which will send others when it is time.
    pub(crate) fn of_master(keys: TicketKeys) -> Self {
        Self(Mutex::new(Held::of_master(keys)))
    }

    /// Has these keys from now on, of the same master.
    pub(crate) fn take_on(&self, keys: TicketKeys) {
        *lock(&self.0) = Held::of_master(keys);
    }

    /// Those that hold now. New ones, if it is time.
    pub(crate) fn keys(&self, now: Instant) -> Arc<TicketKeys> {
        let mut held = lock(&self.0);
        // Without random numbers, the next one who asks tries again.
        if now >= held.until
            && let Ok(keys) = held.keys.next()
        {
            held.keys = Arc::new(keys);
            held.until = now + PERIOD;
        }
        held.keys.clone()
    }
}

impl Held {
    fn of_master(keys: TicketKeys) -> Self {
        Self {
            keys: Arc::new(keys),
            // A master that is stopped sends none, and these must not be used for ever.
            until: Instant::now() + 2 * PERIOD,
        }
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_handed_over() {
        let first = TicketKeys::new().unwrap();
        let second = first.next().unwrap();
        assert_eq!(second.former.as_ref(), Some(&first.present));
        let third = second.next().unwrap();
        assert_ne!(third.former, second.former, "a key opens for two times");
        for keys in [&first, &second] {
            let bytes = keys.to_bytes();
            assert_eq!(TicketKeys::read(&bytes).as_ref(), Some(keys));
            for cut in 0..bytes.len() {
                let expected = (cut == NAME + SECRET).then_some(&bytes[..cut]);
                let read = TicketKeys::read(&bytes[..cut]);
                let read = read.map(|keys| keys.to_bytes().to_vec());
                assert_eq!(read.as_deref(), expected, "{cut}");
            }
            let more = [&bytes[..], b"?"].concat();
            assert_eq!(TicketKeys::read(&more), None);
        }
        let shown = "TicketKeys { present: TicketKey, former: None }";
        assert_eq!(format!("{first:?}"), shown);
    }
}
