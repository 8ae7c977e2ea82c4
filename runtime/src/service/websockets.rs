//! All WebSockets of a server: how many there may be, their numbers, and their end at its stop.

use super::{Config, Engine, Metrics};
use crate::green::embed::{Locked, lock};
use crate::green::{Builder, Greenlet, sleep};
use greenway_proto::websocket::CloseCode;
use greenway_proto::websocket::CloseFrame;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// WebSockets that a stop closes together; in more batches than [`BATCHES`] it closes more.
const BATCH: usize = 100;
const BATCHES: u32 = 20;

pub(crate) struct WebSockets {
    metrics: Arc<Metrics>,
    /// How many may be open; each holds a thread of the pool.
    limit: Option<usize>,
    /// A [`CloseCode`].
    stop_code: AtomicU16,
    taken: AtomicUsize,
    stopping: AtomicBool,
    /// By address, which is its own while it is listed.
    open: Mutex<HashMap<usize, Weak<dyn OpenWebSocket>>>,
}

/// A WebSocket that a stop can close.
pub(crate) trait OpenWebSocket: Send + Sync {
    /// Begins to close it; does not wait.
    fn close(self: Arc<Self>, frame: CloseFrame);
}

/// How a WebSocket ended, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// 1000 and 1001, and a close frame without a code.
    Normal,
    /// 1006: without a close frame.
    Abnormal,
    /// Any other code of the protocol.
    Failed,
    /// 3000 and above.
    Application,
}

impl Closed {
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Normal, "normal"),
        (Self::Abnormal, "abnormal"),
        (Self::Failed, "failed"),
        (Self::Application, "application"),
    ];

    pub(crate) fn by(code: CloseCode) -> Self {
        match code {
            CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::NO_STATUS => Self::Normal,
            CloseCode::ABNORMAL => Self::Abnormal,
            code if code.as_u16() >= 3000 => Self::Application,
            _ => Self::Failed,
        }
    }
}

/// The right to be open; given back when dropped.
#[derive(Debug)]
pub(crate) struct WebSocketPermit(Arc<WebSockets>);

impl Drop for WebSocketPermit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
    }
}

impl WebSockets {
    pub(crate) fn new(metrics: Arc<Metrics>, config: &Config) -> Arc<Self> {
        let half = (config.threads / 2).max(1);
        let limit = config.websocket_threads.unwrap_or(half);
        Arc::new(Self {
            metrics,
            limit: (config.engine == Engine::Threads).then_some(limit),
            stop_code: AtomicU16::new(config.websocket_stop_code.as_u16()),
            taken: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            open: Mutex::default(),
        })
    }

    fn lock(&self) -> Locked<'_, HashMap<usize, Weak<dyn OpenWebSocket>>> {
        lock(&self.open)
    }

    /// WebSockets that are open.
    pub(crate) fn open(&self) -> usize {
        self.taken.load(SeqCst)
    }

    /// The code that clients are told when the server stops.
    pub(crate) fn stop_code(&self) -> CloseCode {
        self.stop_code.load(SeqCst).into()
    }

    /// The stop that is about to begin is a restart, which is what clients are told then, unless
    /// the settings have a code of their own.
    pub(crate) fn note_restart(&self) {
        let [usual, restart] = [CloseCode::GOING_AWAY, CloseCode::SERVICE_RESTART];
        let (usual, restart) = (usual.as_u16(), restart.as_u16());
        let _has_another = self
            .stop_code
            .compare_exchange(usual, restart, SeqCst, SeqCst);
    }

    /// The right to open one more, unless there are as many as there may be.
    pub(crate) fn permit(self: &Arc<Self>) -> Option<WebSocketPermit> {
        let before = self.taken.fetch_add(1, SeqCst);
        let permit = WebSocketPermit(self.clone());
        self.limit
            .is_none_or(|limit| before < limit)
            .then_some(permit) // dropping it counts down again
    }

    /// Lists one that is open.
    pub(crate) fn enter<S: OpenWebSocket + 'static>(&self, socket: &Arc<S>) {
        let weak: Weak<dyn OpenWebSocket> = Arc::<S>::downgrade(socket);
        self.lock().insert(Arc::as_ptr(socket).addr(), weak);
        // As in the stop handshake (see `lifecycle`): `stop` sets the flag before it looks at the
        // list, so one of the two closes the socket.
        if self.stopping.load(SeqCst) {
            self.close(socket.clone());
        }
    }

    /// Takes one that has ended off the list.
    pub(crate) fn leave<S: OpenWebSocket>(&self, socket: &Arc<S>, how: Closed) {
        let removed = self.lock().remove(&Arc::as_ptr(socket).addr());
        if removed.is_some() {
            self.metrics.websocket_closed(how);
        }
    }

    pub(crate) fn received(&self) {
        self.metrics.websocket_message(true);
    }

    pub(crate) fn sent(&self) {
        self.metrics.websocket_message(false);
    }

    fn close(&self, socket: Arc<dyn OpenWebSocket>) {
        socket.close(CloseFrame::new(self.stop_code(), "the server stops"));
    }

    /// Begins to close all that are open, in batches over the grace period: those who come back
    /// at once are not to come all at once. `None` if there is none.
    pub(crate) fn stop(self: &Arc<Self>, grace: Duration) -> Option<Greenlet<()>> {
        self.stopping.store(true, SeqCst);
        let mut open: Vec<_> = self.lock().values().cloned().collect();
        if open.is_empty() {
            return None;
        }
        let batches = open.len().div_ceil(BATCH).min(BATCHES as usize);
        let size = open.len().div_ceil(batches);
        // The last ones need some of the grace for themselves.
        let pause = grace.mul_f64(0.8) / u32::try_from(batches).unwrap_or(BATCHES);
        let all = self.clone();
        let closing = move || {
            loop {
                let batch = open.split_off(open.len().saturating_sub(size));
                for socket in batch.iter().filter_map(Weak::upgrade) {
                    all.close(socket);
                }
                if open.is_empty() {
                    return;
                }
                sleep(pause.mul_f64(jitter()));
            }
        };
        Some(Builder::new().name("websocket-stop").spawn(closing))
    }
}

/// 0.5 to 1: clients of several servers that stop together are not to come in step.
fn jitter() -> f64 {
    let mut byte = [128];
    let _no_jitter_then = getrandom::fill(&mut byte);
    0.5 + f64::from(byte[0]) / 510.0
}

impl fmt::Debug for WebSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSockets")
            .field("open", &self.open())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_classes() {
        for (code, class) in [
            (1000, Closed::Normal),
            (1005, Closed::Normal),
            (1006, Closed::Abnormal),
            (1002, Closed::Failed),
            (1012, Closed::Failed),
            (3000, Closed::Application),
            (4999, Closed::Application),
        ] {
            assert_eq!(Closed::by(code.into()), class, "{code}");
        }
    }

    #[test]
    fn jitter_is_a_half_to_one() {
        for _ in 0..100 {
            assert!((0.5..=1.0).contains(&jitter()));
        }
    }
}
