//! Building what a run needs, and finding it: cargo, and the script that makes the peers
//! that are no crates, say where they put things.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::contender::{Contender, Source};

/// A program that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What is started.
    pub path: PathBuf,
    /// What was measured.
    pub version: String,
    /// The file whose size tells how large the server is; scripts have none.
    pub binary: Option<PathBuf>,
}

/// The programs of a run: built, or the reason why not.
#[derive(Debug, Default)]
pub struct Programs(BTreeMap<&'static str, Result<Program, String>>);

impl Programs {
    /// Builds the programs of `contenders`: ours in the profile `fast`, the peers in the release
    /// profile of their own workspace; `other` is there already. What fails is told by
    /// [`Programs::get`], and the others run nevertheless.
    #[must_use]
    pub fn build(workspace: &Path, contenders: &[Contender], other: Option<&Path>) -> Self {
        let mut found = BTreeMap::new();
        let peers = workspace.join("benches/peers");
        for contender in contenders {
            let name = contender.program();
            found.entry(name).or_insert_with(|| {
                eprintln!("building {name} ...");
                match contender.source() {
                    Source::Given => given(other),
                    Source::Workspace => {
                        cargo(workspace, "fast", "greenway-bench-subject", name, None)
                    }
                    Source::Peers(measured) => cargo(&peers, "release", name, name, measured),
                    Source::System => prepare(&peers, name),
                }
            });
        }
        Self(found)
    }

    /// The program of a contender.
    ///
    /// # Errors
    /// Why it is not there.
    pub fn get(&self, contender: Contender) -> Result<&Program, String> {
        match self.0.get(contender.program()) {
            Some(Ok(program)) => Ok(program),
            Some(Err(why)) => Err(why.clone()),
            None => Err("was not built".to_owned()),
        }
    }
}

/// The other build of our own subject, beside which this one runs.
fn given(other: Option<&Path>) -> Result<Program, String> {
    let path = other.ok_or("no other build was named")?;
    if !path.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    // Relative to here, and not to wherever the program will be started.
    let path = fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Program {
        version: "other build".to_owned(),
        binary: Some(path.clone()),
        path,
    })
}

/// Builds a binary of a workspace; its version is that of the crate `measured`, or ours.
fn cargo(
    workspace: &Path,
    profile: &str,
    package: &str,
    binary: &str,
    measured: Option<&str>,
) -> Result<Program, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--profile",
        profile,
        "--message-format=json-render-diagnostics",
        "--quiet",
    ]);
    command.args(["-p", package, "--bin", binary]);
    let messages = output(command.current_dir(workspace), "cargo's messages are above")?;
    let path = executable(&messages, binary)
        .ok_or_else(|| "was built, but cargo named no executable".to_owned())?;
    let version = match measured {
        None => env!("CARGO_PKG_VERSION").to_owned(),
        Some(name) => {
            let lock = fs::read_to_string(workspace.join("Cargo.lock")).unwrap_or_default();
            locked_version(&lock, name).unwrap_or("unknown").to_owned()
        }
    };
    let binary = Some(path.clone());
    Ok(Program {
        path,
        version,
        binary,
    })
}

/// Has a peer made that is no crate: from the system's packages, or Python's.
fn prepare(peers: &Path, name: &str) -> Result<Program, String> {
    let mut command = Command::new(peers.join("prepare"));
    let told = output(command.arg(name), "prepare's messages are above")?;
    let value = |key| {
        told.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    let path = value("program").ok_or_else(|| "prepare named no program".to_owned())?;
    Ok(Program {
        path: PathBuf::from(path),
        version: value("version").unwrap_or("unknown").to_owned(),
        binary: value("binary").map(PathBuf::from),
    })
}

/// What a command that builds something prints; its messages go to our standard error. One
/// that fails may print `reason=`, a sentence for the report.
fn output(command: &mut Command, see: &str) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("what builds it cannot be run: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(told);
    }
    let why = told.lines().find_map(|line| line.strip_prefix("reason="));
    Err(why.map_or_else(|| format!("could not be built ({see})"), str::to_owned))
}

/// The executable of `name` in cargo's JSON messages, one per line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let target = message["target"]["name"].as_str()?;
        (target == name).then(|| message["executable"].as_str().map(PathBuf::from))?
    })
}

/// The version of a package in a lock file.
fn locked_version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let wanted = format!("name = \"{name}\"");
    let mut lines = lock.lines().skip_while(|line| *line != wanted);
    lines
        .nth(1)?
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tells_where_the_program_is() {
        let messages = "not json\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"lib\"},\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"x\"},\"executable\":\"/t/x\"}\n";
        assert_eq!(executable(messages, "x"), Some(PathBuf::from("/t/x")));
        assert_eq!(executable(messages, "lib"), None);
    }

    #[test]
    fn a_builder_tells_why_it_cannot() {
        let run = |script: &str| output(Command::new("/bin/sh").args(["-c", script]), "above");
        assert_eq!(run("echo program=/x").unwrap(), "program=/x\n");
        assert_eq!(run("exit 1").unwrap_err(), "could not be built (above)");
        let why = run("echo reason=no compiler; exit 1").unwrap_err();
        assert_eq!(why, "no compiler");
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"hyper-util\"\nversion = \"0.1.2\"\n\n\
            [[package]]\nname = \"hyper\"\nversion = \"1.12.0\"\n";
        assert_eq!(locked_version(lock, "hyper"), Some("1.12.0"));
        assert_eq!(locked_version(lock, "axum"), None);
    }
}
