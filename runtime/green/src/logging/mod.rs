//! What log lines of this crate and of a server have in common: counts in words, and a bound on
//! how many lines there are. It knows nothing of green threads.

mod count;
mod rate_limit;

pub use count::Count;
pub use rate_limit::RateLimit;

/// Says that a thread goes on though it is to end.
#[cold]
pub(crate) fn swallowed_end(who: &dyn std::fmt::Debug) {
    log::warn!(
        "{who:?} was told to end, and goes on: it catches what unwinds its waits, or waits in a \
         destructor until something comes true. Each further wait lets others run first, for ever \
         longer."
    );
}
