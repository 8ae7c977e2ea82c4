//! [`TimedOut`], the error of every wait that may have a deadline.

use std::error::Error;
use std::fmt;
use std::io;

/// The time for a wait, or for a block under a [`Timeout`](crate::Timeout), is over.
///
/// It is also what a wait gives that would have to block while its thread unwinds: destructors
/// may wait, but there is no time left for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

#[cfg(not(feature = "app"))]
impl Error for TimedOut {}

/// A handler that gives it up with `?` is answered as one that has taken too long.
#[cfg(feature = "app")]
impl Error for TimedOut {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        use greenway_app::{HttpError, StatusError};
        use std::sync::LazyLock;
        // Its initialiser does not wait.
        static ANSWER: LazyLock<StatusError> =
            LazyLock::new(|| HttpError::new(504, "it took too long").into());
        Some(&*ANSWER)
    }
}

impl From<TimedOut> for io::Error {
    fn from(error: TimedOut) -> Self {
        Self::new(io::ErrorKind::TimedOut, error)
    }
}

#[cfg(all(test, feature = "app"))]
mod tests {
    use super::*;

    #[test]
    fn a_handler_whose_time_is_over_is_answered_as_that() {
        let error = greenway_app::HttpError::from(TimedOut);
        assert_eq!(error.to_string(), "504 Gateway Timeout: it took too long");
        let of_socket = greenway_app::HttpError::from(io::Error::from(TimedOut));
        assert_eq!(of_socket.status(), 504);
    }
}
