//! Peer: axum on tokio's multi-thread runtime, `axum::serve` with `TCP_NODELAY`, as
//! its docs and examples have it.

mod forms;
mod sockets;

use std::convert::Infallible;
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::Uri;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use peer_common::{Ask, Message, Order, Waiting};
use tokio::sync::Notify;
use tower_http::services::ServeDir;

/// Waked by `/publish`.
static NEWS: Notify = Notify::const_new();

const PLAIN: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain")];
const OCTETS: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/octet-stream")];

async fn hello() -> ([(HeaderName, &'static str); 1], &'static str) {
    (PLAIN, peer_common::HELLO)
}

/// The routes whose query says how long or how many.
async fn with_number(uri: Uri) -> Response {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    match peer_common::ask(target) {
        Ask::Sleep(time) => tokio::time::sleep(time).await,
        Ask::Compute(time) => peer_common::compute(time),
        Ask::Ticks(n, pause) => {
            let ticks = futures_util::stream::unfold(n, move |left| async move {
                let rest = left.checked_sub(1)?;
                tokio::time::sleep(pause).await;
                Some((Ok::<_, Infallible>(peer_common::tick()), rest))
            });
            return (OCTETS, Body::from_stream(ticks)).into_response();
        }
        Ask::Stream(n) => {
            let chunk = |_| Ok::<_, Infallible>(Bytes::from_static(peer_common::CHUNK));
            let body = Body::from_stream(futures_util::stream::iter((0..n).map(chunk)));
            return (OCTETS, body).into_response();
        }
        _ => {}
    }
    hello().await.into_response()
}

async fn poll() -> impl IntoResponse {
    // Hears of what is published from here on, polled or not.
    let news = NEWS.notified();
    let _counted = Waiting::new();
    news.await;
    hello().await
}

async fn publish() -> impl IntoResponse {
    NEWS.notify_waiters();
    hello().await
}

fn app() -> Router {
    let mut router = Router::new()
        .route("/", get(hello))
        .route("/sleep", get(with_number))
        .route("/compute", get(with_number))
        .route("/stream", get(with_number))
        .route("/ticks", get(with_number))
        .nest_service("/file", ServeDir::new(peer_common::files()))
        .merge(sockets::routes())
        .merge(forms::routes())
        .route(
            "/order",
            post(async |Json(order): Json<Order>| Json(order.receipt())),
        )
        .route("/json", get(async || Json(Message::HELLO)))
        .route("/echo", post(async |body: Bytes| (OCTETS, body)))
        .route("/large", get(async || (OCTETS, &peer_common::LARGE[..])))
        .route("/poll", get(poll))
        .route("/publish", get(publish))
        .route("/waiting", get(async || Waiting::count().to_string()));
    for index in 0..peer_common::ROUTES {
        let named = async |Path((id, name)): Path<(i64, String)>| format!("{id} {name}");
        router = router.route(&format!("/r{index:02}/{{id}}/{{name}}"), get(named));
    }
    if peer_common::has_many_routes() {
        router = many_routes(router);
    }
    // As its docs advise: without this, each connection would get a copy of all routes.
    router
        .layer(DefaultBodyLimit::max(peer_common::MAX_ECHO))
        .with_state(())
}

fn many_routes(mut router: Router) -> Router {
    for (rule, wildcards) in peer_common::many_rules('{', '}') {
        router = match wildcards {
            0 => router.route(&rule, get(hello)),
            1 => router.route(&rule, get(async |Path(one): Path<String>| one)),
            _ => {
                let both = async |Path((user, id)): Path<(String, String)>| format!("{user} {id}");
                router.route(&rule, get(both))
            }
        };
    }
    router
}

fn main() -> io::Result<()> {
    let flags = peer_common::flags();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(flags.cores)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(flags.bind).await?;
        peer_common::listening_on(listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            // A socket that refuses it has been closed by its client already.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app().into_make_service()).await
    })
}
