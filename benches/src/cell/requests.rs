//! The requests of each scenario, as they go on the wire. The routes that they ask for
//! are the same in every server.

use std::net::SocketAddr;
use std::time::Duration;

use crate::load::frame;
use crate::load::upload::{ending, form_opening, form_type, noise};
use crate::probe::{self, post, post_chunked, post_typed, request};
use crate::scenario::{
    BROWSER, CHUNKED_BODY, CHUNKS, MANY_ROUTES, MESSAGE, PIECE, SMALL_FILE, Scenario,
};

/// What the clients of a scenario send, in turn; `poll` is the sleep of a long poll.
pub(super) fn of(scenario: Scenario, poll: Duration) -> Vec<Vec<u8>> {
    match scenario {
        Scenario::Headers => vec![request("/", &BROWSER)],
        Scenario::Json => vec![request("/json", &[])],
        Scenario::Routing(MANY_ROUTES) => {
            let things = (0..MANY_ROUTES / 4).flat_map(|n| {
                [
                    format!("/api/v1/thing{n}"),
                    format!("/api/v1/thing{n}/{}", 1_000 + n),
                    format!("/users/ada/thing{n}"),
                    format!("/users/ada/thing{n}/{}", 1_000 + n),
                ]
            });
            things.map(|target| request(&target, &[])).collect()
        }
        Scenario::Routing(routes) => (0..routes)
            .map(|route| request(&format!("/r{route:02}/{}/ada", 1_000 + route), &[]))
            .collect(),
        Scenario::JsonIn => vec![post_typed("/order", "application/json", &order())],
        Scenario::FormFields => {
            let urlencoded = "application/x-www-form-urlencoded";
            vec![post_typed("/form", urlencoded, PROFILE.as_bytes())]
        }
        Scenario::FormFile => {
            let fields = [("name", "Ada Lovelace"), ("note", "as promised")];
            let file = noise(SMALL_FILE);
            let form = [form_opening(&fields, "notes.bin"), file, ending()].concat();
            vec![post_typed("/upload", &form_type(), &form)]
        }
        Scenario::Post(length) => vec![post("/echo", length)],
        Scenario::ChunkedIn => vec![post_chunked("/echo", CHUNKED_BODY, PIECE)],
        Scenario::Static(length) => {
            let name = match length {
                0..=0xffff => "1k",
                0x1_0000..=0xf_ffff => "100k",
                _ => "1m",
            };
            vec![request(&format!("/file/{name}"), &[])]
        }
        Scenario::SocketEcho(_) => vec![frame(&[b'x'; MESSAGE])],
        Scenario::Stream => vec![request(&format!("/stream?n={CHUNKS}"), &[])],
        Scenario::Mixed(_) => {
            let hello = request("/", &[]);
            let json = request("/json", &[]);
            let (post, sleep) = (post("/echo", 1024), request("/sleep?ms=20", &[]));
            let ten = [
                &hello, &json, &hello, &post, &hello, &hello, &json, &hello, &sleep, &hello,
            ];
            ten.into_iter().cloned().collect()
        }
        Scenario::LongPoll(_) => {
            vec![request(&format!("/sleep?ms={}", poll.as_millis()), &[])]
        }
        _ => vec![request("/", &[])],
    }
}

/// A URL-encoded form as browsers send it.
const PROFILE: &str = "name=Ada+Lovelace&email=ada%40example.org&city=London&age=36&\
    note=Met+Mr.+Babbage+at+a+party+%28June+1833%29.+Will+write+about+his+engine%2C+soon.";

/// An order of sixteen lines.
fn order() -> Vec<u8> {
    let items = (0..16_u32).map(|n| {
        let (count, price) = (n % 3 + 1, 100 + n);
        format!(r#"{{"name":"Gear wheel, brass, No. {n}","count":{count},"price":{price}}}"#)
    });
    let items = items.collect::<Vec<_>>().join(",");
    let note = "Deliver to the workshop behind the house; ring twice.";
    format!(r#"{{"customer":"Ada Lovelace","items":[{items}],"note":"{note}"}}"#).into_bytes()
}

/// Where an answer holds what was computed from the request, it must be right.
pub(super) fn check(scenario: Scenario, address: SocketAddr) -> Result<(), String> {
    let wanted = match scenario {
        Scenario::JsonIn => r#"{"customer":"Ada Lovelace","pieces":31,"total":3335}"#.to_owned(),
        Scenario::FormFields => "Ada Lovelace 36 107".to_owned(),
        Scenario::FormFile => format!("12 11 {SMALL_FILE}"),
        Scenario::Routing(MANY_ROUTES) => "ada 1249".to_owned(),
        _ => return Ok(()),
    };
    let mut requests = of(scenario, Duration::ZERO);
    let request = requests.pop().unwrap_or_default();
    let answer = probe::ask(address, &request, Duration::from_secs(5))
        .map_err(|error| format!("no answer: {error}"))?;
    let body = String::from_utf8_lossy(&answer.body)
        .replace(": ", ":")
        .replace(", \"", ",\"");
    if answer.status != 200 || body != wanted {
        return Err(format!("{} with {body:?}, not {wanted:?}", answer.status));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::ROUTES;

    #[test]
    fn the_mix_is_what_the_story_says() {
        let mix = of(Scenario::Mixed(1), Duration::ZERO);
        let count = |start: &[u8]| mix.iter().filter(|each| each.starts_with(start)).count();
        assert_eq!(mix.len(), 10);
        assert_eq!(count(b"GET / "), 6);
        assert_eq!(count(b"GET /json "), 2);
        assert_eq!(count(b"POST /echo "), 1);
        assert_eq!(count(b"GET /sleep?ms=20 "), 1);
        let routes = of(Scenario::Routing(ROUTES), Duration::ZERO);
        assert!(routes[99].starts_with(b"GET /r99/1099/ada HTTP/1.1\r\n"));
        let routes = of(Scenario::Routing(MANY_ROUTES), Duration::ZERO);
        assert_eq!(routes.len(), MANY_ROUTES);
    }

    #[test]
    fn an_order_is_a_kilobyte_of_json() {
        let order = order();
        assert!((850..1100).contains(&order.len()), "{}", order.len());
        let order: serde_json::Value = serde_json::from_slice(&order).unwrap();
        let line =
            |item: &serde_json::Value| item["count"].as_u64()?.checked_mul(item["price"].as_u64()?);
        let total: Option<u64> = order["items"].as_array().unwrap().iter().map(line).sum();
        assert_eq!(total, Some(3335));
    }
}
