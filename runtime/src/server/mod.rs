//! The server: what builds, listens, starts and stops.

mod budget;
mod builder;
#[cfg(feature = "tls")]
mod certificates;
mod for_programs;
mod inherited;
mod listen;
mod metrics;
mod notify;
mod orphans;
mod preflight;
mod redirect;
mod running;
mod signals;
mod surroundings;

pub use builder::Server;
pub(crate) use builder::check_certificates;
pub(crate) use inherited::waiting as inherited_sockets;
pub(crate) use listen::{
    Listening, SocketFile, check_addresses, listen_for_metrics, listen_on_all, wanted_addresses,
};
pub(crate) use metrics::{MetricsServer, PROMETHEUS, Page, Pages, ServerPages};
pub(crate) use notify::Notify;
pub(crate) use orphans::{reap_as_init, reap_orphans};
pub(crate) use running::StopKind;
pub use running::{Running, Stopped};
pub(crate) use signals::{OnSignal, SignalAction, catch_signals};
pub(crate) use surroundings::set_right as set_surroundings_right;
