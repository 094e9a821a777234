#!lua flags=allow-oom
-- Lengthen leases that are still held; answers the members whose lease has passed on.
-- KEYS[1]  the prefix of every key
-- ARGV     lease in milliseconds, then (member, token) pairs
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local lost = {}
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1] .. 'leases', ARGV[i]) == ARGV[i + 1] then
    redis.call('ZADD', KEYS[1] .. 'due', 'XX', until_ms, ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
