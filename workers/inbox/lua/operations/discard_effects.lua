#!lua flags=allow-oom
-- Discard effects that failed, are held or wait for evidence, and quarantined records, for an operator. An event without
-- open effects is finished. Safe to repeat: other effects, and those that a worker holds, are left alone.
--
-- ARGV     retention in seconds, the person's reason, then members: '<handler>|<event key>',
--          '|<event key>' for a quarantined record
-- Answers  {1 or 0, ...}: 1 for each that was discarded
local reason = ARGV[2]
retention = ARGV[1]
local discarded = { failed = true, held = true, unconfirmed = true }

local function discard_quarantined(event, key)
  if not leave_quarantine(event, key) then return 0 end
  redis.call('HSET', event, 'unreadable', 1, ':state', 'discarded', ':reason', reason, ':settled_at', now_text)
  finish(event, key, 'discarded')
  return 1
end

local function discard(member)
  local handler, key = split(member)
  local event = prefix .. 'event:' .. key
  if handler == '' and redis.call('HGET', event, 'state') == 'quarantined' then return discard_quarantined(event, key) end
  if redis.call('HEXISTS', leases, member) == 1 then return 0 end
  local fields = redis.call('HMGET', event, handler .. ':state', 'request')
  if not discarded[fields[1]] then return 0 end
  redis.call('ZREM', prefix .. 'failed', member)
  redis.call('ZREM', prefix .. 'held', member)
  redis.call('HSET', event, handler .. ':state', 'discarded', handler .. ':reason', reason,
    handler .. ':settled_at', now_text)
  redis.call('ZREM', prefix .. 'unconfirmed', member)
  if fields[2] then stop_waiting(event, key, fields[2]) end
  if handler == '' then
    finish(event, key, 'discarded')
  else
    redis.call('HINCRBY', event, 'open', -1)
    finish_if_settled(event, key)
  end
  return 1
end

local answer = {}
for i = 3, #ARGV do answer[#answer + 1] = discard(ARGV[i]) end
return answer
