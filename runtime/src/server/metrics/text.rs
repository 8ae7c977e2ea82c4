//! The numbers in Prometheus' text format, version 0.0.4.

use super::protocols::{handshakes, http2};
use super::{Health, LagProbes};
use crate::green::embed::Worker;
use crate::service::buses::BusCounts;
use crate::service::config::Engine;
use crate::service::metrics::{BUCKETS, CODES, FIRST_CODE, Metrics, Protocol, Refused};
use crate::service::websockets::Closed;
use crate::service::{ConnState, Service, logger};
use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering::Relaxed;

/// All numbers of a server.
pub(super) fn render(health: &Health<'_>) -> String {
    let Health { service, lag } = health;
    let metrics = &service.metrics;
    let mut out = Text(String::with_capacity(8 * 1024));
    out.family("greenway_info", "gauge", "What runs. Always 1.");
    let (version, engine) = (crate::VERSION, service.config.engine.name());
    let labels = format!("version=\"{version}\",engine=\"{engine}\"");
    out.sample("greenway_info", &labels, 1);
    let uptime = metrics.started.elapsed().as_secs_f64();
    out.one(
        "greenway_uptime_seconds",
        "gauge",
        "Time since the start.",
        uptime,
    );
    connections(service, &mut out);
    handshakes(service, &mut out);
    http2(service, &mut out);
    handlers(service, &mut out);
    requests(metrics, &mut out);
    websockets(service, &mut out);
    buses(&mut out);
    workers(lag, &mut out);
    held_up(&mut out);
    out.one(
        "greenway_error_log_lines_dropped_total",
        "counter",
        "Messages of the server's own log that were dropped because writing was too slow.",
        logger::dropped(),
    );
    if let Some(log) = &service.access_log {
        out.one(
            "greenway_access_log_lines_waiting",
            "gauge",
            "Lines of the access log that are not written yet.",
            log.writer().waiting(),
        );
        out.one(
            "greenway_access_log_lines_dropped_total",
            "counter",
            "Lines of the access log that were dropped because writing was too slow.",
            log.writer().dropped(),
        );
    }
    out.0
}

fn connections(service: &Service, out: &mut Text) {
    let without_thread = service.metrics.idle.load(Relaxed);
    let (mut idle, mut reading, mut serving) = (without_thread, 0, 0_usize);
    // Connections of HTTP/2 that have requests, these requests, and those of them that are served.
    let (mut shared, mut requests, mut streams) = (0, 0_usize, 0_usize);
    service
        .lifecycle
        .each_context(|context| match context.state() {
            ConnState::Busy | ConnState::Stoppable | ConnState::Stopping | ConnState::Closing => {
                serving += 1;
                streams += usize::from(context.serves_stream());
            }
            ConnState::Idle => idle += 1,
            ConnState::Reading => reading += 1,
            // The thread of the pool is counted that has its request.
            ConnState::Free | ConnState::Pooled => {}
            // Its requests are counted, each as a connection of HTTP/1 is.
            ConnState::Shared => {
                shared += 1;
                requests += context.requests() as usize;
            }
        });
    // What has no thread and no context: a request that waits for a thread of the pool, or a
    // connection whose green thread has not begun yet.
    let open = service.lifecycle.connections();
    let with_thread = idle + reading + serving.saturating_sub(streams) + shared;
    let queued = open.saturating_sub(with_thread) + requests.saturating_sub(streams);
    let name = "greenway_connections";
    out.family(
        name,
        "gauge",
        "Open connections by what they wait for: idle (a request), reading (the rest of a \
         request head), queued (a thread), serving (a handler). Of HTTP/2, requests count.",
    );
    for (state, count) in [
        ("idle", idle),
        ("reading", reading),
        ("queued", queued),
        ("serving", serving),
    ] {
        out.sample(name, &format!("state=\"{state}\""), count);
    }
    out.one(
        "greenway_connections_parked",
        "gauge",
        "Idle connections that have no thread, green or other.",
        without_thread,
    );
    out.one(
        "greenway_connections_limit",
        "gauge",
        "Connections that may be open at once.",
        service.lifecycle.capacity(),
    );
    out.one(
        "greenway_connections_accepted_total",
        "counter",
        "Connections that were let in.",
        service.metrics.sum(|shard| shard.accepted.load(Relaxed)),
    );
}

