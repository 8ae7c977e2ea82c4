//! Peer: actix-web, a worker per core (its own model), no middleware.

use std::io;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

async fn hello() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain")
        .body(peer_common::HELLO)
}

async fn sleep(request: HttpRequest) -> HttpResponse {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    if let Some(time) = peer_common::sleep_asked(target) {
        actix_web::rt::time::sleep(time).await;
    }
    hello().await
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let flags = peer_common::flags();
    let server = HttpServer::new(|| {
        App::new()
            .route("/", web::get().to(hello))
            .route("/sleep", web::get().to(sleep))
    })
    .workers(flags.cores)
    // The defaults are 25,000 open connections per worker and a backlog of 1024.
    .backlog(4096)
    // The default of five seconds would close the idle connections while they are counted.
    .keep_alive(std::time::Duration::from_secs(600))
    .bind(flags.bind)?;
    for address in server.addrs() {
        peer_common::listening_on(address);
    }
    server.run().await
}
