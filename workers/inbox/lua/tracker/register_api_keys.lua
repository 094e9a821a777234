#!lua flags=allow-oom
-- Register the API keys that are polled. Safe to repeat.
--
-- ARGV     lookback in seconds, and the hashes of the keys, oldest first; the last is current
-- Answers  the hash of the first key that was ever used
local lookback, configured = tonumber(ARGV[1]), table.concat(ARGV, ' ', 2)
for i = 2, #ARGV do
  register_key(ARGV[i])
  local used_at = tonumber(redis.call('HGET', prefix .. 'api_keys', ARGV[i]))
  redis.call('HSETNX', of_key('reconcile', ARGV[i]), 'since', string.format('%.6f', used_at - lookback))
end
redis.call('HSET', prefix .. 'api_keys', 'configured', configured)
return api_keys().first
