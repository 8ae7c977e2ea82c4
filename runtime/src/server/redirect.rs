//! The way from http to https: a second server, which answers everything with it.
//!
//! It has an address, connections and clocks of its own, and no application: nothing that comes
//! without TLS gets further than here.

use super::builder::Server;
use super::running::Running;
use crate::service::config::Config;
use greenway_app::{Application, HttpError, IntoResponse, Request, Response};
use std::io;
use std::net::SocketAddr;

/// Connections that it has at once: they are short.
const CONNECTIONS: usize = 1024;
/// The port of https, which a URL leaves out.
const HTTPS: u16 = 443;
const HTTP: u16 = 80;

/// Starts it, if the settings want it. `https` is where the server with TLS listens.
///
/// # Errors
/// When the address cannot be had.
pub(super) fn start(config: &Config, https: Option<SocketAddr>) -> io::Result<Option<Running>> {
    let Some(address) = &config.tls.redirect_bind else {
        return Ok(None);
    };
    let port = https.map_or(HTTPS, |https| https.port());
    let mut server = Server::new(application(port)).bind(address);
    let ours = &mut server.settings.server;
    ours.clocks = config.clocks;
    ours.clocks.keep_alive = std::time::Duration::ZERO; // it goes on elsewhere
    ours.connections = Some(CONNECTIONS);
    ours.body_limit = u64::MAX; // nobody reads any of it
    ours.green = config.green;
    server.start().map(Some)
}

fn application(https: u16) -> impl Application {
    move |request: Request| -> Response {
        let listens = request.connection().local.map(|local| local.port());
        match location(&request, listens, https) {
            Some(location) => Response::redirect(location, 308),
            None => HttpError::new(
                400,
                "this port leads to https, and the request names no host",
            )
            .into_response(),
        }
    }
}

/// Where the request would be served. `None` if it does not say what host it is for.
fn location(request: &Request, listens: Option<u16>, https: u16) -> Option<String> {
    let host = request.host()?;
    let (name, asked) = split_port(host)?;
    // Where clients know this address by another port, that of https is another one, too: a
    // container's, or a firewall's. Then it is the usual one.
    let mapped = listens.is_some_and(|listens| listens != asked.unwrap_or(HTTP));
    let port = if mapped { HTTPS } else { https };
    let port = match port {
        HTTPS => String::new(),
        port => format!(":{port}"),
    };
    // `OPTIONS *` is about the server, which has no other place.
    let path = match request.path() {
        "*" => "/".to_owned(),
        _ => request.full_path(),
    };
    Some(format!("https://{name}{port}{path}"))
}

/// `host[:port]`, with characters that a host may have and nothing else.
fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    let end = match host.strip_prefix('[') {
        Some(_) => host.find(']')? + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, rest) = host.split_at(end);
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        return None;
    }
    match rest.strip_prefix(':') {
        None | Some("") => Some((name, None)),
        Some(port) => Some((name, Some(port.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;
    use greenway_app::ConnectionInfo;

    #[track_caller]
    fn leads(listens: &str, https: u16, host: &str, target: &str) -> Option<String> {
        let info = ConnectionInfo::new(listens.parse().ok(), None);
        let client = Client::new(application(https)).with_connection(info);
        let reply = client.get(target).header("host", host).send();
        let location = reply.header("location").map(str::to_owned);
        assert_eq!(reply.status(), if location.is_some() { 308 } else { 400 });
        location
    }

    #[test]
    fn it_leads_to_the_same_place_with_tls() {
        for (listens, https, host, target, location) in [
            ("1.2.3.4:80", 443, "a.example", "/", "https://a.example/"),
            (
                "1.2.3.4:80",
                443,
                "a.example:80",
                "/b%20c?d=e",
                "https://a.example/b%20c?d=e",
            ),
            (
                "1.2.3.4:8080",
                8443,
                "a.example:8080",
                "/",
                "https://a.example:8443/",
            ),
            (
                "1.2.3.4:80",
                8443,
                "a.example",
                "/",
                "https://a.example:8443/",
            ),
            // Clients know this address as port 80: it is mapped, and so is that of https.
            ("1.2.3.4:8080", 8443, "a.example", "/", "https://a.example/"),
            ("[::1]:80", 443, "[::1]", "/", "https://[::1]/"),
            (
                "1.2.3.4:80",
                443,
                "a.example",
                "/x?",
                "https://a.example/x?",
            ),
        ] {
            assert_eq!(
                leads(listens, https, host, target).as_deref(),
                Some(location)
            );
        }
        for host in ["", "a b", "a/b", "a.example:x"] {
            assert_eq!(leads("1.2.3.4:80", 443, host, "/"), None, "{host:?}");
        }
    }
}
