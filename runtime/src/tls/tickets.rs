//! Session tickets: what a server that forgets its clients lets them keep, so that they need no full
//! handshake when they come again.
//!
//! rustls has such tickets as well, with keys that it makes itself and shows to nobody. Here they may
//! come from a master, and then any of its processes opens what another one has sealed. A ticket is
//! the key's name (16 bytes), a random nonce (12), and what is sealed with its tag: ChaCha20-Poly1305,
//! whose key needs no preparation, so that there is no second copy of it to be overwritten.
//!
//! What must stay true:
//! - Whatever a client sends as a ticket leads to a full handshake, or it was sealed by us.
//! - A ticket is good only where clients are asked for certificates in the same way and the same
//!   authorities are believed: a session that is resumed shows no certificate again.
//! - No lock is held while something is sealed or opened.

use crate::ticket_keys::{NAME, PERIOD, TicketKey, TicketKeys, TicketRing};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use rustls::RootCertStore;
use rustls::server::ProducesTickets;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// No ticket is longer, which bounds what is deciphered for nothing. One holds a few hundred bytes,
/// and the certificates of a client that has shown some.
const LONGEST: usize = 16 * 1024;
/// Bytes of what says for whom a ticket is.
const AUDIENCE: usize = 32;

/// Makes the tickets of a configuration, and opens them.
pub(super) struct Tickets {
    ring: Arc<TicketRing>,
    audience: [u8; AUDIENCE],
}

impl Tickets {
    /// For clients that are asked for certificates `how`, by these authorities.
    pub(super) fn new(ring: Arc<TicketRing>, how: u8, roots: Option<&RootCertStore>) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[how]);
        for root in roots.into_iter().flat_map(|roots| &roots.roots) {
            let constraints = root.name_constraints.as_deref();
            let parts = [
                &root.subject[..],
                &root.subject_public_key_info,
                constraints.unwrap_or_default(),
            ];
            for part in parts {
                // Lengths, so that no two lists look alike.
                context.update(&part.len().to_be_bytes());
                context.update(part);
            }
        }
        let mut audience = [0; AUDIENCE];
        audience.copy_from_slice(context.finish().as_ref());
        Self { ring, audience }
    }

    fn seal(&self, key: &TicketKey, message: &[u8]) -> Option<Vec<u8>> {
        // A number that counts would tell how many clients there were. With random ones, a key is good
        // for four thousand million tickets.
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let start = NAME + NONCE_LEN;
        let length = start + message.len() + CHACHA20_POLY1305.tag_len();
        if length > LONGEST {
            return None;
        }
        let mut ticket = Vec::with_capacity(length);
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(message);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = &mut ticket[start..];
        let tag = cipher(key)?.seal_in_place_separate_tag(nonce, Aad::from(self.said(key)), sealed);
        ticket.extend_from_slice(tag.ok()?.as_ref());
        Some(ticket)
    }

    fn open(&self, keys: &TicketKeys, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > LONGEST {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        // Names are no secrets: every ticket shows one.
        let mut all = [&keys.present].into_iter().chain(&keys.former);
        let key = all.find(|key| key.name == *name)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut opened = sealed.to_vec();
        let cipher = cipher(key)?;
        let message = cipher.open_in_place(nonce, Aad::from(self.said(key)), &mut opened);
        let length = message.ok()?.len();
        opened.truncate(length);
        Some(opened)
    }

    /// What a ticket's tag holds for true beside its content.
    fn said(&self, key: &TicketKey) -> [u8; NAME + AUDIENCE] {
        let mut said = [0; NAME + AUDIENCE];
        said[..NAME].copy_from_slice(&key.name);
        said[NAME..].copy_from_slice(&self.audience);
        said
    }
}

