//! From yielding a chunk to its arrival, and how many segments the chunks took.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Cell;
use crate::load::ticks::{self, TickJob};
use crate::probe;
use crate::results::{Metric, Sample};
use crate::scenario::TICK_MS;
use crate::stop::stopped;

pub(super) fn run(cell: &Cell<'_>) -> Result<Sample, String> {
    let ticks = |time: Duration| time.as_millis() as u64 / TICK_MS + 1;
    let warmup = ticks(cell.pace.warmup);
    let chunks = warmup + ticks(cell.pace.window);
    let streams = cell.scenario.connections();
    let job = TickJob {
        target: cell.server.address,
        request: probe::request(&format!("/ticks?n={chunks}&ms={TICK_MS}"), &[]),
        streams,
        chunks,
        warmup,
        // A server that sleeps a millisecond too long each time is slow, not broken.
        limit: Duration::from_millis(chunks * TICK_MS * 4) + Duration::from_secs(2),
        core: cell.cores.generator.last().copied(),
    };
    let mut sent = None;
    let port = cell.server.address.port();
    let ticks = ticks::run(&job, stopped, &mut || sent = segments(port))
        .map_err(|error| error.to_string())?;
    let at = |quantile| ticks.latency.value_at_quantile(quantile) as f64 / 1e3;
    let all = (chunks * streams as u64) as f64;
    let mut sample = BTreeMap::from([
        (Metric::P50, at(0.5)),
        (Metric::P99, at(0.99)),
        (Metric::Max, ticks.latency.max() as f64 / 1e3),
        (Metric::PerSecond, all / ticks.took.as_secs_f64()),
    ]);
    if let Some(sent) = sent {
        sample.insert(Metric::Segments, sent as f64 / all);
    }
    Ok(sample)
}

/// Segments with data that the kernel has sent on the connections that are open on a port:
/// `ss` of iproute2 asks for them. Nothing where it is not installed.
fn segments(port: u16) -> Option<u64> {
    let output = Command::new("ss")
        .args(["-tinHO", "state", "established", "sport"])
        .arg(format!("= :{port}"))
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| data_segments(&told))?
}

/// The sum of `data_segs_out` in what `ss -ti` prints; a connection that has sent nothing
/// has none.
fn data_segments(told: &str) -> Option<u64> {
    let fields = told.split_whitespace();
    let sent = fields.filter_map(|field| field.strip_prefix("data_segs_out:")?.parse::<u64>().ok());
    let sent = sent.sum();
    (sent > 0).then_some(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_summed_over_the_connections() {
        let told = "0 0 127.0.0.1:80 127.0.0.1:99 cubic data_segs_out:12 data_segs_in:1 send 1\n\
                    0 0 127.0.0.1:80 127.0.0.1:98 cubic segs_out:7 data_segs_out:30 rwnd\n";
        assert_eq!(data_segments(told), Some(42));
        assert_eq!(data_segments("0 0 127.0.0.1:80 cubic\n"), None);
    }
}
