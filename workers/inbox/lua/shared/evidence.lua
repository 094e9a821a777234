-- Evidence: what each delivery says of an outcome, and which evidence decides. Included in every script.
--
-- An event's record holds at most one piece of evidence a trust level, in the fields `<level>:head`, `:body`,
-- `:callback`, `:received_at` and `:traceparent`; `trust` is the strongest level that it has. Evidence never changes and
-- is never mixed: an effect continues with the evidence with which it began (`<handler>:evidence`).
--
-- Within a trust level the first outcome of a request stands (`speaks:<level>` of its record), between levels the
-- stronger one: that event is the request's decision (`event`). The effects of an outcome are unique per (request, route):
-- `effect:<handler>` names the event whose effect it is.

-- The record fields of a delivery, appended to the given ones.
local function evidence_fields(delivery, ...)
  local level, fields = delivery.trust, { ... }
  local function add(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  add('trust', level)
  add(level .. ':head', delivery.head)
  add(level .. ':body', delivery.body)
  add(level .. ':received_at', delivery.received_at)
  if delivery.callback ~= '' then add(level .. ':callback', delivery.callback) end
  if delivery.traceparent ~= '' then add(level .. ':traceparent', delivery.traceparent) end
  return fields
end

-- Whether HITL.sh's API can still confirm or deny the outcome: not after it denied it or confirmed another.
local function is_confirmable(event)
  local fields = redis.call('HMGET', event, 'request', 'outcome', 'trust', 'overruled')
  if not fields[1] or not fields[2] or fields[3] == 'confirmed' then return false end
  if fields[4] == 'open' or fields[4] == 'missing' then return false end
  local decision = redis.call('HGET', prefix .. 'request:' .. fields[1], 'event')
  return not decision or redis.call('HGET', prefix .. 'event:' .. decision, 'trust') ~= 'confirmed'
end

-- -- waiting for stronger evidence ------------------------------------------------------------------------------

-- Milliseconds until a call is made for an effect that demands a signature: the signed delivery may be on its way.
local SIGNED_GRACE = 90000
-- Milliseconds: confirmations that are not urgent are made together, every half hour.
local BATCH_PERIOD = 1800000

local function waits_for_confirmation(request_id)
  return redis.call('EXISTS', prefix .. 'unconfirmed:' .. request_id) == 1
    or redis.call('HEXISTS', prefix .. 'request:' .. request_id, 'contested') == 1
end

-- Schedule the check of the request at this time (milliseconds) at the latest.
local function confirm_by(request_id, moment)
  local request = prefix .. 'request:' .. request_id
  if redis.call('HEXISTS', request, 'doubts') == 0 then redis.call('HDEL', request, 'hold') end
  redis.call('ZADD', checks_of(request_id), 'LT', moment, request_id)
end

-- The effect waits until its event has evidence of the level `needs`, or until its request has been read (`details`).
-- `is_batched`: the check is not urgent, and is made together with others.
local function await_evidence(handler, event, key, request_id, needs, is_batched)
  redis.call('HSET', event, handler .. ':state', 'unconfirmed', handler .. ':needs', needs)
  if needs == 'details' then redis.call('HSET', prefix .. 'request:' .. request_id, 'details_wanted', now_text) end
  redis.call('ZADD', prefix .. 'unconfirmed', now, handler .. '|' .. key)
  redis.call('SADD', prefix .. 'unconfirmed:' .. request_id, key)
  if not is_batched then
    confirm_by(request_id, needs == 'signed' and now + SIGNED_GRACE or now)
  elseif not redis.call('ZSCORE', checks_of(request_id), request_id) then
    local next_batch = (math.floor(now / BATCH_PERIOD) + 1) * BATCH_PERIOD
    redis.call('HSET', prefix .. 'request:' .. request_id, 'hold', next_batch)
    redis.call('ZADD', checks_of(request_id), next_batch, request_id)
  end
end

-- If nothing waits for this request and it has ended, remove its check.
local function end_wait(request_id)
  if waits_for_confirmation(request_id) then return end
  local request = prefix .. 'request:' .. request_id
  redis.call('HDEL', request, 'doubts', 'hold')
  if redis.call('HEXISTS', request, 'outcome') == 1 then redis.call('ZREM', checks_of(request_id), request_id) end
end

-- If no effect of the event waits any more, remove it from those of its request that wait.
local function stop_waiting(event, key, request_id)
  for handler in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
    if redis.call('ZSCORE', prefix .. 'unconfirmed', handler .. '|' .. key) then return end
  end
  redis.call('SREM', prefix .. 'unconfirmed:' .. request_id, key)
  end_wait(request_id)
end

-- The event has evidence of this level, or its request has been read: make effects that waited for that due.
local function release_waiting(event, key, request_id, level)
  local function is_reached(handler)
    local needs = redis.call('HGET', event, handler .. ':needs') or 'confirmed'
    if needs == 'details' then return was_read(request_id) end
    return strength[needs] <= strength[level]
  end
  for handler in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
    local member = handler .. '|' .. key
    if redis.call('ZSCORE', prefix .. 'unconfirmed', member) and is_reached(handler) then
      redis.call('ZREM', prefix .. 'unconfirmed', member)
      redis.call('HSET', event, handler .. ':state', 'due')
      redis.call('ZADD', due, now, member)
      wake_drain()
    end
  end
  stop_waiting(event, key, request_id)
end

-- The request has been read, or cannot be read: make effects that waited for its details due.
local function release_details(request_id)
  redis.call('HDEL', prefix .. 'request:' .. request_id, 'details_wanted')
  for _, key in ipairs(redis.call('SMEMBERS', prefix .. 'unconfirmed:' .. request_id)) do
    local event = prefix .. 'event:' .. key
    release_waiting(event, key, request_id, redis.call('HGET', event, 'trust') or 'callback')
  end
end

-- HITL.sh's API does not show the request: effects that wait for its details go on without them.
local function give_up_details(request_id)
  local request = prefix .. 'request:' .. request_id
  if redis.call('HEXISTS', request, 'details_wanted') == 0 then return end
  redis.call('HSET', request, 'details_unavailable', 1)
  count_change(request_id)
  release_details(request_id)
end

-- -- between the outcomes of one request --------------------------------------------------------------------------

-- Withdraw an effect because of stronger evidence: it does not begin (again). If it was the last that was open, its event
-- is finished; if nothing of the event runs, the turn is passed on.
local function withdraw(handler, event, key, request_id)
  local member = handler .. '|' .. key
  local was_due = redis.call('ZREM', due, member) == 1
  local was_waiting = redis.call('ZREM', prefix .. 'unconfirmed', member) == 1
  for _, where in ipairs({ 'held', 'failed', 'waiting:' .. handler, 'turns:' .. request_id }) do
    redis.call('ZREM', prefix .. where, member)
  end
  redis.call('HSET', event, handler .. ':state', 'superseded', handler .. ':settled_at', now_text)
  redis.call('HDEL', event, handler .. ':suspect')
  redis.call('HINCRBY', event, 'open', -1)
  local request = prefix .. 'request:' .. request_id
  if redis.call('HGET', request, 'effect:' .. handler) == key and not has_begun(event, handler) then
    redis.call('HDEL', request, 'effect:' .. handler)
  end
  -- A slot of a capped handler may have been reserved for it.
  if was_due then make_next_due(handler) end
  if was_waiting then stop_waiting(event, key, request_id) end
  finish_if_settled(event, key)
  release_turn(request_id, event, key)
end

local open_states = { due = true, retry = true, waiting = true, paused = true, held = true, unconfirmed = true,
  failed = true }

-- Whether the handler began for another outcome of the request: effects of outcomes are unique per (request, route).
-- Answers also the key of that other event, if its effect is still open.
local function began_elsewhere(handler, key, request_id)
  local other = redis.call('HGET', prefix .. 'request:' .. request_id, 'effect:' .. handler)
  if not other or other == key then return false end
  local begun, state = has_begun(prefix .. 'event:' .. other, handler)
  -- The record of that event has expired: assume that the handler began.
  if not state and redis.call('EXISTS', prefix .. 'event:' .. other) == 0 then begun = true end
  return begun, open_states[state] and other
end

-- The handler has its effect on this event; its open effect on another event of the request is withdrawn.
local function give_effect(handler, key, request_id)
  local _, other = began_elsewhere(handler, key, request_id)
  if other then withdraw(handler, prefix .. 'event:' .. other, other, request_id) end
  redis.call('HSET', prefix .. 'request:' .. request_id, 'effect:' .. handler, key)
end

-- End the routing of the event; effects that an earlier routing began go on.
local function end_routing(event, key, request_id)
  for _, where in ipairs({ due, prefix .. 'failed', turns_of(request_id) }) do redis.call('ZREM', where, '|' .. key) end
  redis.call('HDEL', leases, '|' .. key)
  redis.call('HSET', event, 'state', 'routed')
  redis.call('HSETNX', event, 'routed_to', '')
  finish_if_settled(event, key)
end

-- Stronger evidence decides the request, or HITL.sh says that it has not ended: `by` is the key of the event, or `open`
-- or `missing`. If they disagree, only effects of routes that ask for conflicts begin (again); if they cannot be
-- compared, none begins. Answers whether a handler had begun for an outcome that is wrong.
local function supersede(request_id, key, by, disagrees)
  local event, wrong = prefix .. 'event:' .. key, false
  local by_event = by ~= 'open' and by ~= 'missing'
  if by_event then redis.call('HSET', event, 'superseded_by', by) end
  if disagrees then
    redis.call('HSET', event, 'overruled', by)
    redis.call('ZADD', prefix .. 'overruled', now, key)
    if by_event then redis.call('HSET', event, 'conflict', 1) end
  end
  for handler in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
    local begun, state = has_begun(event, handler)
    local stays = disagrees and by_event and redis.call('HEXISTS', event, handler .. ':conflict') == 1
    if begun and disagrees then
      redis.call('HSET', event, handler .. ':overruled', 1)
      wrong = true
    end
    if open_states[state] and not stays and (disagrees or not begun) then withdraw(handler, event, key, request_id) end
  end
  stop_waiting(event, key, request_id)
  redis.call('HSET', prefix .. 'request:' .. request_id, 'rivals', 1)
  local leased = redis.call('HEXISTS', leases, '|' .. key) == 1
  local state = redis.call('HGET', event, 'state')
  if (state == 'due' or state == 'failed') and not leased and not (disagrees and by_event) then
    end_routing(event, key, request_id)
  end
  release_turn(request_id, event, key)
  return wrong
end

-- Route an outcome again that was routed before, or that a worker is routing now under its former role.
local function route_anew(request_id, event, key)
  local fields = redis.call('HMGET', event, 'state')
  if redis.call('HEXISTS', leases, '|' .. key) == 1 then
    redis.call('HSET', event, 'reroute', 1)
    return
  end
  redis.call('ZREM', prefix .. 'failed', '|' .. key)
  redis.call('HDEL', event, 'routed_under', ':state')
  redis.call('HSET', event, 'state', 'due')
  if fields[1] ~= 'due' then reopen(event, key, request_id) end
  make_routable(request_id, key)
end

-- -- details become known --------------------------------------------------------------------------------

-- What somebody has to look at: count it, and record when it last occurred and with which event, for alarms.
local function count_for_alarm(name, key)
  redis.call('HINCRBY', prefix .. 'counters', name, 1)
  redis.call('HSET', prefix .. 'latest', name, now)
  redis.call('HSET', prefix .. 'latest_events', name, key)
end

-- The outcome differs from the decision, which stands.
local function mark_conflict(event, key)
  if redis.call('HSET', event, 'conflict', 1) == 1 then count_for_alarm('conflicts', key) end
end

-- The options of the question show that the outcome differs from the decision.
local function begin_conflict(request_id, key, decision, is_contested)
  local event, request = prefix .. 'event:' .. key, prefix .. 'request:' .. request_id
  if redis.call('HEXISTS', event, 'superseded_by') == 1 then
    if supersede(request_id, key, decision, true) then redis.call('HSET', prefix .. 'event:' .. decision, 'overrules', 1) end
    local fields = redis.call('HMGET', event, 'routed_to')
    if fields[1] ~= '' or redis.call('HEXISTS', leases, '|' .. key) == 1 then return end
  else
    mark_conflict(event, key)
    if is_contested then
      redis.call('HSET', request, 'contested', 1)
      confirm_by(request_id, now)
    end
  end
  route_anew(request_id, event, key)
end

-- The options show that the outcome is the same answer as the decision: begun effects go on, no other begins.
local function end_conflict(request_id, key, decision)
  local event = prefix .. 'event:' .. key
  redis.call('HDEL', event, 'conflict', 'overruled', 'reroute')
  redis.call('ZREM', prefix .. 'overruled', key)
  for handler in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
    redis.call('HDEL', event, handler .. ':overruled')
  end
  supersede(request_id, key, decision, false)
end

local not_compared = { stale = true, misused = true }

-- Compare each other outcome of the request with the decision again.
local function decide_agreement(request_id)
  local request = prefix .. 'request:' .. request_id
  local fields = redis.call('HMGET', request, 'event', 'rivals', 'history')
  local decision, has_agreed, is_overruling, is_contested = fields[1], false, false, false
  if not decision or not fields[2] then return end
  local decided = redis.call('HMGET', prefix .. 'event:' .. decision, 'outcome', 'fingerprint', 'trust')
  if not decided[1] then return end
  for key in string.gmatch(fields[3] or '', '%S+') do
    local other = redis.call('HMGET', prefix .. 'event:' .. key, 'outcome', 'fingerprint', 'trust', 'state', 'conflict',
      'overruled')
    local is_denied = other[6] == 'open' or other[6] == 'missing'
    if key ~= decision and other[1] and not is_denied and not not_compared[other[4]] then
      local differs = disagree(request_id, other[1], other[2], decided[1], decided[2])
      local contests = differs and other[3] == decided[3] and other[3] ~= 'confirmed'
      if differs and not other[5] then
        begin_conflict(request_id, key, decision, contests)
      elseif not differs and other[5] then
        end_conflict(request_id, key, decision)
        has_agreed = true
      end
      is_contested = is_contested or contests
      is_overruling = is_overruling or redis.call('HGET', prefix .. 'event:' .. key, 'overruled') == decision
    end
  end
  if has_agreed and not is_overruling then redis.call('HDEL', prefix .. 'event:' .. decision, 'overrules') end
  if has_agreed and not is_contested then
    redis.call('HDEL', request, 'contested')
    end_wait(request_id)
  end
end

-- Save the details of the request (JSON) from one of the sources.
local function save_details(request_id, source, details)
  local request = prefix .. 'request:' .. request_id
  if details == '' or redis.call('HGET', request, 'details:' .. source) == details then return end
  -- Some events carry fewer details than others.
  if source == 'event' and redis.call('HSTRLEN', request, 'details:event') > #details then return end
  redis.call('HSET', request, 'details:' .. source, details)
  if source == 'api' then redis.call('HDEL', request, 'details_unavailable') end
  count_change(request_id)
  decide_agreement(request_id)
  if source == 'api' then release_details(request_id) end
end

-- The decision of the request is confirmed: withdraw effects that wait for another of its outcomes to be confirmed.
local function end_obsolete_waits(request_id)
  local request = prefix .. 'request:' .. request_id
  local decision = redis.call('HGET', request, 'event')
  redis.call('HDEL', request, 'contested')
  for _, key in ipairs(redis.call('SMEMBERS', prefix .. 'unconfirmed:' .. request_id)) do
    if key ~= decision then
      local event = prefix .. 'event:' .. key
      for handler in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
        if redis.call('HGET', event, handler .. ':state') == 'unconfirmed' then withdraw(handler, event, key, request_id) end
      end
      stop_waiting(event, key, request_id)
    end
  end
  end_wait(request_id)
end
