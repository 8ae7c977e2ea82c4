//! `report.html`: one file without anything from elsewhere, for a phone as for a desk,
//! light and dark.

use std::fmt::Write as _;

use serde_json::Value;

use super::svg::{DARK, LIGHT, Plot, escape};
use super::table;
use crate::compare::{Change, Move};
use crate::goals::{self, Verdict};
use crate::results::{Results, Table};

const STYLE: &str = "*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:1rem;\
    font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}\
    h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2.5rem 0 .25rem}\
    p{margin:.25rem 0 1rem;max-width:44rem}svg{width:100%;max-width:40rem;height:auto}\
    .scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem;\
    font-variant-numeric:tabular-nums}th,td{padding:.3rem .6rem;text-align:right;\
    border-bottom:1px solid var(--line);white-space:nowrap}th{color:var(--dim);font-weight:500}\
    th:first-child,td:first-child{text-align:left}td.wide{text-align:left;white-space:normal;\
    min-width:14rem}.dim,li{color:var(--dim);font-size:.875rem}.ours td{font-weight:600}\
    .good{color:var(--green)}.bad{color:var(--threads)}code{font-size:.875em;\
    overflow-wrap:anywhere}th:first-child,td:first-child{position:sticky;left:0;\
    background:var(--paper)}ul{padding-left:1.2rem}@media(max-width:40rem){.cards tr{display:block;\
    padding:.5rem 0;border-bottom:1px solid var(--line)}.cards tr:first-child,.cards .none{display:none}\
    .cards td{display:block;border:0;padding:.05rem 0;text-align:left;white-space:normal}\
    .cards td[data-is]::before{content:attr(data-is) \": \";color:var(--dim)}}";

