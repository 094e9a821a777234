#!lua flags=allow-oom
-- A person ends effects that failed, are held or wait for proof, without their being done, and quarantined
-- records; an event with nothing open is finished. Safe to repeat: all others are left alone, and so is what a worker holds.
--
-- ARGV     retention in seconds, the person's reason, then members: '<handler>|<event key>',
--          '|<event key>' for a quarantined record
-- Answers  {1 or 0, ...}: 1 for each that was discarded
local retention, reason = ARGV[1], ARGV[2]
local discarded = { failed = true, held = true, unproven = true }

local function discard_quarantined(event, key)
  if not leave_quarantine(event, key) then return 0 end
  redis.call('HSET', event, 'unreadable', 1, ':state', 'discarded', ':reason', reason, ':settled_at', now_text)
  finish(event, key, nil, 'discarded', retention)
  return 1
end

local function discard(member)
  local handler, key = split(member)
  local event = prefix .. 'event:' .. key
  if handler == '' and redis.call('HGET', event, 'state') == 'quarantined' then return discard_quarantined(event, key) end
  if redis.call('HEXISTS', leases, member) == 1 then return 0 end
  local known = redis.call('HMGET', event, handler .. ':state', 'request')
  if not discarded[known[1]] then return 0 end
  redis.call('ZREM', prefix .. 'failed', member)
  redis.call('ZREM', prefix .. 'held', member)
  forgo_proof(handler, event, key, known[2])
  redis.call('HSET', event, handler .. ':state', 'discarded', handler .. ':reason', reason,
    handler .. ':settled_at', now_text)
  if handler == '' then
    finish(event, key, known[2], 'discarded', retention)
  elseif redis.call('HINCRBY', event, 'open', -1) == 0 then
    finish_effects(event, key, known[2], retention)
  end
  return 1
end

local answer = {}
for i = 3, #ARGV do answer[#answer + 1] = discard(ARGV[i]) end
return answer
