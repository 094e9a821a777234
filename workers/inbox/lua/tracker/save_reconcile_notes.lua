#!lua flags=allow-oom
-- Save the results of a reconcile run. Fenced: only the run that holds the lease writes. Safe to repeat.
--
-- ARGV     fencing token, longest life of an open request in seconds, retention in seconds, when the reconcile run
--          began (seconds), and one frame with 4 fields a note: verb, request id, and two fields of the verb:
--            open     created_at | timeout_at   HITL.sh shows it as open ('' where not shown)
--            details  JSON | callback (JSON)    its details, as HITL.sh shows them ('' if its callback URL is not ours)
--            loop     loop id | -               the loop of the request, as HITL.sh shows it
--            loop_name JSON | -                 the name of the loop whose id is the second field
--            ended    created_at | -            it has ended: only its offset in the list is recorded
--            missing  API key | -               HITL.sh does not know it: certain at the second time; before that
--                                               the other key is used ('' for none) if no key was shown it
--            due      when (milliseconds) | -   its next call, unless something has changed it meanwhile
--            hold     until (milliseconds) | -  HITL.sh fails to show it: it is not checked before
--            state    text | -                  a field of the state of reconciliation, named by the second field
-- Answers  {0} when the lease has passed to another reconcile run and nothing was written, else
--          {1, requests that are new to us, requests lost, outcomes overruled}
local token, life, began = ARGV[1], ARGV[2], tonumber(ARGV[4])
retention = ARGV[3]
frame = ARGV[5]
if redis.call('GET', prefix .. 'reconcile_lease') ~= token then return { 0 } end
local new, lost, overruled = 0, 0, 0
-- Seconds until HITL.sh is asked again about a delivered outcome that it does not confirm: it may be late itself.
local RETRIES = { 60, 300 }
-- Milliseconds until a request is checked again that HITL.sh once showed.
local LATER = 3600000

-- Whether HITL.sh has shown the request to one of our keys, or it was asked through us.
local function was_shown(request)
  local fields = redis.call('HMGET', request, 'learned', 'checked_at')
  return fields[1] == 'asked' or fields[1] == 'listing' or fields[2]
end

-- No verified delivery has ever named it.
local function is_unverified(request) return redis.call('HGET', request, 'learned') == 'callback' end

-- HITL.sh does not know the request: it is lost.
local function mark_lost(request_id, request)
  redis.call('HSET', request, 'status', 'lost')
  redis.call('HDEL', request, 'refused', 'hold')
  redis.call('ZREM', checks_of(request_id), request_id)
  -- Handlers that began for an outcome that was denied are remembered for as long as a tombstone has them.
  redis.call('EXPIRE', request, began_for(request) == '' and retention or retention + TOMBSTONE)
  -- A delivery forged it; it does not count as lost.
  if is_unverified(request) then return redis.call('HSET', request, 'missing', now_text) end
  redis.call('ZADD', prefix .. 'lost', now, request_id)
  lost = lost + 1
end

-- HITL.sh shows that the request is open or does not exist: every delivered outcome is false.
local function deny(request_id, request, by)
  redis.call('HDEL', request, 'doubts', 'hold', 'contested', 'outcome', 'event', 'decided_at', 'speaks:callback',
    'speaks:signed')
  for key in string.gmatch(redis.call('HGET', request, 'history') or '', '%S+') do
    local event = prefix .. 'event:' .. key
    local fields = redis.call('HMGET', event, 'outcome', 'trust', 'state')
    if fields[1] and fields[2] ~= 'confirmed' and fields[3] ~= 'stale' and fields[3] ~= 'misused' then
      supersede(request_id, key, by, true)
      overruled = overruled + 1
    end
  end
  redis.call('HSET', request, 'status', 'pending')
  redis.call('DEL', tombstone_of(request_id))
end

