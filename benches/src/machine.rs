//! Where a figure was made: without this a report is a rumour.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde_json::{Value, json};

/// Cores of this machine and how they are shared out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores {
    /// The server's.
    pub server: Vec<usize>,
    /// The generator's; the same ones when there is only one.
    pub generator: Vec<usize>,
}

impl Cores {
    /// Gives the server `wanted` cores (by default half of them, at least one) and the
    /// generator the rest.
    ///
    /// # Errors
    /// When fewer cores are there.
    pub fn share(available: &[usize], wanted: Option<usize>) -> Result<Self, String> {
        let wanted = wanted.unwrap_or(available.len() / 2).max(1);
        if wanted > available.len() {
            return Err(format!(
                "--cores {wanted}: this process may use {}",
                available.len()
            ));
        }
        let (server, rest) = available.split_at(wanted);
        let generator = if rest.is_empty() { server } else { rest };
        Ok(Self {
            server: server.to_vec(),
            generator: generator.to_vec(),
        })
    }

    /// Whether server and generator compete for a core.
    #[must_use]
    pub fn overlap(&self) -> bool {
        self.generator.iter().any(|core| self.server.contains(core))
    }
}

/// The cores that this process may use (at least one).
#[must_use]
pub fn available_cores() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else {
        return vec![0];
    };
    let cores: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect();
    if cores.is_empty() { vec![0] } else { cores }
}

/// What is known of the machine and of the sources, as it goes into the raw JSON. No
/// host name, no user, no paths.
#[must_use]
pub fn describe(workspace: &Path) -> Value {
    let uname = rustix::system::uname();
    json!({
        "made": made(),
        "processor": processor(),
        "cores": available_cores().len(),
        "memory_bytes": memory(),
        "system": uname.sysname().to_string_lossy(),
        "kernel": uname.release().to_string_lossy(),
        "architecture": uname.machine().to_string_lossy(),
        "load_average": first_words("/proc/loadavg", 3),
        "descriptor_limit": crate::load::raise_descriptor_limit(),
        "max_map_count": first_words("/proc/sys/vm/max_map_count", 1),
        "rustc": output(Command::new("rustc").arg("--version")),
        "commit": commit(workspace),
        "greenway": env!("CARGO_PKG_VERSION"),
        "arguments": arguments(std::env::args().skip(1)),
    })
}

/// The command line without the flags that name files: they mean nothing elsewhere.
fn arguments(given: impl Iterator<Item = String>) -> Vec<String> {
    let names_a_file = |flag: &str| matches!(flag, "--out" | "--compare");
    let mut kept = Vec::new();
    let mut skip = false;
    for argument in given {
        let flag = argument.split('=').next().unwrap_or_default();
        if !skip && !names_a_file(flag) {
            kept.push(argument);
            skip = false;
        } else {
            // `--out=x` has its value with it, `--out x` behind it.
            skip = !skip && !argument.contains('=');
        }
    }
    kept
}

/// Seconds since 1970 and nothing prettier: readers of JSON have a calendar.
fn made() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |time| time.as_secs())
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    name.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']))
        .to_owned()
}

fn memory() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = kib.and_then(|rest| {
        rest.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()
    });
    kib.unwrap_or(0) * 1024
}

fn first_words(path: &str, count: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .take(count)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The commit, with `+changes` when the tree differs from it.
fn commit(workspace: &Path) -> String {
    let git = |arguments: &[&str]| {
        output(
            Command::new("git")
                .arg("--no-optional-locks")
                .args(arguments)
                .current_dir(workspace),
        )
    };
    match git(&["rev-parse", "--short=12", "HEAD"]) {
        None => "none".to_owned(),
        Some(commit) => match git(&["status", "--porcelain"]) {
            Some(changes) if changes.is_empty() => commit,
            _ => format!("{commit}+changes"),
        },
    }
}

fn output(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_without_overlap_where_there_are_two() {
        let shared = Cores::share(&[0, 1, 2, 3], None).unwrap();
        assert_eq!((shared.server, shared.generator), (vec![0, 1], vec![2, 3]));
        let shared = Cores::share(&[4, 7], Some(1)).unwrap();
        assert!(!shared.overlap());
        assert!(Cores::share(&[3], None).unwrap().overlap());
        assert!(Cores::share(&[0, 1], Some(2)).unwrap().overlap());
        assert!(Cores::share(&[0, 1], Some(3)).is_err());
    }

    #[test]
    fn paths_stay_out_of_the_report() {
        let line = "--quick --out /a/b --only x --compare=/c --out=/d --full";
        let kept = arguments(line.split(' ').map(str::to_owned));
        assert_eq!(kept, ["--quick", "--only", "x", "--full"]);
    }

    #[test]
    fn the_machine_is_told() {
        let told = describe(Path::new("."));
        assert!(told["cores"].as_u64().unwrap() >= 1);
        assert!(told["memory_bytes"].as_u64().unwrap() > 0);
        assert!(!told["kernel"].as_str().unwrap().is_empty());
    }
}
