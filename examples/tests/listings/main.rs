//! The listings: that they do what they say, and that book and README show them as they are.
//!
//! Sockets and browsers are the business of the package `greenway-tests`. Here the listings run
//! in-process where that is enough.

#![forbid(unsafe_code)]

mod answers;
mod book;
mod builder;
mod client;
mod errors;
mod events;
mod files;
mod flags;
mod forms;
mod green;
mod handlers;
mod middleware;
mod templates;
mod testing;

// The listings as modules, those of the tour within it. Their `main`s are left over here.
#[allow(dead_code)]
#[path = "../../readme.rs"]
mod readme;
#[allow(dead_code)]
#[path = "../../tour.rs"]
mod tour;
