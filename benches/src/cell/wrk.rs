//! The outside check of our generator: `wrk` asks the same of the same process.

use std::process::{Command, Stdio};

use super::Cell;
use crate::probe;
use crate::results::{Metric, Sample};
use crate::scenario::CLIENTS;

pub(super) fn run(cell: &Cell<'_>) -> Result<Sample, String> {
    let mut sample = cell.flow()?;
    let pids = cell.server.pids();
    let gone = |error: std::io::Error| format!("the server is gone: {error}");
    // wrk has no warm-up of its own; the server is warm from our generator. It counts whole
    // seconds.
    let seconds = cell.pace.window.as_secs_f64().round().max(1.0);
    let threads = cell.cores.generator.len();
    let cores: Vec<String> = cell.cores.generator.iter().map(usize::to_string).collect();
    let before = probe::cpu_time(pids).map_err(gone)?;
    let output = Command::new("taskset")
        .args(["-c", &cores.join(","), "wrk"])
        .args(["-t", &threads.to_string(), "-c", &CLIENTS.to_string()])
        .args(["-d", &format!("{seconds}s")])
        .arg(format!("http://{}/", cell.server.address))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("wrk cannot be run by taskset: {error}"))?;
    let cpu = probe::cpu_time(pids).map_err(gone)?.saturating_sub(before);
    let told = String::from_utf8_lossy(&output.stdout);
    let Some((requests, per_second)) = read(&told).filter(|_| output.status.success()) else {
        let wrong = String::from_utf8_lossy(&output.stderr);
        let line = wrong.lines().next().unwrap_or("it printed no figures");
        return Err(format!("wrk: {line} (apt-get install wrk)"));
    };
    if told.contains("Non-2xx") {
        return Err("wrk got answers that were not 2xx".to_owned());
    }
    sample.insert(Metric::WrkPerSecond, per_second);
    sample.insert(Metric::WrkCpuPerRequest, cpu.as_secs_f64() * 1e6 / requests);
    Ok(sample)
}

/// Requests, and requests per second, of wrk's report.
fn read(told: &str) -> Option<(f64, f64)> {
    let mut lines = told.lines().map(str::trim);
    let requests = lines.find_map(|line| line.split_once(" requests in ")?.0.parse().ok())?;
    let per_second =
        lines.find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    Some((requests, per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_wrk_is_read() {
        let told = "Running 1s test @ http://127.0.0.1:8000/\n  1 threads and 64 connections\n\
            \x20 Thread Stats   Avg\n    Latency   1.0ms\n  105012 requests in 1.10s, 9MB read\n\
            Requests/sec:  95465.83\nTransfer/sec:   9.0MB\n";
        assert_eq!(read(told), Some((105_012.0, 95_465.83)));
        assert_eq!(read("unable to connect\n"), None);
    }
}
