//! Limits on rates in Redis: a client has one quota at all processes together.

use super::Redis;
use greenway_app::middleware::{Quota, RateStore};
use std::error::Error;
use std::time::Duration;

/// What the keys begin with.
const PREFIX: &str = "greenway:rate:";

/// The generic cell rate algorithm, as the store in memory does it, by the server's own clock: the
/// key holds the time at which all requests are there again, and is gone by then.
///
/// KEYS: the client. ARGV: the time for one request, and for all of them, in microseconds. Gives the
/// time to wait, or 0.
pub(super) const TAKE: &str = r"
local interval, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + interval
local wait = full - now - period
if wait > 0 then return math.ceil(wait) end
local life = string.format('%.0f', math.ceil((full - now) / 1000))
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', life)
return 0
";

impl RateStore for Redis {
    fn take(
        &self,
        key: &str,
        quota: Quota,
    ) -> Result<Option<Duration>, Box<dyn Error + Send + Sync>> {
        let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // A period that is no multiple of its interval must not refuse the last request.
        let interval = microseconds(quota.interval()).max(1);
        let period = interval.saturating_mul(quota.requests.max(1).into());
        let wait: u64 = self
            .shared
            .rates
            .key(format!("{PREFIX}{key}"))
            .arg(interval)
            .arg(period)
            .invoke(&mut *self.get()?)?;
        Ok((wait > 0).then(|| Duration::from_micros(wait)))
    }
}