/// Of the process, whatever server it is: rooms belong to none.
fn buses(out: &mut Text) {
    let sum = BusCounts::sum();
    if sum.buses == 0 {
        return;
    }
    let (name, help) = ("greenway_buses", "Buses of rooms, by their state.");
    out.family(name, "gauge", help);
    out.sample(name, "state=\"connected\"", sum.connected);
    out.sample(name, "state=\"failing\"", sum.buses - sum.connected);
    for (name, help, count) in [
        (
            "greenway_bus_posts_total",
            "Posts of this process that are in the log of a bus.",
            sum.posts,
        ),
        (
            "greenway_bus_failed_posts_total",
            "Posts that were given up, with an error for those who published them.",
            sum.failed,
        ),
        (
            "greenway_bus_received_total",
            "Posts that have come over a bus, those of this process included.",
            sum.received,
        ),
        (
            "greenway_bus_reconnects_total",
            "How often reading a bus began anew after a failure.",
            sum.reconnects,
        ),
        (
            "greenway_bus_gaps_total",
            "How often posts were missing, and the members of a room were told so.",
            sum.gaps,
        ),
    ] {
        out.one(name, "counter", help, count);
    }
    out.one(
        "greenway_bus_lag_seconds",
        "gauge",
        "The time that the last post of this process took to a bus and back.",
        seconds(sum.lag_us),
    );
}

fn handlers(service: &Service, out: &mut Text) {
    let metrics = &service.metrics;
    out.one(
        "greenway_handlers_running",
        "gauge",
        "Handlers that run or wait, responses that are sent included.",
        metrics.handlers(),
    );
    let by_engine = (service.config.engine == Engine::Threads).then_some(service.config.threads);
    let limit = by_engine.into_iter().chain(metrics.handlers_limit).min();
    out.one(
        "greenway_handlers_limit",
        "gauge",
        "Handlers that may run at once; +Inf if only the connections are limited.",
        limit.map_or("+Inf".to_owned(), |limit| limit.to_string()),
    );
    out.one(
        "greenway_handler_panics_total",
        "counter",
        "Handlers that have panicked.",
        metrics.panics.load(Relaxed),
    );
    let name = "greenway_refused_total";
    let help = "Clients that were sent away with 503, by what had run out.";
    out.family(name, "counter", help);
    for (why, reason) in Refused::ALL {
        let count = metrics.refused[why as usize].load(Relaxed);
        out.sample(name, &format!("reason=\"{reason}\""), count);
    }
}

fn requests(metrics: &Metrics, out: &mut Text) {
    let name = "greenway_requests_total";
    out.family(
        name,
        "counter",
        "Requests that are over, by the status of the response.",
    );
    for (index, code) in (FIRST_CODE..).take(CODES).enumerate() {
        let count = metrics.code(index);
        if count > 0 {
            out.sample(
                name,
                &format!("code=\"{code}\",class=\"{}xx\"", code / 100),
                count,
            );
        }
    }
    let others = metrics.sum(|shard| shard.other_codes.load(Relaxed));
    if others > 0 {
        out.sample(name, "code=\"other\",class=\"other\"", others);
    }
    let name = "greenway_requests_by_protocol_total";
    let help = "Requests that are over, by the version of HTTP that they have come with.";
    out.family(name, "counter", help);
    for (protocol, label) in Protocol::ALL {
        let count = metrics.sum(|shard| shard.protocols[protocol as usize].load(Relaxed));
        out.sample(name, &format!("protocol=\"{label}\""), count);
    }
    out.one(
        "greenway_departed_clients_total",
        "counter",
        "Requests whose client left before the response was sent (status 499).",
        metrics.code(499 - usize::from(FIRST_CODE)),
    );
    durations(metrics, out);
    out.one(
        "greenway_request_bytes_total",
        "counter",
        "Bytes of requests: heads, and bodies without their framing.",
        metrics.sum(|shard| shard.received.load(Relaxed)),
    );
    out.one(
        "greenway_response_body_bytes_total",
        "counter",
        "Bytes of response bodies, without their framing.",
        metrics.sum(|shard| shard.sent.load(Relaxed)),
    );
}

fn websockets(service: &Service, out: &mut Text) {
    let metrics = &service.metrics;
    out.one(
        "greenway_websockets",
        "gauge",
        "WebSockets that are open.",
        service.websockets.open(),
    );
    let name = "greenway_websocket_messages_total";
    out.family(
        name,
        "counter",
        "WebSocket messages, without pings, pongs and close frames.",
    );
    let received = metrics.sum(|shard| shard.messages_in.load(Relaxed));
    out.sample(name, "direction=\"in\"", received);
    let sent = metrics.sum(|shard| shard.messages_out.load(Relaxed));
    out.sample(name, "direction=\"out\"", sent);
    let name = "greenway_websockets_closed_total";
    out.family(
        name,
        "counter",
        "WebSockets that are over, by how: normal (1000, 1001), abnormal (1006: without a close \
         frame), failed (any other code of the protocol), application (from 3000).",
    );
    for (how, label) in Closed::ALL {
        let count = metrics.sum(|shard| shard.websockets_closed[how as usize].load(Relaxed));
        out.sample(name, &format!("how=\"{label}\""), count);
    }
}

