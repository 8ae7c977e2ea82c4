//! How a handler has ended: the one place that takes its result apart.

use crate::green::embed::{Interrupt, LimitNumber, Unwind, current};
use greenway_app::{BodyError, HttpError};
use std::any::Any;

/// What catching the unwind of a handler gives.
pub(super) type HandlerResult = std::thread::Result<Result<(), BodyError>>;

/// How the application's part of a request has ended.
pub(super) enum HandlerEnd {
    /// It gave a response, and all of that was sent.
    Returned,
    /// The client was gone when something was sent to it.
    ClientGone,
    /// The response's body failed, or what it was made of.
    BodyFailed(BodyError),
    /// It was interrupted because the client has left.
    Departed,
    /// It was interrupted because the server stops, or somebody has killed it.
    Stopped,
    /// Its time was over: `--timeout`, if the number is that of its clock.
    TimedOut(LimitNumber),
    /// It gave up by `abort`.
    Aborted(Box<HttpError>),
    Panicked(Box<dyn Any + Send>),
}

impl HandlerEnd {
    /// What has ended a handler that says that it has failed. A call that was ended below it may have
    /// told it so by an error: then the failure is that of nobody.
    pub(super) fn or_cause(self) -> Self {
        let failed = match &self {
            Self::BodyFailed(_) => true,
            Self::Aborted(error) => error.status().is_server_error(),
            _ => false,
        };
        match current().swallowed_end() {
            Some(end) if failed => Self::of_unwind(end),
            _ => self,
        }
    }

    fn of_unwind(unwind: Unwind) -> Self {
        match unwind {
            Unwind::Interrupted(Interrupt::Departed) => Self::Departed,
            Unwind::Interrupted(_) => Self::Stopped,
            Unwind::LimitPassed(number) => Self::TimedOut(number),
        }
    }

    /// What the result of catching its unwind means.
    pub(super) fn of(result: HandlerResult) -> Self {
        let payload = match result {
            Ok(Ok(())) => return Self::Returned,
            Ok(Err(error)) if error.is_gone() => return Self::ClientGone,
            Ok(Err(error)) => return Self::BodyFailed(error),
            Err(payload) => payload,
        };
        match Unwind::of(&*payload) {
            Some(unwind) => Self::of_unwind(unwind),
            None => match payload.downcast::<HttpError>() {
                Ok(error) => Self::Aborted(error),
                Err(payload) => Self::Panicked(payload),
            },
        }
    }
}
