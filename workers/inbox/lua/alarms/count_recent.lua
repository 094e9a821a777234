#!lua flags=allow-oom
-- Add counts of the last second to their time slot, and record when each last occurred.
--
-- ARGV     seconds of a slot, seconds until a slot expires, then (reason, count) pairs
-- Answers  1
local slot = prefix .. 'recent:' .. math.floor(now_seconds / ARGV[1])
for i = 3, #ARGV, 2 do
  redis.call('HINCRBY', slot, ARGV[i], ARGV[i + 1])
  redis.call('HSET', prefix .. 'latest', ARGV[i], now)
end
redis.call('EXPIRE', slot, ARGV[2])
return 1
