//! The server: what builds, listens, starts and stops.

mod budget;
mod builder;
#[cfg(feature = "tls")]
mod certificates;
mod inherited;
mod listen;
mod metrics;
mod orphans;
mod preflight;
mod redirect;
mod running;
mod signals;
mod surroundings;

pub use builder::Server;
pub(crate) use builder::check_certificates;
pub(crate) use inherited::waiting as inherited_sockets;
pub(crate) use listen::check_addresses;
pub(crate) use orphans::reap_as_init;
pub use running::{Running, Stopped};
pub(crate) use signals::{OnSignal, SignalAction, catch_signals};