fn cipher(key: &TicketKey) -> Option<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, &key.secret[..]);
    key.ok().map(LessSafeKey::new)
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    /// For so long each ticket can be opened, also if its key was about to change.
    fn lifetime(&self) -> u32 {
        u32::try_from(PERIOD.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, message: &[u8]) -> Option<Vec<u8>> {
        let keys = self.ring.keys(Instant::now());
        self.seal(&keys.present, message)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let keys = self.ring.keys(Instant::now());
        self.open(&keys, ticket)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn tickets(how: u8) -> Tickets {
        Tickets::new(Arc::new(TicketRing::new().unwrap()), how, None)
    }

    #[test]
    fn what_was_sealed_is_opened_and_nothing_else() {
        let tickets = tickets(0);
        for message in [&b""[..], b"a session", &[7; 4000]] {
            let ticket = tickets.encrypt(message).unwrap();
            assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(message));
            let again = tickets.encrypt(message).unwrap();
            assert_ne!(ticket, again, "nobody sees that it is the same");
            for at in 0..ticket.len() {
                let mut other = ticket.clone();
                other[at] ^= 1;
                assert_eq!(tickets.decrypt(&other), None, "byte {at}");
                assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at} bytes");
            }
            let more = [&ticket[..], b"?"].concat();
            assert_eq!(tickets.decrypt(&more), None);
        }
        assert_eq!(tickets.encrypt(&[0; LONGEST]), None, "this is too long");
    }

    #[test]
    fn a_ticket_is_for_those_who_are_asked_in_the_same_way() {
        let ring = Arc::new(TicketRing::new().unwrap());
        let of = |how, roots| Tickets::new(ring.clone(), how, roots);
        let store = |names: &[&str]| {
            let mut store = RootCertStore::empty();
            for name in names {
                let made = rcgen::generate_simple_self_signed([(*name).to_owned()]).unwrap();
                store.add(made.cert.der().clone()).unwrap();
            }
            store
        };
        let (one, other) = (store(&["a"]), store(&["a", "b"]));
        let all = [
            of(0, None),
            of(1, Some(&one)),
            of(2, Some(&one)),
            of(2, Some(&other)),
        ];
        for (at, sealing) in all.iter().enumerate() {
            let ticket = sealing.encrypt(b"x").unwrap();
            for (place, opening) in all.iter().enumerate() {
                let opened = opening.decrypt(&ticket);
                assert_eq!(opened.is_some(), at == place, "{at} {place}");
            }
        }
        let again = of(2, Some(&one));
        assert!(again.decrypt(&all[2].encrypt(b"x").unwrap()).is_some());
    }

    #[test]
    fn keys_change_and_the_ones_before_still_open() {
        let tickets = tickets(0);
        let (ring, start) = (&tickets.ring, Instant::now());
        let at = |hours: u32| ring.keys(start + hours * Duration::from_secs(3601));
        let first = at(0);
        let ticket = tickets.seal(&first.present, b"x").unwrap();
        assert_eq!(at(5), first);
        let second = at(6);
        assert_ne!(second.present.name, first.present.name);
        assert!(tickets.open(&second, &ticket).is_some());
        assert_eq!(at(11), second);
        assert_eq!(tickets.open(&at(12), &ticket), None);
        // Those of a master are the master's to change, as long as it does.
        let of_master = TicketKeys::new().unwrap();
        ring.take_on(of_master.clone());
        assert_eq!(*at(11), of_master);
        assert_ne!(*at(13), of_master);
    }

    #[test]
    fn processes_open_each_others_tickets() {
        let (one, other) = (tickets(0), tickets(0));
        let ticket = one.encrypt(b"x").unwrap();
        assert_eq!(other.decrypt(&ticket), None);
        let keys = TicketKeys::new().unwrap();
        one.ring.take_on(keys.clone());
        let ticket = one.encrypt(b"x").unwrap();
        other.ring.take_on(keys.next().unwrap());
        assert_eq!(other.decrypt(&ticket).as_deref(), Some(&b"x"[..]));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_makes_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), named: bool) {
            let tickets = tickets(0);
            if named && bytes.len() >= NAME {
                let name = tickets.ring.keys(Instant::now()).present.name;
                bytes[..NAME].copy_from_slice(&name);
            }
            prop_assert_eq!(tickets.decrypt(&bytes), None);
        }
    }
}
