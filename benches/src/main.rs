//! `cargo run --profile fast -p greenway-bench -- --help`
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use greenway_bench::cli::{Choice, Flags};
use greenway_bench::files::Files;
use greenway_bench::machine::{self, Cores};
use greenway_bench::mode::Mode;
use greenway_bench::programs::Programs;
use greenway_bench::results::Results;
use greenway_bench::runner::{self, Setting};
use greenway_bench::scenario::{Bounds, Scenario};
use greenway_bench::{compare, goals, load, report, stop};
use serde_json::json;

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("greenway-bench: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(flags: &Flags) -> Result<ExitCode, String> {
    let choice = flags.choose()?;
    if flags.list {
        list(&choice);
        return Ok(ExitCode::SUCCESS);
    }
    let old = flags.compare.as_deref().map(compare::read).transpose()?;
    let cores = Cores::share(&machine::available_cores(), flags.cores)?;
    if cores.overlap() {
        eprintln!("server and generator share a core: answers/s and latencies mean little");
    }
    stop::install().map_err(|error| format!("cannot take over signals: {error}"))?;
    let descriptors = load::raise_descriptor_limit();
    // The package lies one folder below the workspace.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."));
    let programs = Programs::build(workspace, &choice.contenders, flags.beside.as_deref());
    let files = Files::create().map_err(|error| format!("no files to be served: {error}"))?;
    let logs = flags.out.join("logs");
    let setting = Setting {
        choice: &choice,
        programs: &programs,
        cores: &cores,
        descriptors,
        files: files.folder(),
        logs: &logs,
    };
    let tables = runner::run(&setting);
    let results = Results {
        machine: machine::describe(workspace),
        options: json!({
            "mode": choice.mode.name(),
            "rounds": choice.rounds,
            "window_s": choice.pace.window.as_secs_f64(),
            "poll_ms": choice.pace.poll.as_millis() as u64,
            "server_cores": cores.server,
            "generator_cores": cores.generator,
            "interrupted": stop::stopped(),
        }),
        tables,
    };
    print!("{}", report::text(&results));
    if flags.beside.is_some() {
        let changes = compare::with_other(&results);
        println!("\nAgainst the other build\n{}", compare::text(&changes));
    }
    let changes = old.map(|old| compare::changes(&old, &results));
    if let Some(changes) = &changes {
        println!("\nAgainst the earlier run\n{}", compare::text(changes));
    }
    report::write(&flags.out, &results, changes.as_deref().unwrap_or_default())
        .map_err(|error: io::Error| format!("{}: {error}", flags.out.display()))?;
    println!("\n{}", flags.out.join("report.html").display());
    Ok(verdict(&results))
}

/// Figures never fail a run (machines differ), but a cell without figures does: the
/// suite is then not what it says.
fn verdict(results: &Results) -> ExitCode {
    let rows = || results.tables.iter().flat_map(|table| &table.rows);
    let failed = rows().flat_map(|row| &row.rounds).any(Result::is_err);
    let nothing = rows().all(|row| row.rounds.is_empty());
    if stop::stopped() {
        ExitCode::from(130)
    } else if failed || nothing {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

fn list(choice: &Choice) {
    let bounds = Bounds {
        descriptors: load::raise_descriptor_limit(),
        cores: 1,
    };
    println!("scenarios:");
    for scenario in &choice.scenarios {
        println!("  {:<16} {}", scenario.id(), scenario.story());
        let absent = choice
            .contenders
            .iter()
            .filter_map(|&who| Some((who, scenario.obstacle(who, bounds)?)));
        for (who, why) in absent {
            println!("  {:<16}   without {who}: {why}", "");
        }
    }
    let modes = [Mode::Smoke, Mode::Quick, Mode::Framework, Mode::Full];
    let more: BTreeSet<Scenario> = modes
        .iter()
        .flat_map(|mode| mode.scenarios())
        .filter(|scenario| !choice.scenarios.contains(scenario))
        .collect();
    let more: Vec<String> = more.into_iter().map(Scenario::id).collect();
    println!("by name, with --only: {}", more.join(", "));
    println!("contenders:");
    for contender in &choice.contenders {
        println!("  {contender}");
    }
    println!(
        "{} rounds of {:.2} s; goals judged: {}",
        choice.rounds,
        choice.pace.window.as_secs_f64(),
        goals::judge(&Results {
            machine: json!(null),
            options: json!(null),
            tables: Vec::new()
        })
        .len()
    );
}