-- HITL.sh does not confirm an outcome that waits for confirmation: check again later, in the end deny it.
local function doubt(request_id, request, by)
  give_up_details(request_id)
  if not waits_for_confirmation(request_id) then return end
  -- It existed before: perhaps the key may not read it.
  if by == 'missing' and was_shown(request) then
    redis.call('HSET', request, 'hold', now + LATER)
    redis.call('ZADD', checks_of(request_id), now + LATER, request_id)
    return
  end
  local tries = redis.call('HINCRBY', request, 'doubts', 1)
  if RETRIES[tries] and not (by == 'missing' and is_unverified(request)) then
    local hold = now + RETRIES[tries] * 1000
    redis.call('HSET', request, 'hold', hold)
    redis.call('ZADD', checks_of(request_id), hold, request_id)
    return
  end
  redis.call('ZREM', checks_of(request_id), request_id)
  deny(request_id, request, by)
  if by == 'missing' then mark_lost(request_id, request) end
end

-- It has an outcome, and no effect waits for confirmation.
local function is_over(request_id, request)
  if waits_for_confirmation(request_id) or redis.call('HEXISTS', request, 'outcome') == 0 then return false end
  redis.call('ZREM', checks_of(request_id), request_id)
  return true
end

local function note_open(request_id, request, created, timeout)
  if is_over(request_id, request) then return end
  if waits_for_confirmation(request_id) then
    doubt(request_id, request, 'open')
    if redis.call('HEXISTS', request, 'outcome') == 1 then return end
  end
  if track(request_id, 'listing', created, timeout, life) then new = new + 1 end
  redis.call('HSET', request, 'checked_at', now_text)
  redis.call('HDEL', request, 'refused', 'missing', 'hold')
  if redis.call('ZREM', prefix .. 'lost', request_id) == 1 then
    redis.call('HSET', request, 'status', 'pending')
    redis.call('ZADD', checks_of(request_id), 'NX', now, request_id)
  end
end

local function note_missing(request_id, request, other_key)
  -- A 404 for a request of another key proves nothing.
  if key_of(request_id) ~= used_key or is_over(request_id, request) then return end
  if other_key ~= '' and not was_shown(request) then
    assign_key(request_id, other_key, redis.call('HGET', request, 'learned') or 'event')
    redis.call('ZADD', checks_of(request_id), 'XX', now, request_id)
    return
  end
  if waits_for_confirmation(request_id) then return doubt(request_id, request, 'missing') end
  local first = tonumber(redis.call('HGET', request, 'missing'))
  if not first then
    redis.call('HSET', request, 'missing', now_text, 'hold', now + 300000)
    redis.call('ZADD', checks_of(request_id), 'XX', now + 300000, request_id)
  end
  if is_unverified(request) or (first and now_seconds - first >= 240) then
    mark_lost(request_id, request)
  end
end

local function schedule(request_id, request, when)
  local fields = redis.call('HMGET', request, 'refused', 'hold', 'outcome', 'details_wanted')
  if fields[1] and tonumber(fields[1]) > began then return end
  -- An effect began to wait for its details after the run began.
  if fields[4] and tonumber(fields[4]) > began then return end
  if fields[3] and request_id ~= '*' and not waits_for_confirmation(request_id) then return end
  if fields[2] and tonumber(fields[2]) > now then when = fields[2] end
  redis.call('ZADD', checks_of(request_id), request_id == '*' and 'CH' or 'XX', when, request_id)
end

while position <= #frame do
  local verb, request_id, first, second = next_field(), next_field(), next_field(), next_field()
  local request = prefix .. 'request:' .. request_id
  if verb == 'open' then
    note_open(request_id, request, first, second)
    update_question(request_id)
  elseif verb == 'details' then
    if second ~= '' and redis.call('HSETNX', request, 'callback', second) == 1 then count_change(request_id) end
    save_details(request_id, 'api', first)
  elseif verb == 'loop' then
    keep_loop(request_id, first, '')
  elseif verb == 'loop_name' then
    redis.call('HSET', prefix .. 'loop_names', request_id, first)
  elseif verb == 'ended' then
    mark_verified(request_id, 'listing')
    redis.call('ZADD', asked_of(request_id), 'NX', creation_time(first), request_id)
  elseif verb == 'missing' then
    note_missing(request_id, request, first)
    update_question(request_id)
  elseif verb == 'due' then
    schedule(request_id, request, first)
  elseif verb == 'hold' then
    if redis.call('ZADD', checks_of(request_id), 'XX', 'CH', first, request_id) == 1 then redis.call('HSET', request, 'hold', first) end
  elseif verb == 'state' then
    redis.call('HSET', reconcile_state(), request_id, first)
  end
end
return { 1, new, lost, overruled }
