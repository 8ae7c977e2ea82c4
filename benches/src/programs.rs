//! Building what a run needs, and finding it: cargo itself says where it put things.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::contender::Contender;

/// The programs of a run: built, or the reason why not.
#[derive(Debug, Default)]
pub struct Programs {
    found: BTreeMap<&'static str, Result<PathBuf, String>>,
    locked: String,
}

impl Programs {
    /// Builds the programs of `contenders` in the release profile. What fails is told
    /// by [`Programs::path`]; the others run nevertheless.
    #[must_use]
    pub fn build(workspace: &Path, contenders: &[Contender]) -> Self {
        let mut found = BTreeMap::new();
        let peers = workspace.join("benches/peers");
        for contender in contenders {
            found.entry(contender.program()).or_insert_with(|| {
                eprintln!("building {} ...", contender.program());
                let at = if contender.is_ours() {
                    workspace
                } else {
                    &peers
                };
                build_one(at, contender)
            });
        }
        let locked = fs::read_to_string(peers.join("Cargo.lock")).unwrap_or_default();
        Self { found, locked }
    }

    /// Where the program of a contender is.
    ///
    /// # Errors
    /// Why it is not there.
    pub fn path(&self, contender: Contender) -> Result<&Path, String> {
        match self.found.get(contender.program()) {
            Some(Ok(path)) => Ok(path),
            Some(Err(why)) => Err(why.clone()),
            None => Err("was not built".to_owned()),
        }
    }

    /// The version that is measured.
    #[must_use]
    pub fn version(&self, contender: Contender) -> String {
        match contender.measured_crate() {
            None => env!("CARGO_PKG_VERSION").to_owned(),
            Some(name) => locked_version(&self.locked, name)
                .unwrap_or("unknown")
                .to_owned(),
        }
    }
}

fn build_one(workspace: &Path, contender: &Contender) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let package = if contender.is_ours() {
        "greenway-bench-subject"
    } else {
        contender.program()
    };
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--release",
        "--message-format=json-render-diagnostics",
        "--quiet",
    ]);
    command.args(["-p", package, "--bin", contender.program()]);
    command
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err("could not be built (cargo's messages are above)".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages, contender.program())
        .ok_or_else(|| "was built, but cargo named no executable".to_owned())
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
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"hyper-util\"\nversion = \"0.1.2\"\n\n\
            [[package]]\nname = \"hyper\"\nversion = \"1.12.0\"\n";
        assert_eq!(locked_version(lock, "hyper"), Some("1.12.0"));
        assert_eq!(locked_version(lock, "axum"), None);
    }
}
