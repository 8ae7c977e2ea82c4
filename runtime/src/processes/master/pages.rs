//! What the metrics of a master show: the pages of its processes as one.

use super::questions::{Answers, Asking, Own};
use crate::server::{PROMETHEUS, Page, Pages};
use http::StatusCode;
use std::fmt::Write;

#[derive(Debug)]
pub(super) struct MasterPages(pub(super) Asking);

impl Pages for MasterPages {
    fn page(&self, path: &str, query: Option<&str>) -> Option<Page> {
        if !["/metrics", "/threads", "/healthz", "/readyz"].contains(&path) {
            return None;
        }
        let asked = match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let Some(answers) = self.0.ask(asked) else {
            let why = "the master does not answer\n".to_owned();
            return Some(Page::verdict(false, why));
        };
        Some(match path {
            "/metrics" => Page::good(PROMETHEUS, numbers(&answers)),
            "/threads" => Page::good("text/plain", one_after_the_other(&answers)),
            "/healthz" => live(&answers),
            _ => ready(&answers),
        })
    }
}

fn numbers(answers: &Answers) -> String {
    let mut sums = answers.own.counted.clone();
    for answer in &answers.answers {
        sums.add_page(answer.number, &answer.body);
    }
    let Own {
        starting,
        serving,
        leaving,
        wanted,
        lost,
        replaced,
        ..
    } = answers.own;
    let silent = answers.asked - answers.answers.len();
    sums.add(
        "greenway_processes",
        "gauge",
        "Processes by what they do.",
        &[
            ("{state=\"starting\"}", starting as f64),
            ("{state=\"serving\"}", serving as f64),
            ("{state=\"leaving\"}", leaving as f64),
        ],
    );
    let silent_help = "Processes whose numbers are missing here, since they do not answer.";
    for (name, kind, help, value) in [
        (
            "greenway_processes_wanted",
            "gauge",
            "Processes that are to serve.",
            wanted as f64,
        ),
        (
            "greenway_processes_silent",
            "gauge",
            silent_help,
            silent as f64,
        ),
        (
            "greenway_processes_lost_total",
            "counter",
            "Processes that have ended unasked.",
            lost as f64,
        ),
        (
            "greenway_processes_replaced_total",
            "counter",
            "Processes that were told to go when another one served in their place.",
            replaced as f64,
        ),
    ] {
        sums.add(name, kind, help, &[("", value)]);
    }
    sums.render()
}

fn one_after_the_other(answers: &Answers) -> String {
    let mut page = String::new();
    for answer in &answers.answers {
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "process {} (pid {})\n{}",
            answer.number, answer.process, answer.body
        );
    }
    let silent = answers.asked - answers.answers.len();
    if silent > 0 {
        let _ = writeln!(page, "{silent} of {} do not answer", answers.asked);
    }
    page
}

/// What processes say who are not well.
fn complaints(answers: &Answers) -> String {
    let mut text = String::new();
    for answer in &answers.answers {
        if answer.status != StatusCode::OK {
            for line in answer.body.lines() {
                let _ = writeln!(text, "process {}: {line}", answer.number);
            }
        }
    }
    let silent = answers.asked - answers.answers.len();
    if silent > 0 {
        let _ = writeln!(text, "{silent} of {} do not answer", answers.asked);
    }
    text
}

/// It lives if all of its processes do. One that has ended is started again, and is no reason to end
/// the others.
fn live(answers: &Answers) -> Page {
    let text = complaints(answers);
    match (text.is_empty(), answers.own.stopping) {
        (true, false) => Page::verdict(true, "ok\n".to_owned()),
        (true, true) => Page::verdict(true, "ok, stopping\n".to_owned()),
        (false, _) => Page::verdict(false, text),
    }
}

/// It takes requests if one of its processes does: they share a queue.
fn ready(answers: &Answers) -> Page {
    let one_is = (answers.answers.iter()).any(|answer| answer.status == StatusCode::OK);
    match (one_is, answers.own.stopping) {
        (true, false) => Page::verdict(true, "ok\n".to_owned()),
        (_, true) => Page::verdict(false, "stopping\n".to_owned()),
        (false, false) => {
            let mut text = complaints(answers);
            if text.is_empty() {
                text.push_str("no process serves\n");
            }
            Page::verdict(false, text)
        }
    }
}
