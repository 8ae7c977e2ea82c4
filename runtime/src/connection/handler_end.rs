//! How a handler has ended: the one place that takes its result apart.

use crate::green::embed::{Interrupt, LimitNumber, Unwind};
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
    /// What the result of catching its unwind means.
    pub(super) fn of(result: HandlerResult) -> Self {
        let payload = match result {
            Ok(Ok(())) => return Self::Returned,
            Ok(Err(error)) if error.is_gone() => return Self::ClientGone,
            Ok(Err(error)) => return Self::BodyFailed(error),
            Err(payload) => payload,
        };
        match Unwind::of(&*payload) {
            Some(Unwind::Interrupted(Interrupt::Departed)) => Self::Departed,
            Some(Unwind::Interrupted(_)) => Self::Stopped,
            Some(Unwind::LimitPassed(number)) => Self::TimedOut(number),
            None => match payload.downcast::<HttpError>() {
                Ok(error) => Self::Aborted(error),
                Err(payload) => Self::Panicked(payload),
            },
        }
    }
}
