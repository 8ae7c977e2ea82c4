//! Several processes that serve from the same sockets, and the master that starts them.
//!
//! The master is whoever calls [`serve`](crate::serve) with `--workers 2`: the program has been
//! set up by then, and its application is dropped. It opens the sockets and starts the program again
//! for each process that serves; these find the sockets among what they have inherited
//! ([`inheritance`]), build their applications and serve from them. The master itself has no
//! connections and no green threads. So there is little that could end it, and what ends one
//! process costs the others nothing.
//!
//! A process is replaced by the program that is on disk by then: the new one is started, and when it
//! serves, the old one is told to go. The sockets are open all the time, so no client is refused,
//! and the kernel's queue of clients belongs to all of them, so none is lost in it.
//!
//! What must stay true:
//! - No process that serves outlives its master unnoticed: each holds one end of a socket pair, and
//!   stops when the other end is closed, which the kernel does for whoever is killed.
//! - The master waits for nothing but its `poll`, and nothing that fails ends it: it goes on with
//!   what there is.
//! - What fails again and again is tried less and less often, up to a limit that is logged.

mod frames;
mod identity;
mod inheritance;
mod master;
mod pid_file;
mod program;
mod serving;
mod sums;
mod watch;

pub(crate) use frames::{Order, Report};
pub(crate) use identity::Identity;
pub(crate) use inheritance::{Inherited, Role, VARIABLE, inherited};
pub(crate) use master::{Start, run};
pub(crate) use pid_file::PidFile;
pub(crate) use serving::{FromMaster, ToMaster};
