//! [`TaskContext`]: what a thread does for the layers above, as far as they tell. So a task dump can
//! say whom a green thread serves, and this crate need not know what a connection is.

use std::fmt;
use std::net::SocketAddr;

/// Something that a thread is busy with.
pub trait TaskContext: fmt::Debug + Send + Sync {
    /// What is known of it now.
    fn request_info(&self) -> RequestInfo;

    /// Shows it in few words: also called from the handler of a fatal signal, on the thread
    /// itself, so it must neither wait for a lock nor allocate. Nothing is shown where it cannot.
    fn show(&self, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// What a green thread does for a client. Shown, it is a part of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RequestInfo {
    /// The state of the connection: `idle` (it waits for a request), `reading` (for the rest of
    /// a request's head), `busy`, `TLS handshake`, or `HTTP/2`, whose requests have green threads
    /// of their own.
    pub state: &'static str,
    /// The client's address; on a unix socket it has none.
    pub peer: Option<SocketAddr>,
    /// The line of the request that is being served.
    pub request: Option<String>,
    /// The rule of the route that has matched, as it was registered.
    pub route: Option<String>,
}

impl RequestInfo {
    /// All that there is to say.
    pub fn new(
        state: &'static str,
        peer: Option<SocketAddr>,
        request: Option<String>,
        route: Option<String>,
    ) -> Self {
        Self {
            state,
            peer,
            request,
            route,
        }
    }

    /// What requests of one kind have in common: the method and the route, or the path where
    /// there are no routes. `None` between two requests.
    pub fn kind(&self) -> Option<String> {
        let request = self.request.as_deref()?;
        let mut parts = request.split(' ');
        let (method, target) = (parts.next()?, parts.next()?);
        let path = target.split('?').next()?;
        Some(format!(
            "{method} {}",
            self.route.as_deref().unwrap_or(path)
        ))
    }
}

impl fmt::Display for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state)?;
        if let Some(request) = &self.request {
            write!(f, " with {request:?}")?;
        }
        if let Some(route) = &self.route {
            write!(f, " (route {route})")?;
        }
        match self.peer {
            Some(peer) => write!(f, " for {peer}"),
            None => Ok(()),
        }
    }
}

/// What green threads that do the same have in common: the kind of the request that they serve, or
/// their name.
pub(crate) fn kind_of(serving: Option<&RequestInfo>, name: &str) -> String {
    if let Some(serving) = serving {
        let between = || format!("connection, {}", serving.state);
        return serving.kind().unwrap_or_else(between);
    }
    match name.strip_prefix("green-") {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => "(no name)".into(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_one_route_are_of_one_kind() {
        let mut serving = RequestInfo {
            state: "busy",
            peer: Some(([127, 0, 0, 1], 80).into()),
            ..RequestInfo::default()
        };
        assert_eq!(serving.kind(), None);
        serving.request = Some("GET /a/1?x=y HTTP/1.1".into());
        assert_eq!(serving.kind().as_deref(), Some("GET /a/1"));
        serving.route = Some("/a/<n>".into());
        assert_eq!(serving.kind().as_deref(), Some("GET /a/<n>"));
        assert_eq!(
            serving.to_string(),
            "busy with \"GET /a/1?x=y HTTP/1.1\" (route /a/<n>) for 127.0.0.1:80"
        );
    }
}
