#!lua flags=allow-oom
-- Remove a slice of the members of an index whose records have expired. A member with a record is never removed.
--
-- ARGV     retention in seconds, longest life of an open request in seconds, index, rank at which to go on
-- Answers  {members removed, rank at which to go on; -1 at the end}
local SLICE = 500
local request_life, index, rank = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
retention = tonumber(ARGV[1])
-- For each index: the key prefix of its records, and the latest score of members that may have expired.
local indexes = {
  events = { 'event:', now - retention * 1000 },
  quarantine = { 'event:', now - retention * 1000 },
  overruled = { 'event:', now - retention * 1000 },
  unrouted = { 'event:', now - retention * 1000 },
  lost = { 'request:', now - retention * 1000 },
  checks = { 'request:', now - request_life * 1000 },
}

local function expired(record, member) return redis.call('EXISTS', prefix .. record .. member) == 0 end

-- Each API key has `asked`, `unverified` and `checks` of its own.
local kind, name = string.match(index, '^%a+'), prefix .. index
if kind == 'asked' or kind == 'unverified' then -- by creation; ended requests stay, since they count for the offsets of others
  return { redis.call('ZREMRANGEBYSCORE', name, '-inf', now / 1000 - request_life), -1 }
end
local record, latest = unpack(indexes[kind])
local members = redis.call('ZRANGE', name, '-inf', latest, 'BYSCORE', 'LIMIT', rank, SLICE)
local dropped = 0
for _, member in ipairs(members) do
  if member ~= '*' and expired(record, member) then dropped = dropped + redis.call('ZREM', name, member) end
end
return { dropped, #members < SLICE and -1 or rank + SLICE - dropped }
