//! What the counters of a server are shown as: an address of its own, Prometheus' text, whether
//! the server is well, and the probes of the workers' lag.

mod answer;
mod health;
mod lag;
mod pages;
mod protocols;
mod responder;
mod text;

use health::Health;
use lag::LagProbes;
pub(crate) use pages::{PROMETHEUS, Page, Pages, ServerPages};
pub(crate) use responder::MetricsServer;
