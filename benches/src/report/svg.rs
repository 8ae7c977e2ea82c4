//! The pictures: bars with the range of the rounds for each scenario, and lines over
//! the number of long polls. Plain SVG text; colours are CSS variables, so that the
//! same plot is light or dark as the reader is, inline and as a file.

use std::fmt::Write as _;

use crate::contender::{Contender, Engine, Peer};
use crate::results::{Metric, Results, Row, Table};
use crate::scenario::Scenario;

/// The variables that the plots use, for light and dark.
pub(super) const LIGHT: &str = "--ink:#1c2126;--dim:#5c6670;--line:#d9dee3;--paper:#ffffff;\
    --green:#12805c;--threads:#c2571a;--hosted:#7447b8;--peer:#8a949e;--floor:#c3cad1";
pub(super) const DARK: &str = "--ink:#e8ebee;--dim:#9aa5b0;--line:#343c44;--paper:#15191d;\
    --green:#3ec796;--threads:#f0914f;--hosted:#b596ee;--peer:#7d8791;--floor:#4b545d";

/// Width of all plots in user units; they scale with the page. About that of a phone, so that
/// letters can be read there.
const WIDTH: f64 = 440.0;
const TEXT: &str = "font-family=\"system-ui,sans-serif\" font-size=\"13\"";

/// A picture with its place in the report.
#[derive(Debug)]
pub(super) struct Plot {
    /// File name without ending, and the scenario's name for bars.
    pub(super) name: String,
    /// What it shows, in words, for those who cannot see it.
    label: String,
    height: f64,
    body: String,
}

impl Plot {
    /// To be put into a page that defines the colours.
    pub(super) fn inline(&self) -> String {
        self.element("")
    }

    /// A file of its own.
    pub(super) fn standalone(&self) -> String {
        let style = format!(
            "<style>:root{{{LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}</style>\
             <rect width=\"100%\" height=\"100%\" fill=\"var(--paper)\"/>"
        );
        self.element(&style)
    }

    fn element(&self, before: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" \
             aria-label=\"{}\" {TEXT}>{before}{}</svg>\n",
            self.height,
            escape(&self.label),
            self.body
        )
    }
}

/// All pictures of a run: the long polls first.
pub(super) fn plots(results: &Results) -> Vec<Plot> {
    let polls: Vec<(usize, &Table)> = results
        .tables
        .iter()
        .filter_map(|table| match table.scenario {
            Scenario::LongPoll(n) => Some((n, table)),
            _ => None,
        })
        .collect();
    let mut plots = Vec::new();
    if polls.len() > 1 {
        plots.extend(lines("longpoll-rate", Metric::PerSecond, &polls));
        plots.extend(lines("longpoll-memory", Metric::Resident, &polls));
    }
    plots.extend(results.tables.iter().filter_map(bars));
    plots
}

fn colour(contender: Contender) -> &'static str {
    match contender {
        Contender::Engine(Engine::Green) | Contender::Other(Engine::Green) => "var(--green)",
        Contender::Engine(Engine::Threads) | Contender::Other(Engine::Threads) => "var(--threads)",
        Contender::Engine(Engine::MiniHttp) | Contender::Other(Engine::MiniHttp) => "var(--hosted)",
        Contender::Peer(Peer::Floor) => "var(--floor)",
        Contender::Peer(_) => "var(--peer)",
    }
}

/// A bar per contender for the scenario's first figure, with a whisker over the rounds.
fn bars(table: &Table) -> Option<Plot> {
    const NAME: f64 = 138.0;
    const FIGURE: f64 = 96.0;
    const ROW: f64 = 28.0;
    let metric = *table.scenario.metrics().first()?;
    let figures: Vec<_> = table
        .rows
        .iter()
        .filter_map(|row| Some((row, row.summary(metric)?)))
        .collect();
    let largest = figures
        .iter()
        .map(|(_, figure)| figure.max)
        .fold(0.0, f64::max);
    if largest <= 0.0 {
        return None;
    }
    let scale = (WIDTH - NAME - FIGURE) / largest;
    let mut body = String::new();
    let better = match metric.smaller_is_better() {
        Some(true) => ", less is better",
        Some(false) => ", more is better",
        None => "",
    };
    text(
        &mut body,
        0.0,
        16.0,
        "start",
        "var(--dim)",
        &format!("{}{better}", metric.title()),
    );
    for (index, (row, figure)) in figures.iter().enumerate() {
        let top = 26.0 + index as f64 * ROW;
        let middle = top + 14.0;
        let weight = if row.contender.is_ours() {
            "var(--ink)"
        } else {
            "var(--dim)"
        };
        text(
            &mut body,
            NAME - 10.0,
            middle + 4.5,
            "end",
            weight,
            row.contender.name(),
        );
        let _ = write!(
            body,
            "<rect x=\"{NAME}\" y=\"{:.1}\" width=\"{:.1}\" height=\"16\" rx=\"2\" fill=\"{}\"/>",
            middle - 8.0,
            (figure.median * scale).max(1.0),
            colour(row.contender)
        );
        let (from, to) = (NAME + figure.min * scale, NAME + figure.max * scale);
        if to - from > 1.0 {
            let _ = write!(
                body,
                "<path d=\"M{from:.1} {middle:.1}H{to:.1}M{from:.1} {:.1}v8M{to:.1} {:.1}v8\" \
                 stroke=\"var(--ink)\" fill=\"none\"/>",
                middle - 4.0,
                middle - 4.0
            );
        }
        let shown = metric.show(figure.median);
        let end = f64::max(to, NAME + figure.median * scale) + 8.0;
        text(&mut body, end, middle + 4.5, "start", "var(--ink)", &shown);
    }
    let label = format!("{}: {}", table.scenario.title(), metric.title());
    let height = 32.0 + figures.len() as f64 * ROW;
    Some(Plot {
        name: table.scenario.id(),
        label,
        height,
        body,
    })
}

