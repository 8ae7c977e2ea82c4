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
    /// Server CPU time per answer as `wrk` asks, microseconds.
    WrkCpuPerRequest,
    /// Answers per second as `wrk` counts them.
    WrkPerSecond,
    /// TCP segments with data that the server sent for each chunk.
    Segments,
    /// Server CPU time for each MiB that was uploaded, microseconds.
    CpuPerMib,
    /// MiB per second.
    MibPerSecond,
    /// Most resident bytes of the whole process within an upload.
    Peak,
    /// How far that is above what was resident before.
    PeakGrowth,
    /// Milliseconds to the first answer.
    StartUp,
    /// Bytes of the binary.
    BinarySize,
}

/// Which direction is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Less,
    More,
    Neither,
}

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Micros,
    /// Microseconds, in the unit that suits them.
    Latency,
    Millis,
    Seconds,
    Count,
    Plain,
    Share,
    Status,
    Kilobytes,
    Megabytes,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 35] = [
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
        Self::WrkCpuPerRequest,
        Self::WrkPerSecond,
        Self::Segments,
        Self::CpuPerMib,
        Self::MibPerSecond,
        Self::Peak,
        Self::PeakGrowth,
        Self::StartUp,
        Self::BinarySize,
    ];

    /// Key in JSON, head of a column, direction and unit.
    fn facts(self) -> (&'static str, &'static str, Better, Unit) {
        use Better::{Less, More, Neither};
        use Unit::{
            Count, Kilobytes, Latency, Megabytes, Micros, Millis, Plain, Seconds, Share, Status,
        };
        match self {
            Self::CpuPerRequest => ("cpu_us_per_request", "CPU/request", Less, Micros),
            Self::PerSecond => ("per_second", "answers/s", More, Count),
            Self::P50 => ("p50_us", "p50", Less, Latency),
            Self::P99 => ("p99_us", "p99", Less, Latency),
            Self::P999 => ("p99_9_us", "p99.9", Less, Latency),
            Self::Max => ("max_us", "max", Less, Latency),
            Self::ServerCores => ("server_cores", "server cores", Neither, Plain),
            Self::GeneratorBusy => ("generator_busy", "generator", Neither, Share),
            Self::BytesEach => ("bytes_each", "bytes each", Less, Kilobytes),
            Self::Resident => ("resident_bytes", "resident", Less, Megabytes),
            Self::Starved => ("starved", "starved", Less, Count),
            Self::Unanswered => ("unanswered", "unanswered", Less, Count),
            Self::Errors => ("errors", "errors", Less, Count),
            Self::P50Alone => ("p50_alone_us", "p50 alone", Less, Latency),
            Self::P99Alone => ("p99_alone_us", "p99 alone", Less, Latency),
            Self::Held => ("slow_held", "slow held", Neither, Count),
            Self::Cut => ("slow_cut", "cut", More, Share),
            Self::CutAfter => ("slow_cut_after_s", "after", Less, Seconds),
            Self::CutLast => ("slow_cut_last_s", "last after", Less, Seconds),
            Self::CutStatus => ("slow_cut_status", "told", Neither, Status),
            Self::Freed => ("slow_freed_s", "all freed", Less, Seconds),
            Self::AllAnswered => ("all_answered_ms", "all answered", Less, Millis),
            Self::Lost => ("lost", "lost", Less, Count),
            Self::Unwound => ("unwound_ms", "unwound", Less, Millis),
            Self::Remaining => ("remaining", "left behind", Less, Count),
            Self::Others => ("other_cores", "others", Neither, Plain),
            Self::WrkCpuPerRequest => ("wrk_cpu_us_per_request", "CPU/request, wrk", Less, Micros),
            Self::WrkPerSecond => ("wrk_per_second", "answers/s, wrk", More, Count),
            Self::Segments => ("segments_per_chunk", "segments/chunk", Less, Plain),
            Self::CpuPerMib => ("cpu_us_per_mib", "CPU/MiB", Less, Micros),
            Self::MibPerSecond => ("mib_per_second", "MiB/s", More, Count),
            Self::Peak => ("peak_resident_bytes", "resident at most", Less, Megabytes),
            Self::PeakGrowth => ("peak_growth_bytes", "grown by", Less, Megabytes),
            Self::StartUp => ("start_up_ms", "first answer", Less, Millis),
            Self::BinarySize => ("binary_bytes", "binary", Less, Megabytes),
        }
    }

    /// The key in JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        self.facts().0
    }

    /// The head of a column.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.facts().1
    }

    /// Whether a smaller figure is the better one; `None` where neither is.
    #[must_use]
    pub fn smaller_is_better(self) -> Option<bool> {
        match self.facts().2 {
            Better::Less => Some(true),
            Better::More => Some(false),
            Better::Neither => None,
        }
    }

    /// A figure as people read it, with its unit.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self.facts().3 {
            Unit::Micros => format!("{value:.2} us"),
            Unit::Latency => latency(value),
            Unit::Millis => format!("{value:.1} ms"),
            Unit::Seconds => format!("{value:.1} s"),
            Unit::Count => thousands(value),
            Unit::Plain => format!("{value:.2}"),
            Unit::Share => format!("{:.0} %", value * 100.0),
            Unit::Status if value == 0.0 => "nothing".to_owned(),
            Unit::Status => format!("{value:.0}"),
            Unit::Kilobytes => format!("{:.2} kB", value / 1e3),
            Unit::Megabytes => format!("{:.1} MB", value / 1e6),
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
