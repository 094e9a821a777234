#!lua flags=allow-oom
-- Register the API keys that are polled. Safe to repeat.
--
-- ARGV     lookback in seconds, and the hashes of the keys, oldest first; the last is current
-- Answers  the hash of the first key that was ever used; nil if the clock stands still and the first use of a key is
--          unknown: nothing was written
local lookback, configured = tonumber(ARGV[1]), table.concat(ARGV, ' ', 2)
if clock_stands_still then
  for i = 2, #ARGV do
    if not first_use(ARGV[i]) then return nil end
  end
end
for i = 2, #ARGV do
  register_key(ARGV[i])
  redis.call('HSETNX', of_key('reconcile', ARGV[i]), 'since', string.format('%.6f', tonumber(first_use(ARGV[i])) - lookback))
end
redis.call('HSET', prefix .. 'api_keys', 'configured', configured)
return api_keys().first
