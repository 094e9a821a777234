#!lua flags=allow-oom
-- Count what happened in the last second towards its slot of time, and note when it last happened.
--
-- ARGV     seconds of a slot, seconds after which a slot expires, then: reason, how often, ...
-- Answers  1
local slot = prefix .. 'recent:' .. math.floor(now_seconds / ARGV[1])
for word = 3, #ARGV, 2 do
  redis.call('HINCRBY', slot, ARGV[word], ARGV[word + 1])
  redis.call('HSET', prefix .. 'latest', ARGV[word], now)
end
redis.call('EXPIRE', slot, ARGV[2])
return 1
