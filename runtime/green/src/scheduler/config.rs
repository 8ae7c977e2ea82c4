//! [`Config`]: how the green threads are run, and what is in effect.

use std::sync::OnceLock;
use std::time::Duration;

/// How the green threads are run. Fixed once the first of them has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// OS threads that run green threads. Default: one for each core.
    pub workers: usize,
    /// Bytes of address space for each green thread's stack, rounded up to whole pages. Only
    /// pages that are touched use memory. At least 64 KiB, which is what is given for less: a handler
    /// that does nothing needs about half of that in a debug build. Default: 256 KiB in release,
    /// 1 MiB in debug builds.
    pub stack_size: usize,
    /// How long a green thread may run without a wait before it is reported as holding up its
    /// worker (see [`on_blocked`](crate::on_blocked)); 0: nobody is watched. Default: 1 s in
    /// release, 100 ms in debug builds.
    pub max_blocking_time: Duration,
    /// Whether to find out how much of its stack each green thread and each request has used (see
    /// [`run_info`](crate::run_info)): two or three system calls for each of them. Default: only
    /// in debug builds.
    pub stack_marks: bool,
}

/// Cores that this process may use. Asked once: the answer is read from half a dozen files.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: cores(),
            stack_size: if cfg!(debug_assertions) {
                1024 * 1024
            } else {
                256 * 1024
            },
            max_blocking_time: Duration::from_millis(if cfg!(debug_assertions) {
                100
            } else {
                1000
            }),
            stack_marks: cfg!(debug_assertions),
        }
    }
}

impl Config {
    /// With values that can be had: at least one worker, and whole pages of stack.
    pub(crate) fn possible(self) -> Self {
        const PAGE: usize = 4096;
        Self {
            workers: self.workers.max(1),
            stack_size: self.stack_size.max(16 * PAGE).next_multiple_of(PAGE),
            ..self
        }
    }
}

static IN_EFFECT: OnceLock<Config> = OnceLock::new();

/// Called once, before the first worker is made.
pub(crate) fn take_effect(config: Config) {
    let _first_time = IN_EFFECT.set(config);
}

/// What is in effect; `None` before the workers are started.
pub(crate) fn in_effect() -> Option<Config> {
    IN_EFFECT.get().copied()
}
