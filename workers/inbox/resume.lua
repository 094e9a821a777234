#!lua flags=allow-oom
-- Effects held for want of their handler, or while it was paused, or that waited for room, become due
-- again: what still stands in an effect's way is met when it is claimed.
-- ARGV     names of today's handlers
-- Answers  how many became due
local exists, resumed = {}, 0
for _, name in ipairs(ARGV) do
  exists[name] = redis.call('SISMEMBER', prefix .. 'paused', name) == 0
end

local function resume(where, member)
  local handler, key = split(member)
  redis.call('ZREM', where, member)
  redis.call('ZADD', due, now, member)
  redis.call('HSET', prefix .. 'event:' .. key, handler .. ':state', 'due')
  resumed = resumed + 1
end

for _, member in ipairs(redis.call('ZRANGE', prefix .. 'held', 0, -1)) do
  if exists[(split(member))] then resume(prefix .. 'held', member) end
end
for _, name in ipairs(ARGV) do
  local waiting = prefix .. 'waiting:' .. name
  for _, member in ipairs(redis.call('ZRANGE', waiting, 0, -1)) do resume(waiting, member) end
end
if resumed > 0 then ring() end
return resumed
