//! The engine `threads`: handlers run on a fixed pool of OS threads, as in gunicorn's `gthread`.
//!
//! A thread is held by a *request*, never by a connection. All that waits for a client without a
//! handler (heads, short bodies, the end of a response, idle time) waits on the workers with the
//! same code as under the engine `green`; a request that is ready is handed to the pool, and its
//! connection's green thread waits for it to come back. With that, what is left is the honest
//! limit of a pool: as many handlers at once as it has threads.
//!
//! # Implementation
//!
//! A [`Job`] takes the whole connection to the pool, over a channel of the crate
//! `crossbeam-channel`: a green thread hands over, OS threads wait. The channel holds connections
//! only, so the cap on connections bounds it. What a thread of the pool cannot send without
//! waiting for the client it leaves to the worker, up to a bound; a longer rest it waits for, as
//! the handler's clock does.

mod early;
mod pool;

pub(super) use pool::Pool;
