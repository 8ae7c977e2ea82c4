//! [`NoConnection`], why a pool has none to lend.

use std::error::Error;
use std::fmt;

/// Why a [`ConnectionPool`](crate::ConnectionPool) has no connection to lend.
///
/// In a handler, `?` makes an answer of it: 503 with `Retry-After` when all connections are in use or
/// the pool is closed, and 500 when none could be made. The client learns nothing else.
#[derive(Debug)]
#[non_exhaustive]
pub enum NoConnection {
    /// All are in use, and none has come back in time.
    TimedOut,
    /// The pool is closed.
    Closed,
    /// None could be made, for this reason.
    Failed(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "no connection has become free in time",
            Self::Closed => "the pool of connections is closed",
            Self::Failed(_) => "no connection could be made",
        })
    }
}

impl Error for NoConnection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(&**error),
            #[cfg(feature = "app")]
            Self::TimedOut | Self::Closed => Some(answer::busy()),
            #[cfg(not(feature = "app"))]
            Self::TimedOut | Self::Closed => None,
        }
    }
}

#[cfg(feature = "app")]
mod answer {
    use greenway_app::{HttpError, StatusError};
    use std::sync::LazyLock;

    /// What a client is told that comes too many.
    pub(super) fn busy() -> &'static StatusError {
        // Its initialiser does not wait.
        static BUSY: LazyLock<StatusError> = LazyLock::new(|| {
            HttpError::new(503, "too many requests at once")
                .with_header("retry-after", "1")
                .into()
        });
        &BUSY
    }
}