/// Both axes logarithmic: the number of polls, and a figure. A name at each line's end.
fn lines(name: &str, metric: Metric, polls: &[(usize, &Table)]) -> Option<Plot> {
    const LEFT: f64 = 62.0;
    const RIGHT: f64 = 132.0;
    const TOP: f64 = 30.0;
    const HEIGHT: f64 = 320.0;
    const BOTTOM: f64 = 46.0;
    let figure = |row: &Row| Some(row.summary(metric)?.median).filter(|&median| median > 0.0);
    let all: Vec<f64> = polls
        .iter()
        .flat_map(|(_, table)| table.rows.iter().filter_map(figure))
        .collect();
    let low = all
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min)
        .log10()
        .floor();
    let high = all
        .iter()
        .copied()
        .fold(0.0, f64::max)
        .log10()
        .ceil()
        .max(low + 1.0);
    let (first, last) = (polls.first()?.0 as f64, polls.last()?.0 as f64);
    if all.is_empty() || first >= last {
        return None;
    }
    let across = |n: f64| {
        LEFT + (n.log10() - first.log10()) / (last / first).log10() * (WIDTH - LEFT - RIGHT)
    };
    let up = |value: f64| {
        HEIGHT - BOTTOM - (value.log10() - low) / (high - low) * (HEIGHT - BOTTOM - TOP)
    };
    let mut body = String::new();
    text(&mut body, 0.0, 16.0, "start", "var(--dim)", metric.title());
    let (mut power, end) = (low, WIDTH - RIGHT);
    // At most some ten powers of ten: the figures are finite and above zero.
    while power <= high {
        let y = up(10_f64.powf(power));
        let _ = write!(
            body,
            "<path d=\"M{LEFT} {y:.1}H{end}\" stroke=\"var(--line)\"/>"
        );
        let shown = axis(metric, 10_f64.powf(power));
        text(&mut body, LEFT - 8.0, y + 4.5, "end", "var(--dim)", &shown);
        power += 1.0;
    }
    for &(n, _) in polls {
        let shown = Metric::PerSecond.show(n as f64);
        text(
            &mut body,
            across(n as f64),
            HEIGHT - 26.0,
            "middle",
            "var(--dim)",
            &shown,
        );
    }
    text(
        &mut body,
        f64::midpoint(LEFT, end),
        HEIGHT - 6.0,
        "middle",
        "var(--dim)",
        "long polls at once",
    );
    let mut ends = Vec::new();
    // In reverse, so that Greenway, which comes first in tables, is drawn on top.
    for row in polls.first()?.1.rows.iter().rev() {
        let points: Vec<(f64, f64)> = polls
            .iter()
            .filter_map(|(n, table)| {
                Some((across(*n as f64), up(figure(table.row(row.contender)?)?)))
            })
            .collect();
        let Some(&(_, y)) = points.last() else {
            continue;
        };
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        let (ours, stroke) = (row.contender.is_ours(), colour(row.contender));
        let _ = write!(
            body,
            "<path d=\"M{}\" stroke=\"{stroke}\" stroke-width=\"{}\" fill=\"none\"/>",
            path.join("L"),
            if ours { 2.5 } else { 1.5 }
        );
        for (x, y) in &points {
            let _ = write!(
                body,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\" fill=\"{stroke}\"/>",
                if ours { 4 } else { 2 }
            );
        }
        ends.push((y, row.contender));
    }
    for (y, contender) in spread_out(ends, 16.0, TOP, HEIGHT - BOTTOM + 10.0) {
        let ink = if contender.is_ours() {
            colour(contender)
        } else {
            "var(--dim)"
        };
        text(
            &mut body,
            end + 10.0,
            y + 4.5,
            "start",
            ink,
            contender.name(),
        );
    }
    let label = format!("{} over the number of long polls", metric.title());
    Some(Plot {
        name: name.to_owned(),
        label,
        height: HEIGHT,
        body,
    })
}

/// Moves names apart so that they can be read, keeping their order.
fn spread_out(
    mut ends: Vec<(f64, Contender)>,
    gap: f64,
    top: f64,
    bottom: f64,
) -> Vec<(f64, Contender)> {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut least = top;
    for end in &mut ends {
        end.0 = end.0.max(least);
        least = end.0 + gap;
    }
    let mut most = bottom;
    for end in ends.iter_mut().rev() {
        end.0 = end.0.min(most);
        most = end.0 - gap;
    }
    ends
}

/// A power of ten on an axis.
fn axis(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Resident if value >= 1e9 => format!("{:.0} GB", value / 1e9),
        Metric::Resident => format!("{:.0} MB", value / 1e6),
        _ if value >= 1e3 => format!("{:.0}k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, fill: &str, words: &str) {
    let _ = write!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{fill}\">{}</text>",
        escape(words)
    );
}

/// Text for HTML and SVG, attribute values included.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}
