#!lua flags=allow-oom
-- A process waits for these requests, and their webhooks may be lost: check the open ones soon.
--
-- ARGV     seconds between two checks of one request, request ids
-- Answers  how many are checked sooner than they would have been
local count = 0
for i = 2, #ARGV do
  local fields = redis.call('HMGET', prefix .. 'request:' .. ARGV[i], 'first_seen', 'outcome', 'checked_at')
  local is_check_due = not fields[3] or now_seconds - tonumber(fields[3]) >= tonumber(ARGV[1])
  if fields[1] and not fields[2] and is_check_due then
    -- Only a scheduled check is moved: a request that is no longer checked stays so.
    count = count + redis.call('ZADD', checks_of(ARGV[i]), 'XX', 'LT', 'CH', now, ARGV[i])
  end
end
return count