fn durations(metrics: &Metrics, out: &mut Text) {
    let name = "greenway_request_duration_seconds";
    out.family(
        name,
        "histogram",
        "Time from a complete request head to the end of the response.",
    );
    let bucket_name = format!("{name}_bucket");
    let mut total = 0;
    for bucket in 0..=BUCKETS.len() {
        total += metrics.sum(|shard| shard.durations[bucket].load(Relaxed));
        let bound = BUCKETS
            .get(bucket)
            .map_or("+Inf".to_owned(), |us| seconds(*us));
        out.sample(&bucket_name, &format!("le=\"{bound}\""), total);
    }
    let sum = metrics.sum(|shard| shard.duration_us.load(Relaxed));
    out.sample(&format!("{name}_sum"), "", seconds(sum));
    out.sample(&format!("{name}_count"), "", total);
}

fn workers(lag: &LagProbes, out: &mut Text) {
    let name = "greenway_green_threads";
    out.family(
        name,
        "gauge",
        "Green threads that live on a worker: connections, what handlers have spawned, and a few \
         of the server's own.",
    );
    for worker in crate::green::embed::workers() {
        let label = format!("worker=\"{}\"", worker.index());
        out.sample(name, &label, worker.population());
    }
    let name = "greenway_worker_lag_seconds";
    out.family(
        name,
        "gauge",
        "How much later than asked a worker woke a sleeper, at most, since the last scrape.",
    );
    for (index, lag) in lag.take_worst().enumerate() {
        out.sample(name, &format!("worker=\"{index}\""), lag.as_secs_f64());
    }
}

fn held_up(out: &mut Text) {
    let name = "greenway_worker_held_up_total";
    let help = "Times that a green thread ran for longer than --max-blocking-time without a wait.";
    out.family(name, "counter", help);
    let label = |worker: &Worker| format!("worker=\"{}\"", worker.index());
    for worker in crate::green::embed::workers() {
        out.sample(name, &label(worker), worker.held().times());
    }
    let name = "greenway_worker_held_up_seconds_total";
    out.family(name, "counter", "Time that these add up to.");
    for worker in crate::green::embed::workers() {
        let total = worker.held().total().as_secs_f64();
        out.sample(name, &label(worker), total);
    }
    let name = "greenway_worker_held_up_longest_seconds";
    out.family(name, "gauge", "The longest of them since the last scrape.");
    for worker in crate::green::embed::workers() {
        let longest = worker.held().take_longest().as_secs_f64();
        out.sample(name, &label(worker), longest);
    }
}

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) struct Text(String);

impl Text {
    // Writing to a String cannot fail.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// `labels` is `name="value",...`, or empty. All values are ours: there is nothing to escape.
    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = if labels.is_empty() {
            writeln!(self.0, "{name} {value}")
        } else {
            writeln!(self.0, "{name}{{{labels}}} {value}")
        };
    }

    pub(super) fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use std::time::Duration;

    #[test]
    fn requests_as_prometheus_reads_them() {
        let metrics = Metrics::new(None);
        let count = |code: u16, us| {
            let duration = Some(Duration::from_micros(us));
            let code = StatusCode::from_u16(code).unwrap();
            metrics.request(code, Some(Protocol::Http10), duration, 20, 5);
        };
        count(200, 499);
        count(200, 500);
        count(404, 501);
        count(499, 30_000_000);
        count(999, 30_000_001);
        metrics.request(StatusCode::BAD_REQUEST, None, None, 0, 0);
        let mut out = Text(String::new());
        requests(&metrics, &mut out);
        let has = |line: &str| assert!(out.0.lines().any(|l| l == line), "{line}\n{}", out.0);
        has("# TYPE greenway_requests_total counter");
        has("greenway_requests_total{code=\"200\",class=\"2xx\"} 2");
        has("greenway_requests_total{code=\"404\",class=\"4xx\"} 1");
        has("greenway_requests_total{code=\"400\",class=\"4xx\"} 1");
        has("greenway_requests_total{code=\"other\",class=\"other\"} 1");
        has("greenway_requests_by_protocol_total{protocol=\"HTTP/1.0\"} 5");
        has("greenway_requests_by_protocol_total{protocol=\"HTTP/2\"} 0");
        has("greenway_departed_clients_total 1");
        has("# TYPE greenway_request_duration_seconds histogram");
        has("greenway_request_duration_seconds_bucket{le=\"0.0005\"} 2");
        has("greenway_request_duration_seconds_bucket{le=\"0.001\"} 3");
        has("greenway_request_duration_seconds_bucket{le=\"1\"} 3");
        has("greenway_request_duration_seconds_bucket{le=\"30\"} 4");
        has("greenway_request_duration_seconds_bucket{le=\"+Inf\"} 5");
        has("greenway_request_duration_seconds_sum 60.001501");
        has("greenway_request_duration_seconds_count 5");
        has("greenway_request_bytes_total 100");
        has("greenway_response_body_bytes_total 25");
    }

    #[test]
    fn seconds_are_exact() {
        for (us, text) in [
            (0, "0"),
            (500, "0.0005"),
            (10_000_000, "10"),
            (1_500_000, "1.5"),
        ] {
            assert_eq!(seconds(us), text);
        }
    }
}
