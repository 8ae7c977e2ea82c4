//! The numbers of several processes as one page.
//!
//! Each process shows its own page, in Prometheus' text format; samples of the same name and labels
//! are added up. Where a sum says nothing (the lag of worker 0, the time since a start), each process
//! has a sample of its own, with its number as a label.
//!
//! A process that ends takes its counters with it, and a sum that fell would look like a restart of
//! everything. So its last counters are kept, and count for the sum.

use std::collections::HashMap;
use std::fmt::Write;

/// Families that are shown for each process.
const FOR_EACH: [&str; 6] = [
    "greenway_uptime_seconds",
    "greenway_green_threads",
    "greenway_worker_lag_seconds",
    "greenway_worker_held_up_total",
    "greenway_worker_held_up_seconds_total",
    "greenway_worker_held_up_longest_seconds",
];

/// The family that is the same of all of them.
const SAME: &str = "greenway_info";

/// Numbers by family, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    families: Vec<Family>,
    /// Where each family is.
    index: HashMap<String, usize>,
}

#[derive(Debug, Clone, Default)]
struct Family {
    name: String,
    kind: String,
    help: String,
    samples: Vec<(String, f64)>,
    /// Where each sample is.
    index: HashMap<String, usize>,
}

impl Sums {
    /// Adds the page of a process.
    pub(super) fn add_page(&mut self, process: usize, page: &str) {
        let mut at = None;
        for line in page.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (word, name) = (words.next(), words.next().unwrap_or_default());
                let rest = words.next().unwrap_or_default();
                let family = at.insert(self.family(name));
                match word {
                    Some("HELP") => rest.clone_into(&mut self.families[*family].help),
                    Some("TYPE") => rest.clone_into(&mut self.families[*family].kind),
                    _ => {}
                }
            } else if let (Some(at), Some((sample, value))) = (at, line.rsplit_once(' '))
                && let Ok(value) = value.parse::<f64>()
            {
                let family = &mut self.families[at];
                let for_each = FOR_EACH.contains(&&*family.name);
                match for_each {
                    true => family.add(&labelled(sample, process), value),
                    false => family.add(sample, value),
                }
            }
        }
    }

    /// Adds the counters of a process that has ended.
    pub(super) fn add_counters(&mut self, page: &str) {
        let mut all = Self::default();
        all.add_page(0, page);
        for family in all.families {
            let counts = ["counter", "histogram"].contains(&&*family.kind);
            if !counts || FOR_EACH.contains(&&*family.name) {
                continue;
            }
            let at = self.family(&family.name);
            self.families[at].kind = family.kind;
            self.families[at].help = family.help;
            for (sample, value) in family.samples {
                self.families[at].add(&sample, value);
            }
        }
    }

    /// Adds a family of the master's own.
    pub(super) fn add(&mut self, name: &str, kind: &str, help: &str, samples: &[(&str, f64)]) {
        let at = self.family(name);
        let family = &mut self.families[at];
        (family.kind, family.help) = (kind.to_owned(), help.to_owned());
        for (labels, value) in samples {
            family.add(&format!("{name}{labels}"), *value);
        }
    }

    fn family(&mut self, name: &str) -> usize {
        if let Some(at) = self.index.get(name) {
            return *at;
        }
        self.families.push(Family {
            name: name.to_owned(),
            ..Family::default()
        });
        let at = self.families.len() - 1;
        self.index.insert(name.to_owned(), at);
        at
    }

    /// All of them as a page.
    pub(super) fn render(&self) -> String {
        let mut page = String::with_capacity(8 * 1024);
        for family in &self.families {
            let Family {
                name, kind, help, ..
            } = family;
            // Writing to a String cannot fail.
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (sample, value) in &family.samples {
                let _ = match value.is_infinite() {
                    true => writeln!(page, "{sample} +Inf"),
                    false => writeln!(page, "{sample} {value}"),
                };
            }
        }
        page
    }
}

impl Family {
    fn add(&mut self, sample: &str, value: f64) {
        match self.index.get(sample) {
            Some(_) if self.name == SAME => {}
            Some(&at) => self.samples[at].1 += value,
            None => {
                self.index.insert(sample.to_owned(), self.samples.len());
                self.samples.push((sample.to_owned(), value));
            }
        }
    }
}

/// A sample with the number of its process among the labels.
fn labelled(sample: &str, process: usize) -> String {
    match sample.split_once('{') {
        Some((name, labels)) => format!("{name}{{process=\"{process}\",{labels}"),
        None => format!("{sample}{{process=\"{process}\"}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP greenway_info What runs. Always 1.\n\
        # TYPE greenway_info gauge\n\
        greenway_info{version=\"0.1.0\",engine=\"green\"} 1\n\
        # HELP greenway_uptime_seconds Time since the start.\n\
        # TYPE greenway_uptime_seconds gauge\n\
        greenway_uptime_seconds 2.5\n\
        # HELP greenway_worker_lag_seconds How much later.\n\
        # TYPE greenway_worker_lag_seconds gauge\n\
        greenway_worker_lag_seconds{worker=\"0\"} 0.5\n\
        # HELP greenway_handlers_limit Handlers.\n\
        # TYPE greenway_handlers_limit gauge\n\
        greenway_handlers_limit +Inf\n\
        # HELP greenway_handlers_running Handlers that run.\n\
        # TYPE greenway_handlers_running gauge\n\
        greenway_handlers_running 3\n\
        # HELP greenway_requests_total Requests.\n\
        # TYPE greenway_requests_total counter\n\
        greenway_requests_total{code=\"200\",class=\"2xx\"} 7\n";

    #[test]
    fn samples_add_up_or_have_the_number_of_their_process() {
        let mut sums = Sums::default();
        sums.add_page(1, PAGE);
        sums.add_page(3, PAGE);
        sums.add_counters(PAGE);
        let page = sums.render();
        for line in [
            "# TYPE greenway_requests_total counter",
            "greenway_info{version=\"0.1.0\",engine=\"green\"} 1",
            "greenway_uptime_seconds{process=\"1\"} 2.5",
            "greenway_uptime_seconds{process=\"3\"} 2.5",
            "greenway_worker_lag_seconds{process=\"3\",worker=\"0\"} 0.5",
            "greenway_handlers_limit +Inf",
            "greenway_handlers_running 6",
            "greenway_requests_total{code=\"200\",class=\"2xx\"} 21",
        ] {
            assert_eq!(
                page.lines().filter(|it| *it == line).count(),
                1,
                "{line}\n{page}"
            );
        }
        assert_eq!(page.lines().count(), 2 * 6 + 8);
    }
}
