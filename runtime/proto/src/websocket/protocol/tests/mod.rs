//! The protocol at its edges, over memory.

mod battery;
mod cases;
mod examples;
mod faults;
mod properties;
mod stream;

use self::stream::events as receive;
use super::{Event, Failure, Limits, Negotiated, Receiver, Role};

fn receiver(role: Role, deflate: Option<&Negotiated>) -> Receiver {
    Receiver::new(role, Limits::default(), deflate)
}
