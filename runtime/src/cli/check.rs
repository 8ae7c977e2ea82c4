//! What `--check-config` looks at beside the settings themselves: whether a start would find what it
//! needs. And what is worth a word although a start succeeds.
//!
//! What must stay true: nothing is created or changed. Whoever checks settings may do so beside the
//! server that runs.

use super::sources::{Resolved, unknown_variables};
use crate::processes::Identity;
use crate::server::{check_addresses, check_certificates};
use crate::service::config::CertReqs;
use crate::service::settings::{self, Settings};
use rustix::fs::{Access, access};
use std::io;
use std::path::Path;

/// Settings without effect where there is no TLS.
const OF_TLS: [&str; 4] = [
    "tls-min-version",
    "handshake-timeout",
    "limit-handshakes",
    "tls-reload",
];

/// Whether a server could be started with these settings.
///
/// # Errors
/// One line that says what it would lack.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let config = &settings.server;
    let others = config.metrics_bind.iter().chain(&config.tls.redirect_bind);
    let text = |error: io::Error| error.to_string();
    check_addresses(config.bind.iter().chain(others)).map_err(text)?;
    let processes = &settings.processes;
    let identity = Identity::of(processes.user.as_deref(), processes.group.as_deref());
    let identity = identity.map_err(text)?;
    if let Some(why) = identity.is_out_of_reach() {
        return Err(why);
    }
    if let Some(path) = &processes.pid {
        // It is written beside its place, and renamed.
        can_create(Path::new(path)).map_err(|why| format!("cannot write {path}: {why}"))?;
    }
    let logs = [config.access_log.as_ref(), Some(&settings.error_log)];
    for path in logs.into_iter().flatten().filter(|path| *path != "-") {
        let told = |why| format!("cannot write the log {path}: {why}");
        // The master creates it and gives it away.
        can_append(Path::new(path)).map_err(told)?;
        identity
            .act_as(|| can_reach(Path::new(path)))
            .map_err(told)?;
    }
    identity.act_as(|| check_certificates(config)).map_err(text)
}

fn can_create(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err("this is a folder".to_owned());
    }
    may(folder_of(path), Access::WRITE_OK | Access::EXEC_OK)
}

fn can_append(path: &Path) -> Result<(), String> {
    match path.exists() && !path.is_dir() {
        true => may(path, Access::WRITE_OK),
        false => can_create(path),
    }
}

fn can_reach(path: &Path) -> Result<(), String> {
    may(folder_of(path), Access::EXEC_OK)
}

fn may(path: &Path, what: Access) -> Result<(), String> {
    access(path, what).map_err(|errno| {
        let error = io::Error::from(errno);
        let (path, whole) = (path.display(), path.is_dir());
        match error.kind() {
            io::ErrorKind::NotFound => format!("there is no folder {path}"),
            io::ErrorKind::PermissionDenied if whole => {
                format!("the folder {path} is out of bounds for it (permission denied)")
            }
            _ => error.to_string(),
        }
    })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// What was given and has no effect.
pub(super) fn in_vain(resolved: &Resolved) -> Vec<String> {
    let mut all = resolved.ignored.clone();
    let unknown = unknown_variables().into_iter();
    all.extend(unknown.map(|name| format!("{name} has no effect: no setting has that name")));
    let settings = &resolved.settings;
    let tls = &settings.server.tls;
    if tls.certificates.is_empty() {
        let of_tls = settings::all().filter(|setting| OF_TLS.contains(&setting.flag));
        let given = of_tls.filter(|setting| setting.is_changed_in(settings));
        all.extend(given.map(|setting| {
            format!(
                "--{} has no effect without --certfile: there is no TLS",
                setting.flag
            )
        }));
    } else if tls.ca_certs.is_some() && tls.cert_reqs == CertReqs::None {
        all.push(
            "--ca-certs has no effect without --cert-reqs: no client is asked for a certificate"
                .to_owned(),
        );
    }
    all
}
