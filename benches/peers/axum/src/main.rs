//! Peer: axum on tokio's multi-thread runtime, `axum::serve` with `TCP_NODELAY`, as
//! its docs and examples have it.

use std::io;

use axum::Router;
use axum::http::Uri;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::routing::get;
use axum::serve::ListenerExt;

async fn hello() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "text/plain")], peer_common::HELLO)
}

async fn sleep(uri: Uri) -> ([(HeaderName, &'static str); 1], &'static str) {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if let Some(time) = peer_common::sleep_asked(target) {
        tokio::time::sleep(time).await;
    }
    hello().await
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
        axum::serve(
            listener,
            Router::new()
                .route("/", get(hello))
                .route("/sleep", get(sleep)),
        )
        .await
    })
}
