//! The protocol at its edges, over memory.

mod battery;
mod cases;
mod examples;
mod faults;
mod properties;

use super::play::events as receive;
use super::{Limits, Negotiated, Receiver, Role};

fn receiver(role: Role, deflate: Option<&Negotiated>) -> Receiver {
    Receiver::new(role, Limits::default(), deflate)
}
