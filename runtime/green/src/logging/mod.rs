//! What log lines of this crate and of a server have in common: counts in words, and a bound on
//! how many lines there are. It knows nothing of green threads.

mod count;
mod rate_limit;

pub use count::Count;
pub use rate_limit::RateLimit;
