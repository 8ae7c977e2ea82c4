//! How many connections this process can have.
//!
//! Every stackful runtime meets three limits of the kernel, usually in production: descriptors;
//! memory mappings (each green thread's stack takes two, so the default `vm.max_map_count` of
//! 65,530 ends at about 32,000); and address space, where somebody has limited that. The server
//! looks at all of them when it starts, and prints which one decides.

use crate::green::embed::{Count, raise_descriptor_limit};
use crate::service::config::{Config, Engine};
use rustix::process::{Resource, getrlimit};
use std::fmt;
use std::fs;

/// Used where the kernel does not show its limit on mappings.
const DEFAULT_MAPS: u64 = 65_530;

/// The page below a stack that catches its overflow.
const GUARD: usize = 4096;

/// What the kernel allows the process. Sizes in bytes.
#[derive(Debug, Clone, Copy)]
struct Limits {
    descriptors: u64,
    maps: u64,
    /// `None` where it is not limited.
    address_space: Option<u64>,
    /// Address space that is taken already.
    used: u64,
    /// What a green thread's stack takes.
    stack: u64,
}

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
    AddressSpace(u64),
    Asked,
}

impl Budget {
    /// The budget of this process, lowered to what was asked for.
    pub(super) fn of_process(config: &Config) -> Self {
        let maps = fs::read_to_string("/proc/sys/vm/max_map_count")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(DEFAULT_MAPS);
        let limits = Limits {
            descriptors: raise_descriptor_limit(),
            maps,
            address_space: getrlimit(Resource::As).current,
            used: address_space_in_use(),
            stack: stack_of(config),
        };
        Self::compute(config.engine, config.connections, limits)
    }

    fn compute(engine: Engine, asked: Option<usize>, limits: Limits) -> Self {
        let Limits {
            descriptors, maps, ..
        } = limits;
        // Handlers open files and sockets, too; a twentieth and 64 are theirs and ours, or half
        // of what is little.
        let kept_back = (64 + descriptors / 20).min(descriptors / 2);
        let mut most = (descriptors - kept_back).max(1);
        let mut why = Why::Descriptors(descriptors);
        if engine != Engine::Threads {
            // Two mappings for a stack; the allocator and libraries get a tenth (Tarantool's rule).
            let by_maps = (maps / 20 * 9).max(1);
            // A quarter of what is left is for stacks: the allocator reserves 64 MiB for each OS
            // thread that uses it.
            let by_space = limits.address_space.map(|limit| {
                let left = limit.saturating_sub(limits.used) / 4;
                ((left / limits.stack).max(1), Why::AddressSpace(limit))
            });
            let others = [Some((by_maps, Why::Maps(maps))), by_space];
            for (count, because) in others.into_iter().flatten() {
                if count < most {
                    (most, why) = (count, because);
                }
            }
        }
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

/// What a green thread's stack takes, in bytes.
pub(super) fn stack_of(config: &Config) -> u64 {
    (config.green.stack_size + GUARD) as u64
}

/// The address space that the process may still have, in bytes; `None` where it is not limited.
pub(super) fn address_space_left() -> Option<u64> {
    let limit = getrlimit(Resource::As).current?;
    Some(limit.saturating_sub(address_space_in_use()))
}

/// The address space that the process has, in bytes; 0 where the kernel does not tell.
fn address_space_in_use() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {}", Count(self.connections, "connection"))?;
        match self.why {
            Why::Descriptors(limit) => write!(f, " (ulimit -n is {limit})"),
            Why::Maps(limit) => write!(f, " (vm.max_map_count is {limit})"),
            Why::AddressSpace(limit) => write!(f, " (ulimit -v is {})", limit / 1024),
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
            let limits = Limits {
                descriptors,
                maps,
                address_space: None,
                used: 0,
                stack: 1 << 20,
            };
            Budget::compute(engine, asked, limits).to_string()
        };
        assert_eq!(
            of(Engine::Green, None, 20_000, 65_530),
            "at most 18936 connections (ulimit -n is 20000)"
        );
        assert_eq!(
            of(Engine::Green, None, 1_000_000, 65_530),
            "at most 29484 connections (vm.max_map_count is 65530)"
        );
        assert_eq!(
            of(Engine::Threads, None, 1_000_000, 65_530),
            "at most 949936 connections (ulimit -n is 1000000)",
            "a connection of the pool has no stack"
        );
        assert_eq!(
            of(Engine::Green, Some(1000), 20_000, 65_530),
            "at most 1000 connections (--worker-connections)"
        );
        assert_eq!(
            of(Engine::Green, Some(100_000), 1024, 65_530),
            "at most 909 connections (ulimit -n is 1024)",
            "more than there is cannot be had"
        );
        assert_eq!(
            of(Engine::Green, None, 64, 65_530),
            "at most 32 connections (ulimit -n is 64)"
        );
        let limits = Limits {
            descriptors: 20_000,
            maps: 65_530,
            address_space: Some(500 << 20),
            used: 100 << 20,
            stack: (1 << 20) + 4096,
        };
        assert_eq!(
            Budget::compute(Engine::Green, None, limits).to_string(),
            "at most 99 connections (ulimit -v is 512000)"
        );
    }
}
