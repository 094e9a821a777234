#!lua flags=allow-oom
-- Effects held for want of their handler become due again when a handler of that name exists.
-- KEYS[1]  the prefix of every key
-- ARGV     names of today's handlers
-- Answers  how many became due
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local exists = {}
for _, name in ipairs(ARGV) do exists[name] = true end
local resumed = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1] .. 'held', 0, -1)) do
  local bar = string.find(member, '|', 1, true)
  if exists[string.sub(member, 1, bar - 1)] then
    redis.call('ZREM', KEYS[1] .. 'held', member)
    redis.call('ZADD', KEYS[1] .. 'due', now, member)
    redis.call('HSET', KEYS[1] .. 'event:' .. string.sub(member, bar + 1), string.sub(member, 1, bar - 1) .. ':state', 'due')
    resumed = resumed + 1
  end
end
return resumed
