//! Sessions in Redis: any process that has it knows them, and a logout holds everywhere.

use super::Redis;
use ::redis::{FromRedisValue, cmd};
use greenway_app::HttpError;
use greenway_app::sessions::{SessionStore, new_token};
use std::time::Duration;

/// What the keys begin with.
const PREFIX: &str = "greenway:session:";

/// A token is 43 letters. What a client sends may be anything, and a key is up to 512 MB.
const LONGEST: usize = 64;

/// Sessions are kept under `greenway:session:TOKEN`, and Redis forgets them when their lifetime is
/// over. Where Redis cannot be reached, a request that needs its session is answered with 503.
impl SessionStore for Redis {
    fn load(&self, token: &str) -> Result<Option<Vec<u8>>, HttpError> {
        if token.len() > LONGEST {
            return Ok(None);
        }
        self.ask(cmd("GET").arg(key_of(token)))
    }

    fn create(&self, data: Vec<u8>, lifetime: Duration) -> Result<String, HttpError> {
        let token = new_token();
        let mut set = cmd("SET");
        set.arg(key_of(&token)).arg(data);
        let () = self.ask(set.arg("PX").arg(milliseconds(lifetime)))?;
        Ok(token)
    }

    fn replace(
        &self,
        token: &str,
        data: Vec<u8>,
        lifetime: Duration,
    ) -> Result<Option<String>, HttpError> {
        let mut set = cmd("SET");
        // Only if it is there: a session that was given up meanwhile does not come back.
        set.arg(key_of(token)).arg(data).arg("XX");
        let done: Option<String> = self.ask(set.arg("PX").arg(milliseconds(lifetime)))?;
        Ok(done.map(|_ok| token.to_owned()))
    }

    fn remove(&self, token: &str) -> Result<(), HttpError> {
        let _removed: i64 = self.ask(cmd("DEL").arg(key_of(token)))?;
        Ok(())
    }
}

impl Redis {
    fn ask<T: FromRedisValue>(&self, command: &::redis::Cmd) -> Result<T, HttpError> {
        let unavailable = || HttpError::new(503, "").with_header("retry-after", "2");
        let mut connection = self
            .get()
            .map_err(|error| unavailable().with_source(error))?;
        let answer = command.query(&mut *connection);
        answer.map_err(|error| unavailable().with_source(error))
    }
}

fn key_of(token: &str) -> String {
    format!("{PREFIX}{token}")
}

/// Redis takes no lifetime of zero.
fn milliseconds(lifetime: Duration) -> u64 {
    let most = u64::try_from(i64::MAX / 4).unwrap_or(u64::MAX); // it adds the time of the day
    u64::try_from(lifetime.as_millis())
        .unwrap_or(most)
        .clamp(1, most)
}
