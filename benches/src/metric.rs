//! The kinds of figures: their names in JSON and in tables, their units, and which
//! direction is the better one.

/// A kind of figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Server CPU time per answer, microseconds.
    CpuPerRequest,
    /// Answers per second.
    PerSecond,
    /// Median latency, microseconds.
    P50,
    /// 99th percentile, microseconds.
    P99,
    /// 99.9th percentile, microseconds.
    P999,
    /// Longest latency, microseconds.
    Max,
    /// Cores that the server kept busy.
    ServerCores,
    /// CPU seconds per second of the busiest generator thread.
    GeneratorBusy,
    /// Resident bytes per held connection.
    BytesEach,
    /// Resident bytes of the whole process.
    Resident,
    /// Connections that waited through the whole window.
    Starved,
    /// Requests due in the window and never answered.
    Unanswered,
    /// Connections that broke.
    Errors,
    /// Median latency of a client that is alone, microseconds.
    P50Alone,
    /// 99th percentile of a client that is alone, microseconds.
    P99Alone,
    /// Slow clients that were there when the window of the other client closed.
    Held,
    /// Share of the slow clients that the server cut.
    Cut,
    /// Median age of a slow client when it was cut, seconds.
    CutAfter,
    /// Age of the slow client that was cut last, seconds.
    CutLast,
    /// Status that most of those who were cut were told; 0 for none.
    CutStatus,
    /// Seconds until the server had closed its end of every slow connection.
    Freed,
    /// From a publish to the last client's answer, milliseconds.
    AllAnswered,
    /// Clients that a publish did not reach.
    Lost,
    /// From the departure of all clients until no handler waits, milliseconds.
    Unwound,
    /// Handlers of departed clients that still waited at the end.
    Remaining,
    /// Cores kept busy by programs that have no part in this, or by the hypervisor.
    Others,
    /// Milliseconds to the first answer.
    StartUp,
    /// Bytes of the binary.
    BinarySize,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::CpuPerRequest,
        Self::PerSecond,
        Self::P50,
        Self::P99,
        Self::P999,
        Self::Max,
        Self::ServerCores,
        Self::GeneratorBusy,
        Self::BytesEach,
        Self::Resident,
        Self::Starved,
        Self::Unanswered,
        Self::Errors,
        Self::P50Alone,
        Self::P99Alone,
        Self::Held,
        Self::Cut,
        Self::CutAfter,
        Self::CutLast,
        Self::CutStatus,
        Self::Freed,
        Self::AllAnswered,
        Self::Lost,
        Self::Unwound,
        Self::Remaining,
        Self::Others,
        Self::StartUp,
        Self::BinarySize,
    ];

    /// The key in JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::CpuPerRequest => "cpu_us_per_request",
            Self::PerSecond => "per_second",
            Self::P50 => "p50_us",
            Self::P99 => "p99_us",
            Self::P999 => "p99_9_us",
            Self::Max => "max_us",
            Self::ServerCores => "server_cores",
            Self::GeneratorBusy => "generator_busy",
            Self::BytesEach => "bytes_each",
            Self::Resident => "resident_bytes",
            Self::Starved => "starved",
            Self::Unanswered => "unanswered",
            Self::Errors => "errors",
            Self::P50Alone => "p50_alone_us",
            Self::P99Alone => "p99_alone_us",
            Self::Held => "slow_held",
            Self::Cut => "slow_cut",
            Self::CutAfter => "slow_cut_after_s",
            Self::CutLast => "slow_cut_last_s",
            Self::CutStatus => "slow_cut_status",
            Self::Freed => "slow_freed_s",
            Self::AllAnswered => "all_answered_ms",
            Self::Lost => "lost",
            Self::Unwound => "unwound_ms",
            Self::Remaining => "remaining",
            Self::Others => "other_cores",
            Self::StartUp => "start_up_ms",
            Self::BinarySize => "binary_bytes",
        }
    }

    /// The head of a column.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::CpuPerRequest => "CPU/request",
            Self::PerSecond => "answers/s",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
            Self::ServerCores => "server cores",
            Self::GeneratorBusy => "generator",
            Self::BytesEach => "bytes each",
            Self::Resident => "resident",
            Self::Starved => "starved",
            Self::Unanswered => "unanswered",
            Self::Errors => "errors",
            Self::P50Alone => "p50 alone",
            Self::P99Alone => "p99 alone",
            Self::Held => "slow held",
            Self::Cut => "cut",
            Self::CutAfter => "after",
            Self::CutLast => "last after",
            Self::CutStatus => "told",
            Self::Freed => "all freed",
            Self::AllAnswered => "all answered",
            Self::Lost => "lost",
            Self::Unwound => "unwound",
            Self::Remaining => "left behind",
            Self::Others => "others",
            Self::StartUp => "first answer",
            Self::BinarySize => "binary",
        }
    }

    /// Whether a smaller figure is the better one; `None` where neither is.
    #[must_use]
    pub fn smaller_is_better(self) -> Option<bool> {
        match self {
            Self::PerSecond | Self::Cut => Some(false),
            Self::ServerCores
            | Self::GeneratorBusy
            | Self::Others
            | Self::Held
            | Self::CutStatus => None,
            _ => Some(true),
        }
    }

    /// A figure as people read it, with its unit.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::CpuPerRequest => format!("{value:.2} us"),
            Self::PerSecond => thousands(value),
            Self::P50 | Self::P99 | Self::P999 | Self::Max | Self::P50Alone | Self::P99Alone => {
                latency(value)
            }
            Self::CutAfter | Self::CutLast | Self::Freed => format!("{value:.1} s"),
            Self::CutStatus if value == 0.0 => "nothing".to_owned(),
            Self::CutStatus => format!("{value:.0}"),
            Self::Cut => format!("{:.0} %", value * 100.0),
            Self::ServerCores | Self::Others => format!("{value:.2}"),
            Self::GeneratorBusy => format!("{:.0} %", value * 100.0),
            Self::BytesEach => format!("{:.2} kB", value / 1e3),
            Self::Resident | Self::BinarySize => format!("{:.1} MB", value / 1e6),
            Self::Starved
            | Self::Unanswered
            | Self::Errors
            | Self::Held
            | Self::Lost
            | Self::Remaining => thousands(value),
            Self::StartUp | Self::AllAnswered | Self::Unwound => format!("{value:.1} ms"),
        }
    }
}

/// A whole number with commas.
fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Microseconds in the unit that suits them.
fn latency(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.2} s", value / 1e6)
    } else if value >= 1e3 {
        format!("{:.2} ms", value / 1e3)
    } else {
        format!("{value:.0} us")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_units() {
        assert_eq!(Metric::PerSecond.show(1_234_567.2), "1,234,567");
        assert_eq!(Metric::PerSecond.show(999.0), "999");
        assert_eq!(Metric::P99.show(1_500.0), "1.50 ms");
        assert_eq!(Metric::P99.show(250.4), "250 us");
        assert_eq!(Metric::BytesEach.show(8_500.0), "8.50 kB");
    }

    #[test]
    fn keys_are_unique() {
        let keys: std::collections::BTreeSet<_> = Metric::ALL.iter().map(|m| m.key()).collect();
        assert_eq!(keys.len(), Metric::ALL.len());
    }
}
