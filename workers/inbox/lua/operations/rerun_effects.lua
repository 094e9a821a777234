#!lua flags=allow-oom
-- Run effects again for an operator: they are due now, with all attempts of their policy; attempt numbers continue.
-- Safe to repeat: an effect that is due, waits or runs is left alone, and so is one that a worker holds.
-- Nothing runs again for an outcome that was overruled, is not the decision of its request or is withheld (the timeout
-- of a loop after which another loop is asked); nor does a handler that began for another outcome of the request,
-- unless it is forced.
--
-- ARGV     retention in seconds; names of the counter and of the time to record ('retries', 'retried_at');
--          states that are begun anew, comma-separated ('missing' for a handler that never had this event);
--          'forced', 'dry' (nothing is written), both or neither;
--          then (event key, handlers) pairs: '<handler>:<mode>[:conflict],...' with the modes due and await-<level>
--          (`conflict` as for report.lua), '' for the routing itself
-- Answers  {names, ...}, for each pair the handlers that became due or wait, comma-separated ('*' for the routing)
local counter, when = ARGV[2], ARGV[3]
local forced, dry = string.find(ARGV[5], 'forced'), string.find(ARGV[5], 'dry')
retention = ARGV[1]
local chosen, begun = {}, 0
for state in string.gmatch(ARGV[4], '[^,]+') do chosen[state] = true end
local ended = { missing = true, done = true, skipped = true, discarded = true, superseded = true }
-- Not routed yet (it will be, through today's routes), or no event at all.
local untouched = { due = true, quarantined = true, reread = true, misused = true }

local function reset_effect(event, handler, crashes)
  -- An effect that a worker died with is suspect again, and runs alone.
  if tonumber(crashes or 0) > 0 then redis.call('HSET', event, handler .. ':suspect', 1) end
  redis.call('HDEL', event, handler .. ':errors', handler .. ':crashes', handler .. ':reason')
  redis.call('HSET', event, handler .. ':state', 'due', handler .. ':' .. when, now_text)
  redis.call('HINCRBY', event, handler .. ':' .. counter, 1)
end

-- Fractions of a millisecond keep the order of the arguments.
local function make_due(member)
  begun = begun + 1
  redis.call('ZADD', due, now - 1 + begun / 1000, member)
  wake_drain()
end

local function route_again(event, key, record)
  local member = '|' .. key
  if not redis.call('ZSCORE', prefix .. 'failed', member) or redis.call('HEXISTS', leases, member) == 1 then return '' end
  if dry then return '*' end
  redis.call('ZREM', prefix .. 'failed', member)
  reset_effect(event, '', redis.call('HGET', event, ':crashes'))
  redis.call('HSET', event, 'state', 'due')
  reopen(event, key, record.request)
  if not record.request or take_turn(record.request, key, member) then make_due(member) end
  return '*'
end

-- Whether the handler may have (another) effect on this outcome.
local function may_have_effect(event, key, handler, record, conflict)
  if not record.request or not record.outcome or forced then return true end
  if conflict or redis.call('HEXISTS', event, handler .. ':conflict') == 1 then return true end
  return not began_elsewhere(handler, key, record.request)
end

local function record_effect(event, key, handler, record, conflict)
  if not record.request or not record.outcome then return end
  if conflict then redis.call('HSET', event, handler .. ':conflict', 1) end
  if redis.call('HEXISTS', event, handler .. ':conflict') == 0 then return give_effect(handler, key, record.request) end
  redis.call('HSETNX', prefix .. 'request:' .. record.request, 'effect:' .. handler, key)
end

-- Answers whether the effect runs again, and whether it had ended before.
local function run_again(event, key, handler, mode, record, conflict)
  local member = handler .. '|' .. key
  local seen = redis.call('HMGET', event, handler .. ':state', handler .. ':crashes')
  local state = seen[1] or 'missing'
  if not chosen[state] or redis.call('HEXISTS', leases, member) == 1 then return false end
  if not may_have_effect(event, key, handler, record, conflict) then return false end
  if dry then return true end
  if state == 'missing' then
    local names = redis.call('HGET', event, 'routed_to') or ''
    redis.call('HSET', event, 'routed_to', names == '' and handler or names .. ',' .. handler, handler .. ':attempts', 0)
  end
  record_effect(event, key, handler, record, conflict)
  redis.call('ZREM', prefix .. 'failed', member)
  redis.call('ZREM', prefix .. 'held', member)
  reset_effect(event, handler, seen[2])
  local needs = string.match(mode, '^await%-(%a+)$')
  redis.call('HDEL', event, handler .. ':details')
  local waits = needs == 'details' and record.request and not was_read(record.request)
  if strength[needs] then waits = is_confirmable(event) and strength[redis.call('HGET', event, 'trust')] < strength[needs] end
  if waits then
    redis.call('HDEL', event, handler .. ':evidence')
    await_evidence(handler, event, key, record.request, needs)
  else
    make_due(member)
  end
  return true, ended[state]
end

-- The event was finished or never routed: it is open again, and does not expire while it is.
local function reopen_event(event, key, record, opened)
  redis.call('HINCRBY', event, 'open', opened)
  redis.call('HSET', event, 'state', 'routed')
  redis.call('HSETNX', event, 'routed_at', now_text)
  redis.call('HSETNX', event, 'routed_under', 0) -- a routing report that is still on its way is ignored
  if redis.call('ZREM', prefix .. 'failed', '|' .. key) == 1 then redis.call('HSET', event, ':state', 'replayed') end
  reopen(event, key, record.request)
end

local function rerun(key, handlers)
  local event = prefix .. 'event:' .. key
  local fields = redis.call('HMGET', event, 'trust', 'state', 'request', 'overruled', 'outcome', 'conflict', 'withheld')
  if not fields[1] or fields[4] or fields[7] then return '' end
  local record = { request = fields[3], outcome = fields[5] }
  if record.outcome and record.request and not fields[6] then
    local decision = redis.call('HGET', prefix .. 'request:' .. record.request, 'event')
    if decision and decision ~= key then return '' end
  end
  if handlers == '' then return route_again(event, key, record) end
  if untouched[fields[2]] then return '' end
  local names, opened = {}, 0
  for handler, mode, conflict in string.gmatch(handlers, '([^:,]+):([^:,]+):?([^,]*)') do
    local ran, was_closed = run_again(event, key, handler, mode, record, conflict ~= '')
    if ran then names[#names + 1] = handler end
    if was_closed then opened = opened + 1 end
  end
  if names[1] and not dry then
    redis.call('HINCRBY', event, counter, 1)
    redis.call('HSET', event, when, now_text)
    reopen_event(event, key, record, opened)
  end
  return table.concat(names, ',')
end

local answer = {}
for i = 6, #ARGV, 2 do answer[#answer + 1] = rerun(ARGV[i], ARGV[i + 1]) end
return answer
