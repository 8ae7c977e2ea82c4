//! What Redis does at once, in its own language.
//!
//! What must stay true: an epoch is larger than all before it; an entry's number is one more than
//! that of the entry before it, or 0 where an epoch begins; a tag is appended once. Numbers are below
//! 2^53, up to which Lua counts.

use ::redis::Script;

/// Functions for both: the ends of the stream, an id's parts, and the beginning of an epoch.
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
if seen ~= '' then
    local found = redis.call('XRANGE', key, seen, seen)
    local whole = false
    if found[1] then
        local fields = found[1][2]
        for i = 1, #fields, 2 do
            if fields[i] == 't' and fields[i + 1] == tag then whole = true end
        end
    else
        -- What is older than the first was trimmed, which its reader sees by the numbers.
        local epoch, number = parts(seen)
        local least, lowest = parts(first)
        epoch, least = tonumber(epoch), tonumber(least)
        whole = epoch < least or (epoch == least and number < lowest)
    end
    if not whole then
        last = begin(key, last)
    end
end
return {first, last}
";

/// KEYS: the stream, the key of the tag. ARGV: the tag, the content, how many posts to keep, and
/// how many milliseconds the tag is to be known.
const APPEND: &str = r"
local key = KEYS[1]
local done = redis.call('GET', KEYS[2])
if done then return done end
local last = ends(key, 'XREVRANGE', '+', '-') or begin(key)
local epoch, number = parts(last)
local id = epoch .. '-' .. string.format('%.0f', number + 1)
redis.call('XADD', key, 'MAXLEN', '~', ARGV[3], id, 't', ARGV[1], 'd', ARGV[2])
redis.call('SET', KEYS[2], id, 'PX', ARGV[4])
return id
";

/// The scripts, with their hashes.
pub(super) struct Scripts {
    pub(super) open: Script,
    pub(super) append: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let with_common = |body: &str| Script::new(&format!("{COMMON}{body}"));
        Self {
            open: with_common(OPEN),
            append: with_common(APPEND),
        }
    }
}
