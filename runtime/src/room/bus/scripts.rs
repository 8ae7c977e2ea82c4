//! What Redis does at once, in its own language.
//!
//! What must stay true: an epoch is larger than all before it; an entry's number is one more than
//! that of the entry before it, or 0 where an epoch begins; a tag is appended once. Numbers are below
//! 2^53, up to which Lua counts.

use ::redis::Script;

/// Functions for all of them: the ends of the stream, an id's parts, and the beginning of an epoch.
const COMMON: &str = r"
local function ends(key, command, from, to)
    local found = redis.call(command, key, from, to, 'COUNT', 1)
    return found[1] and found[1][1]
end
local function parts(id)
    local epoch, number = string.match(id, '^(%d+)-(%d+)$')
    return epoch, tonumber(number)
end
local function begin(key, last)
    local time = redis.call('TIME')
    local epoch = tonumber(time[1]) * 1000000 + tonumber(time[2])
    if last then
        epoch = math.max(epoch, tonumber((parts(last))) + 1)
    end
    local id = string.format('%.0f-0', epoch)
    redis.call('XADD', key, id, 't', '0')
    return id
end
local function following(key)
    local epoch, number = parts(ends(key, 'XREVRANGE', '+', '-') or begin(key))
    return epoch .. '-' .. string.format('%.0f', number + 1)
end
";

/// KEYS: the stream. ARGV: the id that should be in it, or nothing, and its tag.
const OPEN: &str = r"
local key, seen, tag = KEYS[1], ARGV[1], ARGV[2]
local first = ends(key, 'XRANGE', '-', '+')
local last = ends(key, 'XREVRANGE', '+', '-')
if not last then
    first = begin(key)
    return {first, first}
end
local epoch, number = parts(seen)
-- Where another epoch has begun since, its reader will see that.
if epoch and tonumber(epoch) >= tonumber((parts(last))) then
    local found = redis.call('XRANGE', key, seen, seen)
    local whole = false
    if found[1] then
        local fields = found[1][2]
        for i = 1, #fields, 2 do
            if fields[i] == 't' and fields[i + 1] == tag then whole = true end
        end
    else
        -- What is older than the first was trimmed, which its reader sees by the numbers.
        local least, lowest = parts(first)
        whole = tonumber(epoch) == tonumber(least) and number < lowest
    end
    if not whole then
        last = begin(key, last)
    end
end
return {first, last}
";

/// KEYS: the stream, the key of the tag, and that of a reservation. ARGV: the tag, the content, how
/// many posts to keep, how many milliseconds the tag is to be known, and whether its place is
/// reserved.
const APPEND: &str = r"
local key, reserved = KEYS[1], ARGV[5] == 'true'
local done = redis.call('GET', KEYS[2])
if done then return {'ok', done} end
local holder = redis.call('GET', KEYS[3])
if reserved then
    if holder ~= ARGV[1] then return {'late', ''} end
    redis.call('DEL', KEYS[3])
elseif holder then
    return {'busy', ''}
end
local id = following(key)
redis.call('XADD', key, 'MAXLEN', '~', ARGV[3], id, 't', ARGV[1], 'd', ARGV[2])
redis.call('SET', KEYS[2], id, 'PX', ARGV[4])
return {'ok', id}
";

/// KEYS: the stream, and the key of a reservation. ARGV: the tag, and for how many milliseconds.
const RESERVE: &str = r"
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return {'busy', ''} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {'ok', following(KEYS[1])}
";

/// KEYS: the key of a reservation. ARGV: the tag.
const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
";

/// KEYS: when each node's list expires, the lists, and their version. ARGV: the node, for how many
/// milliseconds it reports, its list or nothing if that is unchanged, and the version that it knows.
const PRESENT: &str = r"
local nodes, lists, version = KEYS[1], KEYS[2], KEYS[3]
local node, life = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local changed = false
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', string.format('%.0f', now))) do
    redis.call('ZREM', nodes, dead)
    redis.call('HDEL', lists, dead)
    changed = true
end
if ARGV[3] ~= '' then
    redis.call('HSET', lists, node, ARGV[3])
    changed = true
end
local known = redis.call('HEXISTS', lists, node)
if known == 1 then
    redis.call('ZADD', nodes, string.format('%.0f', now + life), node)
end
if redis.call('EXISTS', version) == 0 then
    redis.call('SET', version, string.format('%.0f', now * 1000))
elseif changed then
    redis.call('INCR', version)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, life * 12) end
local latest = redis.call('GET', version)
if latest == ARGV[4] then return {latest, known, {}} end
return {latest, known, redis.call('HGETALL', lists)}
";

/// The scripts, with their hashes.
pub(super) struct Scripts {
    pub(super) open: Script,
    pub(super) append: Script,
    pub(super) reserve: Script,
    pub(super) release: Script,
    pub(super) present: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let with_common = |body: &str| Script::new(&format!("{COMMON}{body}"));
        Self {
            open: with_common(OPEN),
            append: with_common(APPEND),
            reserve: with_common(RESERVE),
            release: Script::new(RELEASE),
            present: Script::new(PRESENT),
        }
    }
}
