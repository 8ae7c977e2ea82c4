//! Counts instructions: the same program, the same figure, whatever else the machine does.
//!
//! Each bench runs twice under valgrind's cachegrind, once so many times and once twice as
//! often. The difference is the cost of so many turns, and what starts and ends the process is
//! not in it. Instructions are not time (they say nothing of caches, of the kernel, or of how
//! well they run side by side), but they move only when the code or the compiler does: a change
//! of a per cent is a change.
//!
//! Figures are compared with `recorded.json` and never fail a run.
#![forbid(unsafe_code)]

mod protocol;
mod web;
mod work;

use std::io::{self, Write as _};
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Map, Value, json};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.json");
/// Per cent from which on a change is told as one.
const NOISE: f64 = 1.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name, turns] = &arguments[..]
        && flag == "--work"
    {
        let (Some(bench), Ok(turns)) = (work::find(name), turns.parse()) else {
            return ExitCode::from(2);
        };
        (bench.run)(turns);
        return ExitCode::SUCCESS;
    }
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("greenway-micro: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[String]) -> io::Result<()> {
    let record = arguments.iter().any(|argument| argument == "--record");
    let names: Vec<&String> = arguments
        .iter()
        .filter(|each| *each != "--record")
        .collect();
    if let Some(unknown) = names.iter().find(|name| work::find(name).is_none()) {
        return Err(io::Error::other(format!("no such bench: {unknown}")));
    }
    let recorded = recorded();
    let (rustc, valgrind) = (version("rustc")?, version("valgrind")?);
    for (tool, now) in [("rustc", &rustc), ("valgrind", &valgrind)] {
        let then = recorded[tool].as_str().unwrap_or("nothing");
        if then != now && !record {
            println!("recorded with {then}, counted with {now}: expect differences");
        }
    }
    println!("{:<16} {:>12} {:>12}", "instructions of", "recorded", "now");
    let mut figures = Map::new();
    for bench in work::BENCHES {
        if !names.is_empty() && !names.iter().any(|name| *name == bench.name) {
            continue;
        }
        let now = instructions(bench)?;
        let then = recorded["instructions"][bench.name].as_f64();
        let change = then.map_or_else(String::new, |then| {
            let percent = (now / then - 1.0) * 100.0;
            let sign = if percent.abs() < NOISE { "" } else { "  <--" };
            format!("{percent:+8.1} %{sign}")
        });
        let shown = then.map_or_else(|| "-".to_owned(), |then| format!("{then:.1}"));
        println!("{:<16} {shown:>12} {now:>12.1} {change}", bench.name);
        io::stdout().flush()?;
        figures.insert(bench.name.to_owned(), json!((now * 10.0).round() / 10.0));
    }
    if record {
        let all = json!({ "rustc": rustc, "valgrind": valgrind, "instructions": figures });
        std::fs::write(RECORDED, serde_json::to_string_pretty(&all)? + "\n")?;
    }
    Ok(())
}

/// What was recorded; null when there is nothing yet.
fn recorded() -> Value {
    let text = std::fs::read_to_string(RECORDED).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn version(tool: &str) -> io::Result<String> {
    let output = Command::new(tool).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Instructions of one turn.
fn instructions(bench: &work::Bench) -> io::Result<f64> {
    let once = count(bench.name, bench.turns)?;
    let twice = count(bench.name, bench.turns * 2)?;
    Ok(twice.saturating_sub(once) as f64 / bench.turns as f64)
}

/// Instructions of a whole process.
fn count(name: &str, turns: usize) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(std::env::current_exe()?)
        .args(["--work", name, &turns.to_string()])
        .stdin(Stdio::null())
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let count = told.lines().find_map(|line| {
        let (_, figure) = line.split_once("I ")?.1.split_once("refs:")?;
        figure.trim().replace(',', "").parse().ok()
    });
    match count.filter(|_| output.status.success()) {
        Some(count) => Ok(count),
        None => Err(io::Error::other(format!("{name} under valgrind: {told}"))),
    }
}
