//! Green threads: their stacks, and who holds up a worker.

use super::setting::Setting;

/// More address space than this for each stack is a slip, and cannot be had.
const LARGEST_STACK: usize = 1 << 30;

pub(super) static STACKS: &[Setting] = &[
    Setting::new(
        "stack-size",
        "BYTES",
        |all| &mut all.server.green.stack_size,
        "Bytes of address space for a green thread's stack; at least 65536.",
    )
    .most(LARGEST_STACK)
    .default("262144 (1048576 in debug builds)"),
    Setting::new(
        "stack-marks",
        "",
        |all| &mut all.server.green.stack_marks,
        "Find out how much of its stack each route uses, and show it with USR2 and at /threads.",
    )
    .default("off (on in debug builds)"),
    Setting::new(
        "max-blocking-time",
        "SECONDS",
        |all| &mut all.server.green.max_blocking_time,
        "Seconds that a handler may run without a wait, holding up its worker, before it is \
         reported in the log with its stack; 0 for never.",
    )
    .default("1 (0.1 in debug builds)"),
];
