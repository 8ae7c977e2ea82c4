//! Room for many sockets.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises this process's limit on descriptors as far as it may, and gives it.
///
/// # Panics
/// When the kernel refuses, which it has no reason to.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be as high as the hard one");
    limit.current.unwrap_or(u64::MAX)
}
