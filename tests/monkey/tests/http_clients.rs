//! Clients for HTTP: `ureq`, libcurl, and `reqwest::blocking`, against a server of ours.

use curl::easy::Easy;
use greenway::green::{Timeout, unblock};
use greenway_monkey_tests::{at_once, begin, crowd, slow_server};
use std::time::Duration;

const SLOW: Duration = Duration::from_millis(500);

fn base(server: &greenway::Running) -> String {
    format!("http://{}", server.addrs()[0])
}

#[test]
fn ureq_a_thousand_at_once() {
    begin();
    let server = slow_server(SLOW);
    let base = base(&server);
    at_once(1000, SLOW, move |n| {
        let mut response = ureq::get(format!("{base}/slow/{n}")).call().unwrap();
        assert_eq!(response.body_mut().read_to_string().unwrap(), n.to_string());
    });
}

#[test]
fn ureq_with_one_agent_for_all_and_its_limits() {
    begin();
    let server = slow_server(SLOW);
    let base = base(&server).replace("127.0.0.1", "localhost"); // asks the name threads
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_millis(100)))
        .build()
        .into();
    crowd(100, move |n| {
        let error = agent.get(format!("{base}/slow/{n}")).call().unwrap_err();
        assert!(matches!(error, ureq::Error::Timeout(_)), "{error:?}");
    });
}

/// The body of an answer, and how the transfer has ended.
fn fetch(curl: &mut Easy) -> (String, Result<(), curl::Error>) {
    let mut body = Vec::new();
    let mut transfer = curl.transfer();
    transfer
        .write_function(|piece| {
            body.extend_from_slice(piece);
            Ok(piece.len())
        })
        .unwrap();
    let ended = transfer.perform();
    drop(transfer);
    (String::from_utf8(body).unwrap(), ended)
}

#[test]
fn libcurl_five_hundred_at_once() {
    begin();
    let server = slow_server(SLOW);
    let base = base(&server);
    at_once(500, SLOW, move |n| {
        let mut curl = Easy::new();
        curl.url(&format!("{base}/slow/{n}")).unwrap();
        let (body, ended) = fetch(&mut curl);
        ended.unwrap();
        assert_eq!(body, n.to_string());
    });
}

#[test]
fn libcurl_looks_names_up_and_has_limits() {
    begin();
    let server = slow_server(SLOW);
    let base = base(&server).replace("127.0.0.1", "localhost");
    crowd(50, move |n| {
        let mut curl = Easy::new();
        curl.url(&format!("{base}/slow/{n}")).unwrap();
        if n % 2 == 0 {
            let (body, ended) = fetch(&mut curl);
            ended.unwrap();
            assert_eq!(body, n.to_string());
        } else {
            curl.timeout(Duration::from_millis(100)).unwrap();
            assert!(fetch(&mut curl).1.unwrap_err().is_operation_timedout());
        }
    });
}

#[test]
fn libcurl_ends_with_its_green_thread() {
    begin();
    let server = slow_server(Duration::from_secs(30));
    let base = base(&server);
    crowd(20, move |n| {
        let mut curl = Easy::new();
        curl.url(&format!("{base}/slow/{n}")).unwrap();
        let mut error = None;
        let limited = Timeout::run(Duration::from_millis(100), || {
            error = fetch(&mut curl).1.err();
            greenway::green::sleep(Duration::MAX);
        });
        assert!(limited.is_err());
        assert!(error.is_some(), "it has told its caller");
    });
}

/// `reqwest::blocking` has an OS thread with an asynchronous runtime for each client, and waits for it by
/// parking: it works as it is.
#[test]
fn reqwest_many_at_once() {
    begin();
    let server = slow_server(SLOW);
    let base = base(&server);
    // One client for all, as its documentation says.
    let client = reqwest::blocking::Client::new();
    at_once(300, SLOW, move |n| {
        let response = client.get(format!("{base}/slow/{n}")).send().unwrap();
        assert_eq!(response.text().unwrap(), n.to_string());
    });
}

#[test]
fn reqwest_a_client_for_each() {
    begin();
    let server = slow_server(SLOW);
    let base = base(&server);
    at_once(50, SLOW, move |n| {
        let response = reqwest::blocking::get(format!("{base}/slow/{n}")).unwrap();
        assert_eq!(response.text().unwrap(), n.to_string());
    });
}

#[test]
fn reqwest_through_the_pool() {
    begin();
    let server = slow_server(Duration::from_millis(50));
    let base = base(&server);
    let client = reqwest::blocking::Client::new();
    crowd(50, move |n| {
        let (client, url) = (client.clone(), format!("{base}/slow/{n}"));
        let text = unblock(move || client.get(url).send().unwrap().text().unwrap());
        assert_eq!(text, n.to_string());
    });
}

/// A park returns for no reason when its thread is to end, and `reqwest` parks again: what ends its wait is the
/// answer, or its own timeout.
#[test]
fn reqwest_goes_on_to_its_answer() {
    begin();
    let server = slow_server(Duration::from_millis(200));
    let base = base(&server);
    let client = reqwest::blocking::Client::new();
    crowd(20, move |n| {
        let text = Timeout::run(Duration::from_millis(20), || {
            let response = client.get(format!("{base}/slow/{n}")).send().unwrap();
            response.text().unwrap()
        });
        assert_eq!(text.unwrap(), n.to_string());
        let mut quick = client.get(format!("{base}/slow/{n}"));
        quick = quick.timeout(Duration::from_millis(50));
        assert!(quick.send().unwrap_err().is_timeout());
    });
}
