#!lua flags=allow-oom
-- Record the settlements that a worker reports for its items, in order.
-- Fenced: a report counts only if its token is on the lease. Safe to repeat when a reply was lost.
--
-- ARGV     retention in seconds, lease in milliseconds, and one frame of reports (settlements.py): of each the verb,
--          handler, event key and token, then the fields of its verb:
--            route        '<handler>:<mode>[:conflict],...' ('' for none), then 'suspect' when a worker died while it
--                         held this event, or ''. Modes: run (it runs already), due, and await-<level> or later-<level>
--                         for what waits until the event has evidence of that level (or its request has been read: `details`),
--                         the latter without haste.
--                         `conflict`: the route asks for conflicts, and may have an effect on each outcome of the
--                         request
--            done
--            skipped      (the handler's conditions do not match after all)
--            retry        delay in milliseconds, then the error, '' when the attempt does not count as failed
--            failed       the error
--            held         (no handler of that name exists today)
--            unconfirmed  the level of evidence that today's conditions demand
--            undecodable  delay in milliseconds, '' to give up, then the error
--            release      (not started: any worker may claim it at once)
-- An effect that stronger evidence overruled does not begin again: it ends as superseded.
-- Answers  {1 or 0, ...}: 0 where the lease had passed to another worker and nothing was written
local lease = tonumber(ARGV[2])
retention = ARGV[1]
frame = ARGV[3]

local function must_wait(event, request_id, needs)
  if needs == 'details' then return not was_read(request_id) end
  return strength[redis.call('HGET', event, 'trust')] < (strength[needs] or 3)
end

-- Add an effect to the event, unless it has one that was not withdrawn. Answers whether it was added.
local function add_effect(event, key, token, name, mode, request_id, suspect)
  local member = name .. '|' .. key
  local state = redis.call('HGET', event, name .. ':state')
  if state and state ~= 'superseded' then return false end
  local how, needs = string.match(mode, '^(%a+)%-(%a+)$')
  local waits = needs and must_wait(event, request_id, needs)
  if waits and needs ~= 'details' and not is_confirmable(event) then return false end -- no evidence would ever end the wait
  if not state then
    local names = redis.call('HGET', event, 'routed_to')
    redis.call('HSET', event, 'routed_to', names and names ~= '' and names .. ',' .. name or name)
  end
  redis.call('HINCRBY', event, 'open', 1)
  if mode == 'run' then
    redis.call('HINCRBY', event, 'active', 1)
    redis.call('HSET', event, name .. ':state', 'running', name .. ':attempts', 1, name .. ':started_at', now_text,
      name .. ':evidence', redis.call('HGET', event, ':evidence') or redis.call('HGET', event, 'trust'))
    local details = redis.call('HGET', event, ':details')
    if details then redis.call('HSET', event, name .. ':details', details) end
    redis.call('ZADD', due, now + lease, member)
    redis.call('HSET', leases, member, token)
    return true
  end
  redis.call('HSETNX', event, name .. ':attempts', 0)
  if waits then
    await_evidence(name, event, key, request_id, needs, how == 'later')
    return true
  end
  redis.call('HSET', event, name .. ':state', 'due')
  if suspect ~= '' then redis.call('HSET', event, name .. ':suspect', 1) end
  redis.call('ZADD', due, now, member)
  wake_drain()
  return true
end

local function route(event, key, token, names, suspect)
  local routed_under = redis.call('HGET', event, 'routed_under')
  if routed_under then return routed_under == token and 1 or 0 end
  if redis.call('HGET', leases, '|' .. key) ~= token then return 0 end
  redis.call('ZREM', due, '|' .. key)
  redis.call('HDEL', leases, '|' .. key)
  local fields = redis.call('HMGET', event, 'request', 'outcome', 'overruled', 'conflict', 'reroute')
  local request_id, outcome, overruled, differs = fields[1], fields[2], fields[3], fields[4]
  local made_due = false
  local denied = overruled == 'open' or overruled == 'missing'
  -- If stronger evidence came while a worker routed it, the effects that run are recorded and no other begins.
  local decision = outcome and request_id and redis.call('HGET', prefix .. 'request:' .. request_id, 'event')
  local is_not_decision = denied or (decision and decision ~= key)
  redis.call('HSET', event, 'routed_under', token, 'routed_at', now_text, 'state', 'routed')
  redis.call('HSETNX', event, 'routed_to', '')
  for name, mode, conflict in string.gmatch(names, '([^:,]+):([^:,]+):?([^,]*)') do
    local is_added = mode == 'run' or not is_not_decision or (differs and not denied and conflict ~= '')
    if is_added and conflict == '' and outcome and request_id and mode ~= 'run' then
      is_added = not began_elsewhere(name, key, request_id)
      if is_added then give_effect(name, key, request_id) end
    elseif is_added and outcome and request_id then
      redis.call(conflict == '' and 'HSET' or 'HSETNX', prefix .. 'request:' .. request_id, 'effect:' .. name, key)
    end
    if is_added and add_effect(event, key, token, name, mode, request_id, suspect) then
      if conflict ~= '' then redis.call('HSET', event, name .. ':conflict', 1) end
      if mode == 'run' and overruled then
        redis.call('HSET', event, name .. ':overruled', 1)
        if not denied then redis.call('HSET', prefix .. 'event:' .. overruled, 'overrules', 1) end
      end
      made_due = made_due or mode == 'run' or redis.call('HGET', event, name .. ':state') == 'due'
    end
  end
  redis.call('HDEL', event, ':evidence', ':details')
  if fields[5] and not is_not_decision then
    redis.call('HDEL', event, 'reroute')
    route_anew(request_id, event, key)
  else
    finish_if_settled(event, key)
  end
  if request_id then
    -- A higher class that waited until the routing is on record goes on at once.
    if is_outranked(request_id, key) then pass_turn(request_id, key) end
    -- An event that only waits for stronger evidence keeps no turn: the wait may be long.
    if not made_due then release_turn(request_id, event, key) end
  end
  return 1
end

-- End the lease; the request's next event may run when nothing of this one runs.
local function end_lease(handler, event, key, member, request_id)
  redis.call('HDEL', leases, member)
  if handler ~= '' then
    redis.call('HINCRBY', event, 'active', -1)
    free_slot(handler)
  end
  release_turn(request_id, event, key)
end

-- If the effect did not begin and its event is no longer the decision of the request, let the decision have the
-- effect. Answers whether that is so.
local function yield_effect(handler, event, key, request_id)
  if not request_id or redis.call('HEXISTS', event, 'outcome') == 0 or has_begun(event, handler) then return false end
  if redis.call('HEXISTS', event, handler .. ':conflict') == 1 then return false end
  local decision = redis.call('HGET', prefix .. 'request:' .. request_id, 'event')
  local overruled = redis.call('HEXISTS', event, handler .. ':overruled') == 1
  if not overruled and (not decision or decision == key) then return false end
  if redis.call('HGET', prefix .. 'request:' .. request_id, 'effect:' .. handler) == key then
    redis.call('HDEL', prefix .. 'request:' .. request_id, 'effect:' .. handler)
  end
  if decision and decision ~= key then route_anew(request_id, prefix .. 'event:' .. decision, decision) end
  return true
end

local retried = { retry = true, held = true, unconfirmed = true }

-- The state after a report; stronger evidence may have arrived while the worker ran.
local function state_after(verb, handler, event, key, request_id, level)
  if handler ~= '' and (verb == 'skipped' or retried[verb]) and yield_effect(handler, event, key, request_id) then
    return verb == 'skipped' and verb or 'superseded'
  end
  if (verb == 'failed' or retried[verb]) and redis.call('HEXISTS', event, handler .. ':overruled') == 1 then
    return 'superseded'
  end
  if verb ~= 'unconfirmed' then return verb end
  if not must_wait(event, request_id, level) then return 'due' end
  return (level == 'details' or is_confirmable(event)) and verb or 'superseded'
end

local function settle(verb, handler, event, key, token, details)
  local member = handler .. '|' .. key
  if redis.call('HGET', leases, member) ~= token then
    return redis.call('HGET', event, handler .. ':settled_under') == token and 1 or 0
  end
  local fields = redis.call('HMGET', event, 'request', handler .. ':suspect', handler .. ':attempts', handler .. ':started_at')
  local did_not_begin = verb == 'held' or verb == 'unconfirmed' or verb == 'undecodable'
  if did_not_begin and handler ~= '' then
    -- An effect that never began takes the strongest evidence when it begins.
    if redis.call('HINCRBY', event, handler .. ':attempts', -1) == 0 or verb == 'unconfirmed' then
      redis.call('HDEL', event, handler .. ':evidence', handler .. ':details')
    end
  end
  if verb == 'undecodable' then verb = details.delay ~= '' and 'retry' or 'failed' end
  if verb == 'skipped' then redis.call('HSET', event, handler .. ':state', verb) end
  local state = state_after(verb, handler, event, key, fields[1], details.level)
  redis.call('HSET', event, handler .. ':settled_under', token, handler .. ':state', state, handler .. ':settled_at', now_text)
  if details.error ~= '' then redis.call('HSET', event, handler .. ':error', details.error) end
  if fields[2] then redis.call('HDEL', event, handler .. ':suspect') end
  if handler ~= '' and not did_not_begin and (verb == 'retry' or verb == 'failed') then
    save_attempt(event, handler, tonumber(fields[3] or 1), verb, fields[4], details.error)
  end
  if (verb == 'retry' or verb == 'failed') and details.error ~= '' then redis.call('HINCRBY', event, handler .. ':errors', 1) end
  if state == 'retry' or state == 'due' then
    redis.call('ZADD', due, now + (verb == 'retry' and tonumber(details.delay) or 0), member)
    wake_drain()
  else
    redis.call('ZREM', due, member)
    if state == 'failed' then
      redis.call('ZADD', prefix .. 'failed', now, member)
      if handler == '' then redis.call('HSET', event, 'state', 'failed') end
    elseif state == 'held' then
      redis.call('ZADD', prefix .. 'held', now, member)
    elseif state == 'unconfirmed' then
      await_evidence(handler, event, key, fields[1], details.level)
    else
      redis.call('HINCRBY', event, 'open', -1)
      finish_if_settled(event, key)
    end
  end
  end_lease(handler, event, key, member, fields[1])
  return 1
end

local function release(handler, event, key, token)
  local member = handler .. '|' .. key
  if redis.call('HGET', leases, member) ~= token then return 0 end
  redis.call('ZADD', due, now, member)
  wake_drain()
  if handler == '' then -- it keeps its turn
    redis.call('HDEL', leases, member)
    return 1
  end
  local request_id = redis.call('HGET', event, 'request')
  if redis.call('HINCRBY', event, handler .. ':attempts', -1) == 0 then
    redis.call('HDEL', event, handler .. ':evidence', handler .. ':details')
  end
  redis.call('HSET', event, handler .. ':state', 'due')
  local overruled = redis.call('HEXISTS', event, handler .. ':overruled') == 1
  if yield_effect(handler, event, key, request_id) or overruled then withdraw(handler, event, key, request_id) end
  end_lease(handler, event, key, member, request_id)
  return 1
end

-- The further fields of each verb.
local detail_names = {
  retry = { 'delay', 'error' }, failed = { 'error' }, unconfirmed = { 'level' }, undecodable = { 'delay', 'error' },
}

local function read_details(verb)
  local details = { delay = '', level = '', error = '' }
  for _, name in ipairs(detail_names[verb] or {}) do details[name] = next_field() end
  return details
end

local answer = {}
while position <= #frame do
  local verb, handler, key, token = next_field(), next_field(), next_field(), next_field()
  local event = prefix .. 'event:' .. key
  local accepted
  if verb == 'route' then
    local effects, suspect = next_field(), next_field()
    accepted = route(event, key, token, effects, suspect)
  elseif verb == 'release' then
    accepted = release(handler, event, key, token)
  else
    accepted = settle(verb, handler, event, key, token, read_details(verb))
  end
  answer[#answer + 1] = accepted
end
return answer
