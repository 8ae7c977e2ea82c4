//! What a server needs of the scheduler beyond the toolbox.
//!
//! An application has no use for it. What is here keeps the promises of the crate: no safe caller
//! can break memory with it.
//!
//! | For | there is |
//! |---|---|
//! | waiting for something of one's own | [`wait_for`], [`Awaited`], [`Io`], [`Interest`], [`deadline_in`], [`checkpoint`], [`take_turn`] |
//! | waiting below C, where nothing may unwind | [`wait_quietly`], [`quietly`], [`Ended`], [`can_wait`], [`yield_quietly`], [`turn_is_over`], [`lock`], [`Locked`], [`holds_lock`], [`NoWaitCell`] |
//! | threads | [`Thread`], [`current`], [`with_current`], [`Current`], [`Interrupt`], [`Unwind`], [`Note`] |
//! | what holds for a thread for a while | [`LimitGuard`], [`Standstill`], [`BeforeBlock`], [`end_of_work`] |
//! | workers | [`Worker`], [`workers`], [`current_worker`], [`least_loaded`], [`spawn_on`], [`at_worker_start`], [`is_running`], [`Held`] |
//! | sockets of a worker | [`Stream`], [`Handle`], [`Listener`], [`Accepted`], [`accept_now`], [`IdlePoller`] |
//! | names | [`name_threads`] |
//! | files | [`read_file`], [`prepare_file`] |
//! | peers | [`PeerEpoll`], [`PeerNews`], [`peer_news`], [`unsent`], [`send_file`], [`send_with_more`] |
//! | what task dumps say of a request | [`TaskContext`], [`RequestInfo`], [`describe_waits`] |
//! | stacks | [`Measure`], [`trim`] |
//! | panics | [`discard`], [`panic_message`], [`is_starting`] |
//! | the process, and its logs | [`raise_descriptor_limit`], [`share_one_heap`], [`take_over`], [`pass_on`], [`unblock_signals`], [`Count`], [`RateLimit`], [`Frames`], [`is_of_application`] |

pub use crate::logging::{Count, Frames, RateLimit, is_of_application};
pub use crate::monitor::Held;
pub use crate::net::dns::name_threads;
pub use crate::net::handle::Handle;
pub use crate::net::idle_poller::IdlePoller;
pub use crate::net::{Accepted, Listener, Stream, accept_now};
pub use crate::observe::task_dump::describe_waits;
pub use crate::os::fs::cached::{prepare as prepare_file, read_from as read_file};
pub use crate::runtime::{at_worker_start, is_running, least_loaded, workers};
pub use crate::scheduler::coroutines::is_starting;
pub use crate::scheduler::discard::discard;
pub use crate::scheduler::giving_way::{take_turn, turn_is_over, yield_quietly};
pub use crate::scheduler::lock::{Locked, holds_lock, lock};
pub use crate::scheduler::no_wait::{NoWaitBorrow, NoWaitCell};
pub use crate::scheduler::stack::{Measure, trim};
pub use crate::scheduler::task_context::{RequestInfo, TaskContext};
pub use crate::scheduler::thread::{
    Awaited, BeforeBlock, Current, Ended, Interrupt, Io, LimitGuard, LimitNumber, Note, Standstill,
    Thread, Unwind, Watched, can_wait, checkpoint, current, deadline_in, quietly, wait_for,
    wait_quietly, with_current,
};
pub use crate::scheduler::timed_out::TimedOut;
pub use crate::scheduler::worker::{Worker, current as current_worker};
pub use crate::sys::{
    Interest, PeerEpoll, PeerNews, pass_on, peer_news, raise_descriptor_limit, send_file,
    send_with_more, share_one_heap, take_over, unblock_signals, unsent,
};
pub use crate::task::local::end_of_work;
pub use crate::task::spawn::{panic_message, spawn_on};