/// The whole page.
pub(super) fn page(results: &Results, plots: &[Plot], changes: &[Change]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>Greenway benchmarks</title>\
         <style>:root{{{LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}{STYLE}</style>\
         </head><body>\n<h1>Greenway benchmarks</h1>\n"
    );
    opening(&mut page, results);
    let _ = writeln!(
        page,
        "<p>Measured: {}.</p>",
        escape(&results.versions().join("; "))
    );
    goals(&mut page, results);
    pictures(&mut page, plots);
    for scenario in &results.tables {
        section(&mut page, scenario, plots);
    }
    if !changes.is_empty() {
        comparison(&mut page, changes);
    }
    page.push_str(
        "<h2>How to read this</h2><p>Each round runs every contender once, in a process of its \
         own and in another order; a figure is the median of the rounds, ± half of their range. \
         The last column is the ratio of the first figure, taken within each round. CPU time and \
         resident memory are read from outside the server. Server and generator have cores of \
         their own; <i>generator</i> is how busy the generator's busiest thread was, and near \
         100 % it, not the server, bounds the answers per second. Latencies of the open loop \
         count from the moment at which a request was due.</p></body></html>\n",
    );
    page
}

fn opening(page: &mut String, results: &Results) {
    let told = |from: &Value, key: &str| match &from[key] {
        Value::String(text) => escape(text),
        Value::Null => "unknown".to_owned(),
        other => escape(&other.to_string()),
    };
    let (machine, options) = (&results.machine, &results.options);
    let memory = machine["memory_bytes"].as_f64().unwrap_or_default() / 1e9;
    let _ = writeln!(
        page,
        "<p>{processor}, {cores} cores, {memory:.0} GB; {system} {kernel}; {rustc}. \
         Server on cores {server}, generator on {generator}. Commit {commit}, mode \
         {mode}, rounds: {rounds}, load average {load} at the end.</p>",
        processor = told(machine, "processor"),
        cores = told(machine, "cores"),
        system = told(machine, "system"),
        kernel = told(machine, "kernel"),
        rustc = told(machine, "rustc"),
        server = told(options, "server_cores"),
        generator = told(options, "generator_cores"),
        commit = told(machine, "commit"),
        mode = told(options, "mode"),
        rounds = told(options, "rounds"),
        load = told(machine, "load_average"),
    );
    if options["interrupted"] == true {
        page.push_str("<p class=\"bad\">The run was interrupted: some figures are missing.</p>\n");
    }
    let arguments: Vec<&str> = machine["arguments"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let _ = writeln!(
        page,
        "<p>Again: <code>cargo run --release -p greenway-bench -- {}</code></p>",
        escape(&arguments.join(" "))
    );
}

/// A cell that narrow screens leave out when it says nothing.
fn maybe(title: &str, told: Option<&str>) -> String {
    told.map_or_else(
        || "<td class=\"none\">-</td>".to_owned(),
        |told| format!("<td data-is=\"{title}\">{}</td>", escape(told)),
    )
}

fn goals(page: &mut String, results: &Results) {
    page.push_str(
        "<h2>Goals</h2><div class=\"scroll\"><table class=\"cards\"><tr><th>Goal</th><th></th>\
         <th>Greenway</th><th>Limit</th><th>Against</th></tr>\n",
    );
    for goal in goals::judge(results) {
        let (class, verdict) = match goal.verdict {
            Verdict::Reached => ("good", "reached"),
            Verdict::Missed => ("bad", "missed"),
            Verdict::NotMeasured => ("dim", "not measured"),
        };
        let _ = writeln!(
            page,
            "<tr><td class=\"wide\">{}</td><td class=\"{class}\">{verdict}</td>\
             {}{}\
             <td class=\"wide\" data-is=\"Against\">{}</td></tr>",
            escape(goal.what),
            maybe("Greenway", goal.ours.as_deref()),
            maybe("Limit", goal.limit.as_deref()),
            escape(&goal.wanted),
        );
    }
    page.push_str("</table></div>\n");
}

/// The long polls: the picture that explains the project.
fn pictures(page: &mut String, plots: &[Plot]) {
    let polls: Vec<_> = plots
        .iter()
        .filter(|plot| matches!(plot.name.as_str(), "longpoll-rate" | "longpoll-memory"))
        .collect();
    if polls.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Long polls: threads stall, green threads do not</h2><p>Every client waits for an \
         answer that comes after a fixed sleep, and asks again. A pool of 20 threads answers 20 \
         of them at a time, however many ask.</p>\n",
    );
    for plot in polls {
        page.push_str(&plot.inline());
    }
}

fn section(page: &mut String, scenario: &Table, plots: &[Plot]) {
    let id = scenario.scenario.id();
    let _ = writeln!(
        page,
        "<h2 id=\"{id}\">{}</h2><p>{}</p>",
        escape(&scenario.scenario.title()),
        escape(&scenario.scenario.story())
    );
    if let Some(plot) = plots.iter().find(|plot| plot.name == id) {
        page.push_str(&plot.inline());
    }
    page.push_str("<div class=\"scroll\"><table>\n");
    for (index, line) in table::cells(scenario).iter().enumerate() {
        // The first line is the head; the others follow the rows.
        let row = index
            .checked_sub(1)
            .and_then(|index| scenario.ran().nth(index));
        let ours = row.is_some_and(|row| row.contender.is_ours());
        page.push_str(if ours { "<tr class=\"ours\">" } else { "<tr>" });
        let tag = if row.is_none() { "th" } else { "td" };
        for cell in line {
            let _ = write!(page, "<{tag}>{}</{tag}>", escape(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
    let notes = scenario.notes();
    if !notes.is_empty() {
        page.push_str("<ul>");
        for note in notes {
            let _ = write!(page, "<li>{}</li>", escape(&note));
        }
        page.push_str("</ul>\n");
    }
}

fn comparison(page: &mut String, changes: &[Change]) {
    page.push_str(
        "<h2>Against the earlier run</h2><div class=\"scroll\"><table><tr><th>Scenario</th>\
         <th>Contender</th><th>Figure</th><th>Then</th><th>Now</th><th></th><th></th></tr>\n",
    );
    for change in changes {
        let (class, verdict) = match change.judged() {
            Move::Better => ("good", "better"),
            Move::Worse => ("bad", "worse"),
            Move::Within => ("dim", "noise"),
        };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:+.1} %</td>\
             <td class=\"{class}\">{verdict}</td></tr>",
            escape(&change.scenario),
            change.contender,
            change.metric.title(),
            change.metric.show(change.old.median),
            change.metric.show(change.new.median),
            change.percent(),
        );
    }
    page.push_str("</table></div>\n");
}
