//! What a setting's value may be: how it is read from text, and shown.

use super::processes::Mode;
use crate::service::access_log::Format;
use crate::service::config::{
    CertReqs, Engine, FOR_EVER, HalfClose, Protocols, ProxyProtocol, TlsVersion,
};
use crate::service::trust::Trust;
use greenway_proto::websocket::CloseCode;
use log::LevelFilter;
use std::str::FromStr;
use std::time::Duration;

/// What can be given as text.
pub(super) trait Value {
    fn read(&mut self, text: &str) -> Result<(), String>;

    /// As `read` would take it.
    fn show(&self) -> String;

    /// Takes the value for "no limit", where there is one.
    fn lift(&mut self) {}

    fn is_list(&self) -> bool {
        false
    }

    /// Makes a list empty.
    fn clear(&mut self) {}

    /// The items of a list; else the value.
    fn show_each(&self) -> Vec<String> {
        vec![self.show()]
    }
}

fn put<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

/// A count or a size that cannot be 0.
impl Value for usize {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let number = text.parse().ok().filter(|number| *number > 0);
        put(
            self,
            number.ok_or_else(|| "a whole number from 1".to_owned()),
        )
    }

    fn lift(&mut self) {
        *self = Self::MAX;
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(
            self,
            text.parse()
                .map_err(|_| format!("a whole number up to {}", Self::MAX)),
        )
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u64 {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse().map_err(|_| "a whole number".to_owned()))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// In seconds. Times that no clock will see the end of are all the same.
impl Value for Duration {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let seconds = text.parse().ok();
        let time = seconds.and_then(|seconds| Self::try_from_secs_f64(seconds).ok());
        let time = time.map(|time| time.min(FOR_EVER));
        put(
            self,
            time.ok_or_else(|| "a number of seconds, such as 30 or 0.5".to_owned()),
        )
    }

    fn show(&self) -> String {
        self.as_secs_f64().to_string()
    }

    fn lift(&mut self) {
        *self = FOR_EVER;
    }
}

impl Value for bool {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse().map_err(|_| "true or false".to_owned()))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, Ok(text.to_owned()))
    }

    fn show(&self) -> String {
        self.clone()
    }
}

/// Each time one more.
impl Value for Vec<String> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        self.push(text.to_owned());
        Ok(())
    }

    fn show(&self) -> String {
        self.join(" ")
    }

    fn is_list(&self) -> bool {
        true
    }

    fn clear(&mut self) {
        Vec::clear(self);
    }

    fn show_each(&self) -> Vec<String> {
        self.clone()
    }
}

impl<T: Value + Default> Value for Option<T> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut value = T::default();
        value.read(text)?;
        *self = Some(value);
        Ok(())
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }
}

/// Also by the names of gunicorn's workers that do the same.
impl Value for Engine {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let engine = match text {
            "gevent" | "eventlet" | "gevent_wsgi" | "gevent_pywsgi" => Ok(Self::Green),
            "gthread" | "sync" => Ok(Self::Threads),
            // uvicorn's worker has a name such as `uvicorn.workers.UvicornWorker`.
            _ if text == "asgi" || text == "tornado" || text.starts_with("uvicorn") => {
                Err(format!(
                    "green, where ten thousand handlers may wait at once; there are no asynchronous \
                 handlers, which {text} is for"
                ))
            }
            _ => text.parse(),
        };
        put(self, engine)
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Value for HalfClose {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Value for ProxyProtocol {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Value for Protocols {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for CertReqs {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Value for TlsVersion {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Value for CloseCode {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let code = text
            .parse()
            .ok()
            .map(u16::into)
            .filter(|code: &Self| code.is_sendable());
        let right = "a close code that may be sent, such as 1001, 1012 or 4000";
        put(self, code.ok_or_else(|| right.to_owned()))
    }

    fn show(&self) -> String {
        self.as_u16().to_string()
    }
}

impl Value for Format {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Trust {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for LevelFilter {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let right = "off, error, warn, info, debug or trace";
        // gunicorn's words for the same.
        let name = match text.to_ascii_lowercase().as_str() {
            "warning" => "warn",
            "critical" => "error",
            _ => text,
        };
        put(self, Self::from_str(name).map_err(|_| right.to_owned()))
    }

    fn show(&self) -> String {
        self.as_str().to_lowercase()
    }
}

impl Value for Mode {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}
