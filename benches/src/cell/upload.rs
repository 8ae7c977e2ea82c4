//! A large upload: what each MiB costs the server, and how much memory it takes at most.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Cell;
use crate::load::upload::{self, UploadJob, Uploaded};
use crate::probe;
use crate::results::{Metric, Sample};
use crate::scenario::Store;
use crate::stop::stopped;

/// Far longer than a gibibyte takes anybody here.
const LIMIT: Duration = Duration::from_secs(60);
/// Uploaded first, so that lazily made buffers and code that was never run do not count.
const FIRST: usize = 1 << 20;

pub(super) fn run(cell: &Cell<'_>, store: Store, length: usize) -> Result<Sample, String> {
    let pids = cell.server.pids();
    let gone = |error: std::io::Error| format!("the server is gone: {error}");
    send(cell, store, FIRST)?;
    probe::settle(pids, super::SETTLE_LIMIT).map_err(gone)?;
    let resident = probe::resident(pids).map_err(gone)?;
    probe::forget_peak(pids).map_err(gone)?;
    let machine = probe::machine_cpu_time().ok();
    let before = probe::cpu_time(pids).map_err(gone)?;
    let uploaded = send(cell, store, length)?;
    let cpu = probe::cpu_time(pids).map_err(gone)?.saturating_sub(before);
    let peak = probe::peak(pids).map_err(gone)?;
    let mib = length as f64 / f64::from(1 << 20);
    let took = uploaded.took.as_secs_f64();
    let mut sample = BTreeMap::from([
        (Metric::Peak, peak as f64),
        (Metric::PeakGrowth, peak.saturating_sub(resident) as f64),
        (Metric::MibPerSecond, mib / took),
        (Metric::GeneratorBusy, uploaded.cpu.as_secs_f64() / took),
    ]);
    // A few ticks of the kernel's clock say nothing about a MiB.
    if cpu >= super::LEAST_CPU {
        sample.insert(Metric::CpuPerMib, cpu.as_secs_f64() * 1e6 / mib);
    }
    if let (Some(machine), Ok(now)) = (machine, probe::machine_cpu_time()) {
        let others = (now - machine)
            .saturating_sub(cpu)
            .saturating_sub(uploaded.cpu);
        sample.insert(Metric::Others, others.as_secs_f64() / took);
    }
    Ok(sample)
}

/// Uploads so many bytes, all of which must arrive.
fn send(cell: &Cell<'_>, store: Store, length: usize) -> Result<Uploaded, String> {
    let job = UploadJob {
        target: cell.server.address,
        path: match store {
            Store::Counter => "/upload/count",
            Store::Disk => "/upload/disk",
        },
        length,
        core: cell.cores.generator.first().copied(),
        limit: LIMIT,
    };
    let uploaded = upload::run(&job, stopped).map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&uploaded.answer.body);
    if uploaded.answer.status != 200 || told != length.to_string() {
        return Err(format!(
            "an upload of {length} bytes was answered {} with {told:?}",
            uploaded.answer.status
        ));
    }
    Ok(uploaded)
}
