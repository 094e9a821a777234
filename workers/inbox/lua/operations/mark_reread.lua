#!lua flags=allow-oom
-- A quarantined body could be read, and is kept as an event of its own: its record leaves the quarantine.
-- Safe to repeat.
--
-- ARGV     retention in seconds, then (key of the quarantined record, key of the event) pairs
-- Answers  {1 or 0, ...}: 1 for each that left the quarantine
local function reread(key, replayed_as)
  local event = prefix .. 'event:' .. key
  leave_quarantine(event, key)
  if redis.call('HGET', event, 'state') ~= 'quarantined' then return 0 end
  redis.call('HSET', event, 'state', 'reread', 'replayed_as', replayed_as, 'replayed_at', now_text)
  redis.call('EXPIRE', event, ARGV[1])
  redis.call('HINCRBY', event, 'replays', 1)
  return 1
end

local answer = {}
for i = 2, #ARGV, 2 do answer[#answer + 1] = reread(ARGV[i], ARGV[i + 1]) end
return answer
