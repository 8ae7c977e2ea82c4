//! Greenway's behaviour over real sockets, by theme.

#![forbid(unsafe_code)]

// What is refused.
#[path = "suite/bad_bodies.rs"]
mod bad_bodies;
#[path = "suite/bad_input.rs"]
mod bad_input;
#[path = "suite/counting.rs"]
mod counting;
#[path = "suite/floods.rs"]
mod floods;
#[path = "suite/smuggling.rs"]
mod smuggling;
// The contract between server and application.
#[path = "suite/contract.rs"]
mod contract;
#[path = "suite/drops.rs"]
mod drops;
#[path = "suite/environ.rs"]
mod environ;
#[path = "suite/error_pages.rs"]
mod error_pages;
#[path = "suite/files.rs"]
mod files;
#[path = "suite/forms.rs"]
mod forms;
#[path = "suite/input.rs"]
mod input;
#[path = "suite/middleware.rs"]
mod middleware;
#[path = "suite/static_files.rs"]
mod static_files;
#[path = "suite/templates.rs"]
mod templates;
#[path = "suite/test_client.rs"]
mod test_client;
// The life of a connection, and of a server.
#[path = "suite/churn.rs"]
mod churn;
#[path = "suite/clocks.rs"]
mod clocks;
#[path = "suite/closes.rs"]
mod closes;
#[path = "suite/departure.rs"]
mod departure;
#[path = "suite/deploys.rs"]
mod deploys;
#[path = "suite/deploys_http2.rs"]
mod deploys_http2;
#[path = "suite/deploys_tls.rs"]
mod deploys_tls;
#[path = "suite/gathering.rs"]
mod gathering;
#[path = "suite/http2.rs"]
mod http2;
#[path = "suite/http2_clients.rs"]
mod http2_clients;
#[path = "suite/http2_ends.rs"]
mod http2_ends;
#[path = "suite/http2_hostile.rs"]
mod http2_hostile;
#[path = "suite/http2_websockets.rs"]
mod http2_websockets;
#[path = "suite/keepalive.rs"]
mod keepalive;
#[path = "suite/leaked_inputs.rs"]
mod leaked_inputs;
#[path = "suite/placement.rs"]
mod placement;
#[path = "suite/pool.rs"]
mod pool;
#[path = "suite/processes.rs"]
mod processes;
#[path = "suite/processes_killed.rs"]
mod processes_killed;
#[path = "suite/processes_notify.rs"]
mod processes_notify;
#[path = "suite/processes_replaced.rs"]
mod processes_replaced;
#[path = "suite/processes_steps.rs"]
mod processes_steps;
#[path = "suite/scale.rs"]
mod scale;
#[path = "suite/stop.rs"]
mod stop;
#[path = "suite/stop_signals.rs"]
mod stop_signals;
#[path = "suite/tls.rs"]
mod tls;
#[path = "suite/tls_clients.rs"]
mod tls_clients;
#[path = "suite/tls_ends.rs"]
mod tls_ends;
#[path = "suite/tls_files.rs"]
mod tls_files;
#[path = "suite/tls_handshakes.rs"]
mod tls_handshakes;
#[path = "suite/tls_hostile.rs"]
mod tls_hostile;
#[path = "suite/tls_recipe.rs"]
mod tls_recipe;
#[path = "suite/tls_resumption.rs"]
mod tls_resumption;
#[path = "suite/tls_streams.rs"]
mod tls_streams;
// What is sent to many, and for long.
#[path = "suite/broadcast.rs"]
mod broadcast;
#[path = "suite/bus.rs"]
mod bus;
#[path = "suite/bus_faults.rs"]
mod bus_faults;
#[path = "suite/bus_state.rs"]
mod bus_state;
#[path = "suite/sse.rs"]
mod sse;
#[path = "suite/websocket.rs"]
mod websocket;
#[path = "suite/websocket_battery.rs"]
mod websocket_battery;
#[path = "suite/websocket_ends.rs"]
mod websocket_ends;
#[path = "suite/websocket_kills.rs"]
mod websocket_kills;
#[path = "suite/websocket_sending.rs"]
mod websocket_sending;
// RFC 9110 and 9112, point by point: docs/src/evidence/http.md is the table.
#[path = "suite/rfc_body.rs"]
mod rfc_body;
#[path = "suite/rfc_response.rs"]
mod rfc_response;
#[path = "suite/rfc_table.rs"]
mod rfc_table;
#[path = "suite/rfc_target.rs"]
mod rfc_target;
// The third engine, and what is outside of any.
#[path = "suite/command_line.rs"]
mod command_line;
#[path = "suite/config.rs"]
mod config;
#[path = "suite/masters_words.rs"]
mod masters_words;
#[path = "suite/minihttp.rs"]
mod minihttp;
#[path = "suite/settings_checked.rs"]
mod settings_checked;
// Green threads.
#[path = "suite/blocking.rs"]
mod blocking;
#[path = "suite/green.rs"]
mod green;
#[path = "suite/green_net.rs"]
mod green_net;
#[path = "suite/green_queues.rs"]
mod green_queues;
#[path = "suite/migration.rs"]
mod migration;
#[path = "suite/soundness.rs"]
mod soundness;
// What handlers use: docs/src/crates.md and docs/src/databases.md are the guides.
#[path = "suite/client.rs"]
mod client;
#[path = "suite/crates.rs"]
mod crates;
#[path = "suite/crates_blocking.rs"]
mod crates_blocking;
#[path = "suite/crates_http.rs"]
mod crates_http;
#[path = "suite/crates_redis.rs"]
mod crates_redis;
#[path = "suite/databases.rs"]
mod databases;
#[path = "suite/databases_mysql.rs"]
mod databases_mysql;
#[path = "suite/databases_postgres.rs"]
mod databases_postgres;
#[path = "suite/databases_redis.rs"]
mod databases_redis;
#[path = "suite/databases_sqlite.rs"]
mod databases_sqlite;
#[path = "suite/request_values.rs"]
mod request_values;
#[path = "suite/seeing.rs"]
mod seeing;
#[path = "suite/seeing_protocols.rs"]
mod seeing_protocols;
#[path = "suite/signals.rs"]
mod signals;
// The workspace: what people see of it, and how it is built.
#[path = "suite/architecture.rs"]
mod architecture;
#[path = "suite/around_mod.rs"]
mod around;
#[path = "suite/behind_nginx.rs"]
mod behind_nginx;
#[path = "suite/behind_nginx_unix.rs"]
mod behind_nginx_unix;
#[path = "suite/behind_proxies.rs"]
mod behind_proxies;
#[path = "suite/bottle.rs"]
mod bottle;
#[path = "suite/browser.rs"]
mod browser;
#[path = "suite/browser_board.rs"]
mod browser_board;
#[path = "suite/deployment.rs"]
mod deployment;
#[path = "suite/early_answers.rs"]
mod early_answers;
#[path = "suite/generated.rs"]
mod generated;
#[path = "suite/gunicorn.rs"]
mod gunicorn;
#[path = "suite/real_clients.rs"]
mod real_clients;
#[path = "suite/tour_pages.rs"]
mod tour_pages;
#[path = "suite/websocket_clients.rs"]
mod websocket_clients;
