//! A report of made-up figures: everything that a reader must find is there, and the
//! page needs nothing from elsewhere.

use serde_json::json;

use super::*;
use crate::contender::{Contender, Engine, Peer};
use crate::results::{Metric, Row, Sample, Table};
use crate::scenario::Scenario;

fn row(contender: Contender, figures: &[f64], metric: Metric) -> Row {
    let rounds = figures
        .iter()
        .map(|&value| Ok(Sample::from([(metric, value)])))
        .collect();
    Row {
        contender,
        version: "9.9.9".to_owned(),
        rounds,
        skipped: None,
    }
}

fn results() -> Results {
    let green = Contender::Engine(Engine::Green);
    let threads = Contender::Engine(Engine::Threads);
    let mut floor = row(Contender::Peer(Peer::Floor), &[], Metric::PerSecond);
    floor.skipped = Some("parses nothing & <sleeps> never".to_owned());
    let polls = |n: usize, served: f64| Table {
        scenario: Scenario::LongPoll(n),
        rows: vec![
            row(green, &[served], Metric::PerSecond),
            row(threads, &[40.0], Metric::PerSecond),
            floor.clone(),
        ],
    };
    let mut broken = row(
        Contender::Peer(Peer::Hyper),
        &[9.0, 10.0],
        Metric::CpuPerRequest,
    );
    broken.rounds.push(Err("ended at start".to_owned()));
    let cpu = Table {
        scenario: Scenario::KeepAlive,
        rows: vec![row(green, &[8.0, 9.0, 8.5], Metric::CpuPerRequest), broken],
    };
    Results {
        machine: json!({ "processor": "a \"fast\" one", "arguments": ["--quick"] }),
        options: json!({ "interrupted": true }),
        tables: vec![cpu, polls(20, 40.0), polls(1_000, 2_000.0)],
    }
}

#[test]
fn the_page_tells_everything_and_loads_nothing() {
    let results = results();
    let page = html::page(&results, &svg::plots(&results), &[]);
    for wanted in [
        "a &quot;fast&quot; one",
        "parses nothing &amp; &lt;sleeps&gt; never",
        "hyper: round 3: ended at start",
        "interrupted",
        "9.9.9",
        "8.50 us ±6%",
        "aria-label",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
    for foreign in ["<script", "src=", "href=", "url(", "@import", "NaN", "inf"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn there_is_a_plot_for_each_table_and_two_for_the_long_polls() {
    let plots = svg::plots(&results());
    let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
    // Nobody told resident bytes, so their picture is not there.
    assert_eq!(
        names,
        ["longpoll-rate", "keepalive", "longpoll-20", "longpoll-1000"]
    );
    for plot in &plots {
        let file = plot.standalone();
        assert!(file.starts_with("<svg xmlns=") && file.ends_with("</svg>\n"));
        assert!(!file.contains("NaN"), "{file}");
    }
}

#[test]
fn the_terminal_gets_tables_and_notes() {
    let text = text(&results());
    assert!(text.contains("Hello over keep-alive (keepalive)"), "{text}");
    assert!(text.contains("floor: parses nothing"), "{text}");
    // hyper was 9/8 and 10/9 of Greenway: the median of the ratios.
    assert!(text.contains("1.12"), "{text}");
}

#[test]
fn a_folder_is_written() {
    let folder = std::env::temp_dir().join(format!("greenway-report-{}", std::process::id()));
    write(&folder, &results(), &[]).unwrap();
    let json = fs::read_to_string(folder.join("report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["format"], crate::results::FORMAT);
    assert_eq!(
        json["scenarios"][0]["rows"][1]["rounds"][2]["error"],
        "ended at start"
    );
    assert!(folder.join("report.html").exists() && folder.join("keepalive.svg").exists());
    fs::remove_dir_all(folder).unwrap();
}
