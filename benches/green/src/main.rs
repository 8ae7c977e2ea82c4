//! What green threads cost, beside tasks of tokio, goroutines and OS threads.
//!
//! ```text
//! cargo run --profile fast -p greenway-bench-green
//! ```
//!
//! Each figure is made by a process of its own, which does one thing many times and says how long
//! it took. Rounds are interleaved, so that what disturbs the machine disturbs all alike; the
//! table shows medians, and half of the range of the rounds. `docs/src/evidence/benchmarks.md` tells what
//! the rows mean.

#![forbid(unsafe_code)]

mod contender;
mod figure;
mod green;
mod os;
mod report;

use clap::Parser;
use contender::Contender;
use figure::{WORKLOADS, Workload};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "What green threads cost, beside tokio, Go and OS threads")]
struct Flags {
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Only workloads whose name begins so.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,

    /// Only these contenders: greenway, tokio, go, threads.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    contenders: Option<Vec<String>>,

    /// How many sleepers. Green threads take two memory mappings each: 100,000 of them want
    /// vm.max_map_count at 210,000 or more.
    #[arg(long, default_value_t = 30_000)]
    sleepers: u64,

    /// Where the raw figures go.
    #[arg(long, value_name = "FILE", default_value = "bench-report/green.json")]
    out: PathBuf,

    /// For the program itself: do one workload here.
    #[arg(long, hide = true, num_args = 2)]
    one: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Some([who, name]) = flags.one.as_deref() {
        return one(who, name, flags.sleepers);
    }
    let mut contenders = Contender::all();
    if let Some(names) = &flags.contenders {
        contenders.retain(|contender| names.iter().any(|name| name == contender.name()));
    }
    for contender in &mut contenders {
        contender.prepare();
    }
    let mut workloads = WORKLOADS.to_vec();
    if let Some(only) = &flags.only {
        workloads.retain(|workload| workload.name.starts_with(only.as_str()));
    }
    let mut cells = report::Cells::default();
    for round in 1..=flags.rounds {
        for workload in &workloads {
            eprintln!("round {round} of {}: {}", flags.rounds, workload.name);
            for contender in &contenders {
                let result = contender.run(workload, flags.sleepers);
                cells.add(workload, contender.name(), result);
            }
        }
    }
    print!("{}", cells.table(&workloads, &contenders));
    if let Err(error) = cells.write(&flags.out, &workloads, &contenders, flags.sleepers) {
        eprintln!("{}: {error}", flags.out.display());
        return ExitCode::FAILURE;
    }
    println!("\nraw figures: {}", flags.out.display());
    ExitCode::SUCCESS
}

/// Does one workload in this process, and prints its figure.
fn one(who: &str, name: &str, sleepers: u64) -> ExitCode {
    let Some(workload) = Workload::named(name, sleepers) else {
        eprintln!("there is no workload {name}");
        return ExitCode::FAILURE;
    };
    let figure = match who {
        "greenway" => Some(green::run(&workload)),
        "threads" => os::run(&workload),
        _ => None,
    };
    match figure {
        Some(figure) => println!("{figure}"),
        None => println!("reason {who} has nothing like it"),
    }
    // Sleepers are not waited for.
    std::process::exit(0)
}
