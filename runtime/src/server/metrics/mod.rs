//! What the counters of a server are shown as: an address of its own, Prometheus' text, and the
//! probes of the workers' lag.

mod lag;
mod responder;
mod text;

use lag::LagProbes;
pub(super) use responder::start;
