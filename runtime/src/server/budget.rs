//! How many connections this process can have.
//!
//! Every stackful runtime meets two limits of the kernel, usually in production: descriptors,
//! and memory mappings (each green thread's stack takes two, so the default `vm.max_map_count`
//! of 65,530 ends at about 32,000). The server looks at both when it starts, and prints which of them decides.

use crate::green::embed::{Count, raise_descriptor_limit};
use crate::service::config::Engine;
use std::fmt;
use std::fs;

/// Used where the kernel does not show its limit on mappings.
const DEFAULT_MAPS: u64 = 65_530;

/// What bounds the number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) connections: usize,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Descriptors(u64),
    Maps(u64),
    Asked,
}

impl Budget {
    /// The budget of this process, lowered to what was asked for.
    pub(super) fn of_process(engine: Engine, asked: Option<usize>) -> Self {
        let descriptors = raise_descriptor_limit();
        let maps = fs::read_to_string("/proc/sys/vm/max_map_count")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(DEFAULT_MAPS);
        Self::compute(engine, asked, descriptors, maps)
    }

    fn compute(engine: Engine, asked: Option<usize>, descriptors: u64, maps: u64) -> Self {
        // Handlers open files and sockets, too; a twentieth and 64 are theirs and ours, or half
        // of what is little.
        let kept_back = (64 + descriptors / 20).min(descriptors / 2);
        let by_descriptors = (descriptors - kept_back).max(1);
        // Two mappings for a stack; the allocator and libraries get a tenth (Tarantool's rule).
        let by_maps = (maps / 20 * 9).max(1);
        let (most, why) = if engine != Engine::Threads && by_maps < by_descriptors {
            (by_maps, Why::Maps(maps))
        } else {
            (by_descriptors, Why::Descriptors(descriptors))
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        match asked {
            Some(asked) if asked <= most => Self {
                connections: asked,
                why: Why::Asked,
            },
            _ => Self {
                connections: most,
                why,
            },
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room for {}", Count(self.connections, "connection"))?;
        match self.why {
            Why::Descriptors(limit) => write!(f, " (ulimit -n is {limit})"),
            Why::Maps(limit) => write!(f, " (vm.max_map_count is {limit})"),
            Why::Asked => write!(f, " (--worker-connections)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_decides() {
        let of = |engine, asked, descriptors, maps| {
            Budget::compute(engine, asked, descriptors, maps).to_string()
        };
        assert_eq!(
            of(Engine::Green, None, 20_000, 65_530),
            "room for 18936 connections (ulimit -n is 20000)"
        );
        assert_eq!(
            of(Engine::Green, None, 1_000_000, 65_530),
            "room for 29484 connections (vm.max_map_count is 65530)"
        );
        assert_eq!(
            of(Engine::Threads, None, 1_000_000, 65_530),
            "room for 949936 connections (ulimit -n is 1000000)",
            "a connection of the pool has no stack"
        );
        assert_eq!(
            of(Engine::Green, Some(1000), 20_000, 65_530),
            "room for 1000 connections (--worker-connections)"
        );
        assert_eq!(
            of(Engine::Green, Some(100_000), 1024, 65_530),
            "room for 909 connections (ulimit -n is 1024)",
            "more than there is cannot be had"
        );
        assert_eq!(
            of(Engine::Green, None, 64, 65_530),
            "room for 32 connections (ulimit -n is 64)"
        );
    }
}
