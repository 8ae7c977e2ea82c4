//! Peer: actix-web, a worker per core (its own model), no middleware.

use std::convert::Infallible;
use std::io;

use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use peer_common::{Ask, Message, Order, Profile, Waiting};
use tokio::sync::Notify;

/// Waked by `/publish`, whichever worker the waiting handler is on.
static NEWS: Notify = Notify::const_new();

async fn hello() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain")
        .body(peer_common::HELLO)
}

/// The routes whose query says how long or how many.
async fn with_number(request: HttpRequest) -> HttpResponse {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    match peer_common::ask(target) {
        Ask::Sleep(time) => actix_web::rt::time::sleep(time).await,
        Ask::Compute(time) => peer_common::compute(time),
        Ask::Ticks(n, pause) => {
            let ticks = futures_util::stream::unfold(n, move |left| async move {
                let rest = left.checked_sub(1)?;
                actix_web::rt::time::sleep(pause).await;
                Some((Ok::<_, Infallible>(Bytes::from(peer_common::tick())), rest))
            });
            return HttpResponse::Ok()
                .content_type("application/octet-stream")
                .streaming(Box::pin(ticks));
        }
        Ask::Stream(n) => {
            let chunk = |_| Ok::<_, Infallible>(Bytes::from_static(peer_common::CHUNK));
            return HttpResponse::Ok()
                .content_type("application/octet-stream")
                .streaming(futures_util::stream::iter((0..n).map(chunk)));
        }
        _ => {}
    }
    hello().await
}

async fn poll() -> HttpResponse {
    // Hears of what is published from here on, polled or not.
    let news = NEWS.notified();
    let _counted = Waiting::new();
    news.await;
    hello().await
}

async fn publish() -> HttpResponse {
    NEWS.notify_waiters();
    hello().await
}

fn octets(body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/octet-stream")
        .body(body)
}

async fn named(path: web::Path<(i64, String)>) -> String {
    let (id, name) = path.into_inner();
    format!("{id} {name}")
}

fn routes(app: &mut ServiceConfig) {
    app.app_data(web::PayloadConfig::new(peer_common::MAX_ECHO))
        .route("/", web::get().to(hello))
        .route("/sleep", web::get().to(with_number))
        .route("/compute", web::get().to(with_number))
        .route("/stream", web::get().to(with_number))
        .route("/ticks", web::get().to(with_number))
        .service(actix_files::Files::new("/file", peer_common::files()))
        .route("/json", web::get().to(async || web::Json(Message::HELLO)))
        .route(
            "/order",
            web::post().to(async |order: web::Json<Order>| web::Json(order.into_inner().receipt())),
        )
        .route(
            "/form",
            web::post().to(async |form: web::Form<Profile>| form.summary()),
        )
        .route("/echo", web::post().to(async |body: Bytes| octets(body)))
        .route(
            "/large",
            web::get().to(async || octets(Bytes::from_static(&peer_common::LARGE))),
        )
        .route("/poll", web::get().to(poll))
        .route("/publish", web::get().to(publish))
        .route(
            "/waiting",
            web::get().to(async || Waiting::count().to_string()),
        );
    for index in 0..peer_common::ROUTES {
        app.route(
            &format!("/r{index:02}/{{id}}/{{name}}"),
            web::get().to(named),
        );
    }
    if peer_common::has_many_routes() {
        for (rule, wildcards) in peer_common::many_rules('{', '}') {
            let route = match wildcards {
                0 => web::get().to(hello),
                1 => web::get().to(async |path: web::Path<String>| path.into_inner()),
                _ => web::get().to(async |path: web::Path<(String, String)>| {
                    let (user, id) = path.into_inner();
                    format!("{user} {id}")
                }),
            };
            app.route(&rule, route);
        }
    }
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let flags = peer_common::flags();
    let mut server = HttpServer::new(|| App::new().configure(routes))
        .workers(flags.cores)
        // The defaults are 25,000 open connections per worker and a backlog of 1024.
        .backlog(4096)
        // The default of five seconds would close the idle connections while they are counted.
        .keep_alive(std::time::Duration::from_secs(600))
        .bind(flags.bind)?;
    if let Some(time) = flags.head_timeout {
        server = server.client_request_timeout(time);
    }
    for address in server.addrs() {
        peer_common::listening_on(address);
    }
    server.run().await
}
