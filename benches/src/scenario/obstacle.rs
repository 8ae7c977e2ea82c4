//! Who cannot take part in what, and why.

use super::Scenario;
use crate::contender::{Contender, Engine, POOL, Peer};
use crate::load::crowd::Form;

/// What the machine and the flags leave to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Descriptors that a process may open.
    pub descriptors: u64,
    /// Cores of the server.
    pub cores: usize,
}

impl Scenario {
    /// Why a contender cannot take part, if so.
    #[must_use]
    pub fn obstacle(self, contender: Contender, bounds: Bounds) -> Option<String> {
        // Some for the logs, libraries and epoll of either side.
        let needed = self.connections() as u64 + 200;
        if needed > bounds.descriptors {
            return Some(format!(
                "needs {needed} descriptors per process, and the hard limit is {}",
                bounds.descriptors
            ));
        }
        self.missing(contender)
            .map(str::to_owned)
            .or_else(|| {
                let held = match self {
                    Self::Parked(n)
                    | Self::Publish(n)
                    | Self::SocketEcho(n)
                    | Self::SocketRoom(n)
                    | Self::SocketIdle(n) => n,
                    // All of its streams are open at once.
                    Self::FirstByte => self.connections(),
                    _ => 0,
                };
                let pool = contender.waiting_handlers()?;
                (pool < held).then(|| {
                    format!("a waiting handler holds a thread of the pool, and the pool has {POOL}")
                })
            })
            .or_else(|| {
                let apart =
                    matches!(self, Self::Publish(_)) && contender.processes(bounds.cores) > 1;
                let why = "its handlers are in several processes, which share no event";
                apart.then(|| why.to_owned())
            })
    }

    /// What a contender does not have that the scenario needs.
    fn missing(self, contender: Contender) -> Option<&'static str> {
        let hello = matches!(
            self,
            Self::KeepAlive
                | Self::Wrk
                | Self::Pipelined
                | Self::Headers
                | Self::Churn(_)
                | Self::Latency(_)
                | Self::Idle(_)
                | Self::StartUp
        );
        match contender {
            Contender::Peer(Peer::Floor) => {
                (!hello).then_some("parses nothing, so it can only say hello")
            }
            Contender::Peer(Peer::Nginx) => {
                let files = matches!(
                    self,
                    Self::Static(_) | Self::Slow(Form::Head | Form::Reader, _)
                );
                (!hello && !files).then_some("has no handlers of its own, only answers and files")
            }
            Contender::Engine(Engine::MiniHttp)
            | Contender::Other(Engine::MiniHttp)
            | Contender::Peer(Peer::MiniHttp) => match self {
                Self::ChunkedIn => Some("may_minihttp reads no chunked bodies"),
                Self::Stream | Self::FirstByte => Some("may_minihttp cannot stream"),
                Self::Static(_) => Some("may_minihttp has no bodies but those in memory"),
                Self::Routing(_) if !contender.is_ours() => Some("has no router"),
                Self::JsonIn | Self::FormFields | Self::FormFile | Self::Upload(..)
                    if !contender.is_ours() =>
                {
                    Some("has neither JSON nor forms of its own")
                }
                _ if self.upgrades() => Some("may_minihttp cannot upgrade"),
                _ => None,
            },
            Contender::Peer(peer) => self.missing_in(peer),
            Contender::Engine(_) | Contender::Other(_) => None,
        }
    }

    /// The same of the peers that serve most of what there is.
    fn missing_in(self, peer: Peer) -> Option<&'static str> {
        match (self, peer) {
            (Self::Routing(_), Peer::Hyper | Peer::Tiny) => Some("has no router"),
            (Self::JsonIn, Peer::Tiny) => Some("has no JSON of its own"),
            (Self::FormFields | Self::FormFile | Self::Upload(..), Peer::Hyper | Peer::Tiny) => {
                Some("has no forms of its own")
            }
            (Self::FormFile | Self::Upload(..), Peer::Actix) => {
                Some("its multipart forms are a crate of their own, which is not measured here")
            }
            (Self::Upload(..), Peer::Gevent | Peer::Gthread) => {
                Some("Bottle has no streamed forms")
            }
            (Self::JsonIn | Self::FormFields | Self::FormFile | Self::Upload(..), Peer::Go) => {
                Some("its JSON and forms are not measured here")
            }
            (Self::Routing(_), Peer::Go) => Some("its own router has wildcards since Go 1.22 only"),
            (Self::Static(_), Peer::Hyper) => Some("has no files of its own"),
            (Self::FirstByte, Peer::Tiny) => Some("gathers 8 KiB before it sends a chunk"),
            (_, Peer::Axum | Peer::Go) => None,
            _ if self.upgrades() => Some("its WebSockets are not measured here"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::Engine;
    use crate::scenario::{ROUTES, Store};

    #[test]
    fn who_cannot_take_part_is_told_why() {
        let green = Contender::Engine(Engine::Green);
        let threads = Contender::Engine(Engine::Threads);
        let floor = Contender::Peer(Peer::Floor);
        let bounds = |cores| Bounds {
            descriptors: 20_000,
            cores,
        };
        let why = |scenario: Scenario, who| scenario.obstacle(who, bounds(1)).unwrap_or_default();
        assert_eq!(why(Scenario::Parked(8_000), green), "");
        assert!(why(Scenario::Parked(8_000), threads).contains("pool"));
        // The pool that stalls is the picture, not an obstacle.
        assert_eq!(why(Scenario::LongPoll(1_000), threads), "");
        assert!(why(Scenario::LongPoll(20), floor).contains("parses nothing"));
        assert!(why(Scenario::Publish(1_000), threads).contains("pool"));
        let hosted = Contender::Engine(Engine::MiniHttp);
        assert!(why(Scenario::Stream, hosted).contains("cannot stream"));
        assert_eq!(why(Scenario::Routing(ROUTES), hosted), "");
        let upload = Scenario::Upload(Store::Disk, 1 << 20);
        assert!(why(upload, Contender::Peer(Peer::Hyper)).contains("forms"));
        assert_eq!(why(upload, green), "");
        assert!(why(Scenario::Idle(20_000), green).contains("descriptors"));
        assert_eq!(why(Scenario::KeepAlive, floor), "");
        let nginx = Contender::Peer(Peer::Nginx);
        assert_eq!(why(Scenario::Static(1 << 10), nginx), "");
        assert!(why(Scenario::Json, nginx).contains("handlers"));
        let gevent = Contender::Peer(Peer::Gevent);
        assert_eq!(why(Scenario::Publish(100), gevent), "");
        let two = Scenario::Publish(100).obstacle(gevent, bounds(2));
        assert!(two.is_some_and(|why| why.contains("process")));
        assert!(why(Scenario::SocketEcho(100), gevent).contains("WebSocket"));
    }
}
