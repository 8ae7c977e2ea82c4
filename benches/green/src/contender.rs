//! The programs that do the workloads.

use crate::figure::{Figure, Workload};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who takes part.
#[derive(Debug)]
pub(crate) struct Contender {
    name: &'static str,
    /// The command, or why there is none.
    program: Result<Vec<String>, String>,
    pub(crate) version: String,
}

impl Contender {
    pub(crate) fn all() -> Vec<Self> {
        ["greenway", "tokio", "go", "threads"]
            .map(|name| Self {
                name,
                program: Err("it was not prepared".into()),
                version: String::new(),
            })
            .into()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Builds it, if it is not this program.
    pub(crate) fn prepare(&mut self) {
        (self.program, self.version) = match self.name {
            "tokio" => (tokio(), locked("tokio")),
            "go" => (go(), said(Command::new("go").arg("version"))),
            _ => (own(self.name), String::new()),
        };
        if let Err(reason) = &self.program {
            eprintln!("{} does not take part: {reason}", self.name);
        }
    }

    /// Does a workload once, in a process of its own.
    pub(crate) fn run(&self, workload: &Workload, sleepers: u64) -> Result<Figure, String> {
        let (program, args) = self.program.as_ref()?.split_first().ok_or("no program")?;
        let mut command = Command::new(program);
        command.args(args).arg(workload.name);
        if args.is_empty() {
            // The peers know no table: how many workers, how often.
            command.arg(workload.workers.to_string());
            command.arg(workload.times_with(sleepers).to_string());
        } else {
            command.args(["--sleepers", &sleepers.to_string()]);
        }
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let first = text.lines().next().unwrap_or_default();
            return Err(format!("{}: {first}", output.status));
        }
        Figure::parse(&String::from_utf8_lossy(&output.stdout))
    }
}

fn own(name: &str) -> Result<Vec<String>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(vec![
        program.display().to_string(),
        "--one".into(),
        name.into(),
    ])
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("it lies in benches/")
        .join("peers")
}

/// Where peers are built: beside this program's own folder, where all of them share one.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| peers().join("target"), PathBuf::from)
}

fn tokio() -> Result<Vec<String>, String> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--locked", "-p", "peer-tokio-green"]);
    build.arg("--manifest-path").arg(peers().join("Cargo.toml"));
    build.arg("--target-dir").arg(target());
    succeed(&mut build)?;
    let program = target().join("release/peer-tokio-green");
    Ok(vec![program.display().to_string()])
}

fn go() -> Result<Vec<String>, String> {
    let program = target().join("peers/go-green");
    let mut build = Command::new("go");
    build.arg("build").arg("-o").arg(&program).arg("main.go");
    build.current_dir(peers().join("go-green"));
    build.envs([("GO111MODULE", "off"), ("CGO_ENABLED", "0")]);
    succeed(&mut build)
        .map_err(|error| format!("{error} (apt-get install golang-go, if there is no go)"))?;
    Ok(vec![program.display().to_string()])
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", command.get_program().display()))
    }
}

/// What a command says of itself; nothing if there is none.
fn said(command: &mut Command) -> String {
    let output = command.output().ok();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

/// A crate's version in the peers' lock file.
fn locked(name: &str) -> String {
    let lock = std::fs::read_to_string(peers().join("Cargo.lock")).unwrap_or_default();
    let version = lock
        .split("[[package]]")
        .filter(|package| package.contains(&format!("name = \"{name}\"\n")))
        .find_map(|package| package.split("version = \"").nth(1)?.split('"').next());
    format!("{name} {}", version.unwrap_or_default())
}
