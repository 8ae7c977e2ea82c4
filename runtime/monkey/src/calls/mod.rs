//! The hooks that are no locks, room by room.

mod connecting;
mod elsewhere;
mod file_locks;
mod fortified;
mod hosts;
mod messages;
mod names;
mod opening;
mod processes;
mod reading;
mod resolver;
mod several;
mod signals;
mod splicing;
mod time;
mod writing;

use elsewhere::files_read;
pub(crate) use time::{clock_nanosleep, deadline_after, deadline_of, instant_of, sched_yield};
