//! Peer: axum on hyper and tokio, with `tokio-rustls` and the crypto of `ring`, as axum's example
//! `low-level-rustls` has it. One worker, as every server of `benches/tls/run`.

use axum::Router;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tower_http::services::ServeDir;

fn config(flags: &HashMap<String, String>) -> ServerConfig {
    let certs = CertificateDer::pem_file_iter(&flags["--certfile"]).expect("it can be read");
    let certs = certs.collect::<Result<_, _>>().expect("it is PEM");
    let key = PrivateKeyDer::from_pem_file(&flags["--keyfile"]).expect("it is PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("both are known")
        .with_no_client_auth()
        .with_single_cert(certs, key);
    let mut config = config.expect("the key belongs to the certificate");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new().expect("there are random numbers");
    config
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let flags: Vec<_> = std::env::args().skip(1).collect();
    let flags = flags.chunks_exact(2);
    let flags: HashMap<_, _> = flags.map(|two| (two[0].clone(), two[1].clone())).collect();
    let files = std::env::var_os("BENCH_FILES").unwrap_or_default();
    let app = Router::new()
        .route("/", get(async || "Hello, World!"))
        .nest_service("/file", ServeDir::new(files));
    let acceptor = TlsAcceptor::from(Arc::new(config(&flags)));
    let listener = TcpListener::bind(&flags["--bind"]).await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _fails_on_no_socket = stream.set_nodelay(true);
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let service = TowerToHyperService::new(app);
                let builder = Builder::new(TokioExecutor::new());
                let _ended = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}
