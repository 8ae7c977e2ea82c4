//! The handshake of a connection that was accepted, where the server speaks TLS.
//!
//! It is done on the green thread that serves the connection, under both engines, so nobody else
//! waits for a client that takes its time. What such a client may cost is bounded by a clock of its
//! own and by the number of handshakes at once.

use super::host::wait_for_first;
use crate::connection::{Incoming, Socket, WritePace, linger};
use crate::green::embed::{Stream, deadline_in};
use crate::service::metrics::{Handshake, HandshakeFailure};
use crate::service::{ConnContext, ConnState, Service, Spoken, date};
use crate::tls::{HandshakeError, ServerTls, TlsSocket, accept, info_of};
use greenway_app::ConnectionInfo;
use greenway_proto::http1;
use http::StatusCode;
use log::Level;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

static NEVER: AtomicBool = AtomicBool::new(false);

/// Whom the connection is made for.
pub(super) struct Accepted<'a> {
    pub(super) service: &'a Arc<Service>,
    pub(super) context: &'a ConnContext,
    pub(super) info: Arc<ConnectionInfo>,
}

impl Accepted<'_> {
    /// Shakes hands on a stream on which `incoming` has come already. `None`: it cannot be served,
    /// and is closed.
    #[inline(never)] // its frame is not to lie below a handler
    pub(super) fn shake_hands(
        self,
        tls: &ServerTls,
        stream: Stream,
        incoming: &mut Incoming,
    ) -> Option<(Socket, Arc<ConnectionInfo>)> {
        let Self {
            service,
            context,
            info,
        } = self;
        let deadline = deadline_in(service.config.clocks.handshake);
        let slow = &service.metrics.handshakes[Handshake::Slow as usize];
        context.speak(Spoken::Handshake);
        let place = tls.line.enter(deadline, slow)?;
        let mut first = std::mem::take(&mut incoming.buf);
        // The state is set before the stop is looked at: see "Stopping" in the module `lifecycle`.
        let since = Instant::now();
        let before_wait = |begun| {
            context.set(if begun {
                ConnState::Reading
            } else {
                ConnState::Idle
            });
            match begun {
                true => (&NEVER, None),
                false => wait_for_first(service, since),
            }
        };
        let shaken = accept(&stream, tls.config(), &mut first, deadline, &before_wait);
        context.set(ConnState::Busy);
        context.speak(Spoken::Http1);
        if !place.leave() {
            return None; // it took too long while others waited
        }
        match shaken {
            Ok(shaken) => {
                incoming.buf.extend_from_slice(&shaken.early);
                let agreed = info_of(shaken.session.state(), shaken.asked);
                service.metrics.secured(agreed.version, agreed.resumed);
                let mut info = ConnectionInfo::clone(&info);
                info.scheme = "https";
                info.tls = Some(Arc::new(agreed));
                let socket = TlsSocket::new(stream, shaken.session);
                Some((Socket::Tls(Box::new(socket)), Arc::new(info)))
            }
            Err(error) => {
                refuse(service, context, &info, stream, &error);
                None
            }
        }
    }
}

/// Tells a client what is wrong, as far as it can be told, and the log.
#[cold]
fn refuse(
    service: &Arc<Service>,
    context: &ConnContext,
    info: &ConnectionInfo,
    stream: Stream,
    error: &HandshakeError,
) {
    let metrics = &service.metrics;
    match error {
        HandshakeError::Silent => return,
        HandshakeError::Lost(_) => metrics.handshake_failure(HandshakeFailure::Lost),
        HandshakeError::TimedOut => metrics.handshake(Handshake::Slow),
        HandshakeError::Failed(why) => metrics.handshake_failure(failure(why)),
        HandshakeError::PlainHttp => metrics.handshake(Handshake::Plain),
    }
    let level = match error {
        HandshakeError::Lost(_) => Level::Debug,
        _ => Level::Info,
    };
    let peer = info
        .peer
        .map_or("a unix socket".to_owned(), |peer| peer.to_string());
    let what = format_args!("a connection from {peer} is closed: {error}");
    service
        .error_log
        .log(level, "connections without TLS", what);
    match error {
        HandshakeError::PlainHttp => {
            let mut response = Vec::new();
            let reason =
                "this port speaks HTTPS, and the request came without TLS: ask for https://";
            let status = StatusCode::BAD_REQUEST;
            http1::error_response(&mut response, status, reason, None, &date(Instant::now()));
            // The socket's empty buffer takes it at once.
            let _taken_or_gone = stream.write_now(&[IoSlice::new(&response)]);
            service.access_bad(info, status);
        }
        HandshakeError::Failed(_) => {} // the alert was sent
        _ => return,
    }
    context.set(ConnState::Closing);
    let pace = WritePace::new(service.config.clocks.write);
    linger(&Socket::from(stream), service, pace, true);
}

/// Why a handshake has failed, in the words of the metrics.
fn failure(error: &rustls::Error) -> HandshakeFailure {
    use rustls::{Error, PeerIncompatible};
    match error {
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => HandshakeFailure::Version,
        Error::PeerIncompatible(_) => HandshakeFailure::Cipher,
        Error::NoApplicationProtocol => HandshakeFailure::Protocol,
        Error::InvalidCertificate(_)
        | Error::NoCertificatesPresented
        | Error::UnsupportedNameType => HandshakeFailure::Certificate,
        Error::AlertReceived(_) => HandshakeFailure::Alert,
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::PeerSentOversizedRecord
        | Error::DecryptError => HandshakeFailure::Malformed,
        _ => HandshakeFailure::Other,
    }
}
