//! The master's part in TLS session tickets: it has the keys, and changes them.

use crate::processes::frames::{Frames, Order};
use crate::ticket_keys::{PERIOD, TicketKeys};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Keys, and when they are to change.
#[derive(Debug)]
pub(super) struct Tickets {
    keys: TicketKeys,
    until: Instant,
}

impl Tickets {
    /// Those of the master in whose place we are to be, if there is one that has told them: it has
    /// done so before it has started us. Does not wait.
    ///
    /// # Errors
    /// When there are none, and the kernel has no random numbers.
    pub(super) fn begin(predecessor: Option<&UnixStream>) -> io::Result<Self> {
        let keys = match predecessor.and_then(told) {
            Some(keys) => keys,
            None => TicketKeys::new()?,
        };
        let until = Instant::now() + PERIOD;
        Ok(Self { keys, until })
    }

    /// Puts them where a process finds them that is about to be started, before anything else.
    ///
    /// # Errors
    /// When the pair has no room for them.
    pub(super) fn hand_to(&self, mut control: &UnixStream) -> io::Result<()> {
        control.write_all(&self.order().to_bytes())
    }

    /// Changes them if it is time, and gives what all are to be told then.
    pub(super) fn renew(&mut self, now: Instant) -> Option<Order> {
        if now < self.until {
            return None;
        }
        self.until = now + PERIOD;
        match self.keys.next() {
            Ok(keys) => self.keys = keys,
            Err(error) => log::error!("the keys of TLS tickets do not change: {error}"),
        }
        Some(self.order())
    }

    /// When they are to change.
    pub(super) fn deadline(&self) -> Instant {
        self.until
    }

    fn order(&self) -> Order {
        Order::TicketKeys(self.keys.clone())
    }
}

/// What a master that has started us has told.
fn told(mut control: &UnixStream) -> Option<TicketKeys> {
    let mut frames = Frames::default();
    let mut buffer = [0; 1024];
    let n = control.read(&mut buffer).ok()?;
    frames.take(&mut buffer[..n]);
    match frames.order() {
        Ok(Some(Order::TicketKeys(keys))) => Some(keys),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_master_goes_on_with_the_keys_of_the_one_before() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut first = Tickets::begin(None).unwrap();
        first.hand_to(&ours).unwrap();
        let second = Tickets::begin(Some(&theirs)).unwrap();
        assert_eq!(second.keys, first.keys);
        // An older master tells nothing.
        let third = Tickets::begin(Some(&theirs)).unwrap();
        assert_ne!(third.keys, first.keys);
        let now = first.deadline();
        assert_eq!(first.renew(now - Duration::from_secs(1)), None);
        let former = first.keys.present.clone();
        let told = first.renew(now).unwrap();
        assert_eq!(told, Order::TicketKeys(first.keys.clone()));
        assert_eq!(first.keys.former, Some(former));
        assert_eq!(first.deadline(), now + PERIOD);
    }
}
