#!lua flags=allow-oom
-- A person ends failed or held effects without their being done; an event with nothing open is finished.
-- Safe to repeat: what is neither failed nor held is left alone, and so is what a worker holds.
--
-- ARGV     retention in seconds, the person's reason, then members: '<handler>|<event key>'
-- Answers  {1 or 0, ...}: 1 for each that was discarded
local retention, reason = ARGV[1], ARGV[2]

local function discard(member)
  local handler, key = split(member)
  local event = prefix .. 'event:' .. key
  if redis.call('HEXISTS', leases, member) == 1 then return 0 end
  local known = redis.call('HMGET', event, handler .. ':state', 'request')
  if known[1] ~= 'failed' and known[1] ~= 'held' then return 0 end
  redis.call('ZREM', prefix .. 'failed', member)
  redis.call('ZREM', prefix .. 'held', member)
  redis.call('HSET', event, handler .. ':state', 'discarded', handler .. ':reason', reason,
    handler .. ':settled_at', now_text)
  if handler == '' then
    finish(event, key, known[2], 'discarded', retention)
  elseif redis.call('HINCRBY', event, 'open', -1) == 0 then
    finish(event, key, known[2], 'done', retention)
  end
  return 1
end

local answer = {}
for i = 3, #ARGV do answer[#answer + 1] = discard(ARGV[i]) end
return answer
