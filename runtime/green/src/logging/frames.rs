//! Which frames of a stack tell a reader of the log something.

use std::sync::OnceLock;

/// How much of a stack is shown in the log; `RUST_BACKTRACE` decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// `0`.
    Nothing,
    /// Not set, or anything else: the application's functions.
    Application,
    /// `full`: all functions, also the runtime's and std's.
    Everything,
}

impl Frames {
    /// What `RUST_BACKTRACE` says.
    pub fn wanted() -> Self {
        static WANTED: OnceLock<Frames> = OnceLock::new();
        *WANTED.get_or_init(|| match std::env::var("RUST_BACKTRACE").as_deref() {
            Ok("0") => Self::Nothing,
            Ok("full") => Self::Everything,
            _ => Self::Application,
        })
    }
}

/// Crates whose functions say nothing of the application's mistake.
const RUNTIME: [&str; 14] = [
    "__rustc",
    "alloc",
    "backtrace",
    "core",
    "crossbeam_channel",
    "generator",
    "greenway",
    "greenway_app",
    "greenway_green",
    "greenway_monkey",
    "greenway_proto",
    "may",
    "may_minihttp",
    "std",
];

/// Whether a function is neither the runtime's nor std's, by its name:
/// `app::f`, `<app::T as core::fmt::Display>::fmt`; not `<F as core::ops::Fn>::call`, nor what is
/// of no crate, as `main` and `start_thread`.
pub fn is_of_application(symbol: &str) -> bool {
    let mut name = symbol.trim_start_matches(['<', '&', '*', '(', '[']);
    while let Some(rest) = ["dyn ", "mut ", "const ", "impl "]
        .into_iter()
        .find_map(|word| name.strip_prefix(word))
    {
        name = rest;
    }
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    let (first, rest) = name.split_at(end.unwrap_or(name.len()));
    if rest.starts_with("::") || rest.starts_with('[') {
        return !RUNTIME.contains(&first);
    }
    // A type parameter, whose trait says more.
    match rest.split_once(" as ") {
        Some(("", of_trait)) => is_of_application(of_trait),
        _ => false,
    }
}
