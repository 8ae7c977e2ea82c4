//! One client whose handler computes all the time, beside whatever else is measured.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Cell;
use crate::probe;
use crate::results::Sample;
use crate::scenario::HOG_MS;
use crate::stop::stopped;

/// How long a hog waits for an answer: far longer than it computes, whoever else is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `measure` while a hog is at work.
///
/// # Errors
/// Those of `measure`; or that the hog was never answered, so that there was none.
pub(super) fn beside(
    cell: &Cell<'_>,
    measure: impl FnOnce() -> Result<Sample, String>,
) -> Result<Sample, String> {
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = cell.server.address;
    let target = format!("/compute?ms={HOG_MS}");
    let measured = std::thread::scope(|scope| {
        // Its own thread only waits: it takes nothing from the generator's cores.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) && !stopped() {
                match probe::get(address, &target, PATIENCE) {
                    Ok(answer) if answer.status == 200 => {
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    // Not to be answered is told below; not to spin meanwhile is all.
                    _ => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        let measured = measure();
        over.store(true, Ordering::Relaxed);
        measured
    });
    if measured.is_ok() && served.load(Ordering::Relaxed) == 0 {
        return Err("the hog was never answered".to_owned());
    }
    measured
}
