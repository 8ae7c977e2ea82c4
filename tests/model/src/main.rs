//! Model checking of the waits: their sources as they are, below a `platform` whose steps `shuttle`
//! chooses, run through many interleavings, at random and by probabilistic concurrency testing.
//!
//! Every lock, every atomic that matters, every park and every wake is a step. Memory is
//! sequentially consistent here: which orderings the atomics need is not checked. (`loom` would,
//! but takes `SeqCst` for less than it is, and what OS threads do rests on it.)

#![allow(unreachable_pub, dead_code, unused_imports)] // what is taken is not all used

// The table of `greenway-monkey` finds here what it takes from `greenway-green`.
extern crate self as greenway_green;

mod errno;
mod locks;
mod logging;
mod platform;
mod scenarios;
mod scheduler;
mod sync;
mod sys;

pub use scheduler::thread::Awaited;
use shuttle::Config;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use std::panic::catch_unwind;
use std::process::exit;
use std::time::Instant;

/// As in `greenway-green`.
pub mod embed {
    pub use crate::scheduler::lock::{holds_lock, lock};
    pub use crate::scheduler::thread::{Ended, Io, Thread, current, quietly};
}

/// As in `greenway-monkey`, where nobody is a child of `vfork`.
mod waiting {
    pub use crate::scheduler::thread::wait_quietly;
}

fn main() {
    let mut args = std::env::args().skip(1);
    let runs = match args.next().as_deref() {
        Some("--mutants") => {
            const MUTANTS: &[&str] = include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
            for mutant in MUTANTS {
                println!("{mutant}");
            }
            return;
        }
        Some(runs) => runs.parse().expect("a number of runs"),
        None => 10_000,
    };
    let filter = args.next().unwrap_or_default();
    for (name, scenario) in scenarios::ALL {
        if !name.contains(&filter) {
            continue;
        }
        let start = Instant::now();
        let all_well = catch_unwind(|| {
            let config = Config::new();
            shuttle::Runner::new(RandomScheduler::new(runs), config.clone()).run(scenario);
            shuttle::Runner::new(PctScheduler::new(3, runs), config).run(scenario);
        });
        if all_well.is_err() {
            eprintln!("FAILED: {name}");
            exit(1);
        }
        println!("{name}: {} runs, {:.1?}", 2 * runs, start.elapsed());
    }
}
