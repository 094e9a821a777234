#!lua flags=allow-oom
-- Lengthen leases that are still held.
--
-- ARGV     lease in milliseconds, then (member, token) pairs
-- Answers  the members whose lease passed to another worker
local lost = {}
for i = 2, #ARGV, 2 do
  if redis.call('HGET', leases, ARGV[i]) == ARGV[i + 1] then
    redis.call('ZADD', due, 'XX', now + tonumber(ARGV[1]), ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
