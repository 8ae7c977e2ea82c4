//! One flag for the whole process: INT or TERM came. Polled by whatever waits, so that
//! a run ends by unwinding, which is what kills the servers. A second signal ends the
//! process at once.

use std::io;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Takes over INT and TERM.
///
/// # Errors
/// When the kernel refuses the handlers.
pub fn install() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal finds the flag still down.
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&STOP))?;
        flag::register(signal, Arc::clone(&STOP))?;
    }
    Ok(())
}

/// Whether a signal asked the run to end.
#[must_use]
pub fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}
