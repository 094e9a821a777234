#!lua flags=allow-oom
-- Write down what a worker did with the items it holds, in the order in which it did it.
-- Fenced: only the worker whose token is on the lease is heard. Safe to repeat when a reply was lost.
--
-- ARGV     retention in seconds, lease in milliseconds, and one frame with 6 words a line:
--          verb, handler, event key, token, and two words of the verb's own:
--            route    names of the handlers, comma-separated ('' for none; a name after '!' is not begun,
--                     but due; one after '?' waits for proof; one after '~' too, without haste) | 'suspect' when a worker died while it had
--                     this event in hand
--            done     - | -
--            skipped  - | -                 the handler's predicate says no after all
--            retry    delay in milliseconds | what went wrong ('' when the handler asked for the delay)
--            failed   - | what went wrong
--            held     - | -                 no handler of that name exists today
--            unproven - | -                 today's conditions demand proof
--            release  - | -                 given back unstarted, for any worker to take at once
-- Of an event that HITL.sh contradicted nothing begins again: what would ends as contradicted.
-- Answers  {1 or 0, ...}: 0 where the lease had passed to another worker and nothing was written
local retention, lease = ARGV[1], tonumber(ARGV[2])
frame = ARGV[3]

local function route(event, key, token, names, suspect)
  local routed_under = redis.call('HGET', event, 'routed_under')
  if routed_under then return routed_under == token and 1 or 0 end
  if redis.call('HGET', leases, '|' .. key) ~= token then return 0 end
  redis.call('ZREM', due, '|' .. key)
  redis.call('HDEL', leases, '|' .. key)
  local request_id, can_be_proven = provable(event)
  local open, active, waiting, routed, taken = 0, 0, 0, {}, false
  for mark, name in string.gmatch(names, '([!?~]?)([^,]+)') do
    open = open + 1
    routed[open] = name
    local member = name .. '|' .. key
    local waits = mark == '?' or mark == '~'
    if waits and can_be_proven and take_proof(event) then can_be_proven, taken = false, true end
    if mark == '' then
      active = active + 1
      redis.call('HSET', event, name .. ':state', 'running', name .. ':attempts', 1, name .. ':started_at', now_text)
      redis.call('ZADD', due, now + lease, member)
      redis.call('HSET', leases, member, token)
    elseif waits and can_be_proven then
      waiting = waiting + 1
      redis.call('HSET', event, name .. ':attempts', 0)
      await_proof(name, event, key, request_id, mark == '~')
    else -- due; also what was confirmed or contradicted while it was routed: the claim sees to it
      redis.call('HSET', event, name .. ':state', 'due', name .. ':attempts', 0)
      if suspect ~= '' then redis.call('HSET', event, name .. ':suspect', 1) end
      redis.call('ZADD', due, now, member)
      ring()
    end
  end
  if taken then -- these were routed by what was posted
    for mark, name in string.gmatch(names, '([!?~]?)([^,]+)') do
      if mark == '' or mark == '!' then redis.call('HSET', event, name .. ':posted', 1) end
    end
  end
  redis.call('HSET', event, 'routed_under', token, 'routed_at', now_text, 'routed_to', table.concat(routed, ','),
    'open', open, 'active', active, 'state', 'routed')
  if open == 0 then finish(event, key, request_id, 'unrouted', retention) end
  -- What waits for proof keeps no turn: nobody knows how long.
  if open == waiting and request_id then pass_turn(request_id, key) end
  return 1
end

-- The lease is given up; the request's next event may go on when nothing of this one runs.
local function let_go(handler, event, key, member, request_id)
  redis.call('HDEL', leases, member)
  if handler == '' then
    if request_id then pass_turn(request_id, key) end
    return
  end
  if redis.call('HINCRBY', event, 'active', -1) <= 0 and request_id then pass_turn(request_id, key) end
  free_place(handler)
end

-- How the record words a report: proof may have come, or its contrary, while the worker made it.
local function worded(verb, event)
  if verb ~= 'retry' and verb ~= 'held' and verb ~= 'unproven' then return verb end
  if redis.call('HEXISTS', event, 'contradicted') == 1 then return 'contradicted' end
  local _, can_be_proven = provable(event)
  return verb == 'unproven' and (not can_be_proven or take_proof(event)) and 'due' or verb
end

local function settle(verb, handler, event, key, token, detail, wrong)
  local member = handler .. '|' .. key
  if redis.call('HGET', leases, member) ~= token then
    return redis.call('HGET', event, handler .. ':settled_under') == token and 1 or 0
  end
  local known = redis.call('HMGET', event, 'request', handler .. ':suspect', handler .. ':attempts', handler .. ':started_at')
  local state = worded(verb, event)
  redis.call('HSET', event, handler .. ':settled_under', token, handler .. ':state', state, handler .. ':settled_at', now_text)
  if wrong ~= '' then redis.call('HSET', event, handler .. ':error', wrong) end
  if known[2] then redis.call('HDEL', event, handler .. ':suspect') end
  if verb == 'unproven' then redis.call('HDEL', event, handler .. ':posted') end
  if handler ~= '' and (verb == 'retry' or verb == 'failed') then
    remember(event, handler, tonumber(known[3] or 1), verb, known[4], wrong)
  end
  if verb == 'retry' and wrong ~= '' then redis.call('HINCRBY', event, handler .. ':errors', 1) end
  if verb == 'held' or verb == 'unproven' then redis.call('HINCRBY', event, handler .. ':attempts', -1) end
  if state == 'retry' or state == 'due' then
    redis.call('ZADD', due, now + (tonumber(detail) or 0), member)
    ring()
  else
    redis.call('ZREM', due, member)
    if state == 'failed' then
      redis.call('ZADD', prefix .. 'failed', now, member)
      if handler == '' then redis.call('HSET', event, 'state', 'failed') end
    elseif state == 'held' then
      redis.call('ZADD', prefix .. 'held', now, member)
    elseif state == 'unproven' then
      await_proof(handler, event, key, known[1])
    elseif redis.call('HINCRBY', event, 'open', -1) == 0 then
      finish_effects(event, key, known[1], retention)
    end
  end
  let_go(handler, event, key, member, known[1])
  return 1
end

local function release(handler, event, key, token)
  local member = handler .. '|' .. key
  if redis.call('HGET', leases, member) ~= token then return 0 end
  redis.call('ZADD', due, now, member)
  if handler == '' then -- it keeps its turn
    redis.call('HDEL', leases, member)
  else
    redis.call('HINCRBY', event, handler .. ':attempts', -1)
    redis.call('HSET', event, handler .. ':state', 'due')
    let_go(handler, event, key, member, redis.call('HGET', event, 'request'))
  end
  ring()
  return 1
end

local answer = {}
while position <= #frame do
  local verb, handler, key, token, detail, wrong = word(), word(), word(), word(), word(), word()
  local event = prefix .. 'event:' .. key
  local heard
  if verb == 'route' then
    heard = route(event, key, token, detail, wrong)
  elseif verb == 'release' then
    heard = release(handler, event, key, token)
  else
    heard = settle(verb, handler, event, key, token, detail, wrong)
  end
  answer[#answer + 1] = heard
end
return answer
