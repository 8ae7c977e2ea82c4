//! The server: what builds, listens, starts and stops.

mod budget;
mod builder;
mod inherited;
mod listen;
mod metrics;
mod running;
mod signals;

pub use builder::Server;
pub(crate) use inherited::waiting as inherited_sockets;
pub use running::{Running, Stopped};
pub(crate) use signals::{OnSignal, SignalAction, catch_signals};
