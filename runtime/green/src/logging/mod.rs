//! What log lines of this crate and of a server have in common: counts in words, and a bound on
//! how many lines there are. It knows nothing of green threads.

mod count;
mod frames;
mod rate_limit;

pub use count::Count;
pub use frames::{Frames, is_of_application};
pub use rate_limit::RateLimit;

/// Says that a thread goes on though it is to end.
#[cold]
pub(crate) fn swallowed_end(who: &dyn std::fmt::Display) {
    log::warn!(
        "{who} was told to end, and goes on: it catches what unwinds its waits, waits in a \
         destructor until something comes true, or is in a call that tries again what has ended \
         with an error (a channel of std's or a C library under `monkey`, say). Each further wait \
         lets others run first, for ever longer."
    );
}
