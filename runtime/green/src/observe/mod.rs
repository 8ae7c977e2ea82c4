//! Seeing what goes on: the list of all green threads, and its summary as a text.
//!
//! It only reads, and whatever it shows was noted by the threads themselves. Nothing in the crate
//! stands on it.

mod run_info;
pub(crate) mod task_dump;

pub use run_info::{RunInfo, WorkerInfo, run_info};
pub use task_dump::{TaskInfo, TaskState, green_threads};
