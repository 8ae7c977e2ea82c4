//! Greenway's benchmark suite: engines and peers side by side, by one command.
//!
//! ```text
//! cargo run --profile fast -p greenway-bench -- --quick
//! ```
//!
//! It is the project's own instrument as well as the users' check, so what must stay
//! true is what makes a figure worth reading:
//!
//! * **Outside**: CPU time and resident memory are read from `/proc` of the server,
//!   never told by the server itself.
//! * **Interleaved**: a round runs every contender once, each in a fresh process, and
//!   the order turns with each round. A figure is the median of the rounds with its
//!   spread; a ratio is taken within a round, so that a noisy minute hits both sides.
//! * **Two halves**: the server has some cores for itself and the generator the others,
//!   and the generator reports how busy it was.
//! * **Nothing silent**: a scenario that cannot run says why, an answer that is not
//!   2xx fails the cell, and what a run cannot judge is told as not measured.
//!
//! Everything stays on 127.0.0.0/8, every loop is bounded in count and time, and no
//! process outlives the run.
#![forbid(unsafe_code)]

pub mod cell;
pub mod cli;
pub mod compare;
pub mod contender;
pub mod files;
pub mod goals;
pub mod load;
pub mod machine;
pub mod metric;
pub mod mode;
pub mod probe;
pub mod programs;
pub mod report;
pub mod results;
pub mod runner;
pub mod scenario;
pub mod server;
pub mod stop;
