//! The life of a master: its processes serve, and it does nothing else.

use super::operator::Operator;
use crate::processes::{Inherited, Start, run};
use crate::service::settings::Settings;
use std::io;

/// Starts processes and looks after them, until a signal ends that.
pub(super) fn lead(
    settings: &Settings,
    operator: &Operator,
    inherited: Option<Inherited>,
    settings_now: &dyn Fn() -> Option<Settings>,
) -> ! {
    #[cfg(feature = "minihttp")]
    if settings.server.engine == crate::service::config::Engine::MiniHttp {
        let why = "the minihttp engine opens its sockets itself, so one process alone can serve: use \
                   --engine green or threads with --workers, --master, --user, --group and --reload";
        operator.say(format_args!("{why}"));
        operator.exit(2);
    }
    let start = Start {
        settings,
        inherited,
        say: &|what| operator.say(what),
        settings_now,
        reopen_log: &|| {
            if let Some(log) = &operator.log {
                log.reopen();
            }
        },
    };
    match run(start) {
        Ok(0) => operator.stopped(0),
        Ok(status) => {
            operator.say(format_args!("stopped"));
            operator.exit(status)
        }
        Err(error) => {
            operator.say(format_args!("{error}"));
            let misused = error.kind() == io::ErrorKind::InvalidInput;
            operator.exit(if misused { 2 } else { 1 })
        }
    }
}
