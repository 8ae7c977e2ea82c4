//! Who knows whom: the arrows between the files of a crate, from its sources.
//!
//! Cargo holds the borders between crates. Within a crate every module can reach every other by a
//! path, so a test has to hold them, and needs to know where a path leads: through `super`, imports
//! under other names, and re-exports. This is no compiler. It does not expand macros or glob
//! imports of other crates, and a method call is no arrow; whoever calls one has named the type, or
//! somebody has for them.

mod circles;
mod graph;
mod source;

pub use circles::{circles, largest_circle};
pub use graph::{Arrow, Graph};
pub use source::Source;
