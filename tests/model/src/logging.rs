//! Where the sources would write a line, which nobody reads here.

pub fn swallowed_end(_who: &dyn std::fmt::Display) {}
