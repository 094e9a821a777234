#!lua flags=allow-oom
-- Write down what a reconcile run learned. Fenced: only the reconcile run that holds the lease is heard. Safe to repeat.
--
-- ARGV     fencing token, longest life of an open request in seconds, retention in seconds, when the reconcile run
--          began (seconds), and one frame with 4 words a line: verb, request id, and two of the verb's own:
--            open     created_at | timeout_at   HITL.sh shows it as open ('' where not shown)
--            details  JSON | callback (JSON)    what was asked in it, as HITL.sh shows it ('' for no callback URL of ours)
--            ended    created_at | -            it ended before the horizon: only its place is of use
--            missing  API key | -               HITL.sh does not know it: certain at the second time; before that
--                                               the other key is asked ('' for none) where none was shown it
--            due      when (milliseconds) | -   its next call, unless something else became of it meanwhile
--            hold     until (milliseconds) | -  HITL.sh fails to show it: not worth a call before
--            state    text | -                  a field of the state of reconciliation, named by the second word
-- Answers  {0} when the lease has passed to another reconcile run and nothing was written, else
--          {1, requests that are new to us, requests lost, outcomes overruled}
local token, life, began = ARGV[1], ARGV[2], tonumber(ARGV[4])
retention = ARGV[3]
frame = ARGV[5]
if redis.call('GET', prefix .. 'reconcile_lease') ~= token then return { 0 } end
local new, lost, overruled = 0, 0, 0
-- Seconds until HITL.sh is asked again about what somebody posted and it does not confirm: it may be late itself.
local DOUBTS = { 60, 300 }
-- Milliseconds until a request is looked for again that was there once.
local LATER = 3600000

local function was_there(request)
  local known = redis.call('HMGET', request, 'learned', 'checked_at')
  return known[1] == 'asked' or known[1] == 'listing' or known[2]
end

-- Nobody who can be verified has ever spoken of it.
local function is_made_up(request) return redis.call('HGET', request, 'learned') == 'callback' end

-- HITL.sh does not know it: that is certain now.
local function lose(request_id, request)
  redis.call('HSET', request, 'status', 'lost')
  redis.call('HDEL', request, 'refused', 'hold')
  redis.call('ZREM', checks_of(request_id), request_id)
  redis.call('EXPIRE', request, retention)
  -- Somebody made it up: it is forgotten, and no loss.
  if is_made_up(request) then return redis.call('HSET', request, 'missing', now_text) end
  redis.call('ZADD', prefix .. 'lost', now, request_id)
  lost = lost + 1
end

-- HITL.sh says that the request has not ended, or that there is none: so nothing that was posted of its end is true.
local function deny(request_id, request, by)
  redis.call('HDEL', request, 'doubts', 'hold', 'contested', 'outcome', 'event', 'decided_at', 'speaks:callback',
    'speaks:signed')
  for key in string.gmatch(redis.call('HGET', request, 'history') or '', '%S+') do
    local event = prefix .. 'event:' .. key
    local known = redis.call('HMGET', event, 'outcome', 'trust', 'state')
    if known[1] and known[2] ~= 'confirmed' and known[3] ~= 'stale' and known[3] ~= 'misused' then
      supersede(request_id, key, by, true)
      overruled = overruled + 1
    end
  end
  redis.call('HSET', request, 'status', 'pending')
  redis.call('DEL', tombstone_of(request_id))
end

-- HITL.sh does not say what an event said that waits to be confirmed.
local function doubt(request_id, request, by)
  give_up_details(request_id)
  if not waits_for_confirmation(request_id) then return end
  -- What HITL.sh has shown or taken from us was there: perhaps it is the key that may not see it.
  if by == 'missing' and was_there(request) then
    redis.call('HSET', request, 'hold', now + LATER)
    redis.call('ZADD', checks_of(request_id), now + LATER, request_id)
    return
  end
  local tries = redis.call('HINCRBY', request, 'doubts', 1)
  if DOUBTS[tries] and not (by == 'missing' and is_made_up(request)) then
    local hold = now + DOUBTS[tries] * 1000
    redis.call('HSET', request, 'hold', hold)
    redis.call('ZADD', checks_of(request_id), hold, request_id)
    return
  end
  redis.call('ZREM', checks_of(request_id), request_id)
  deny(request_id, request, by)
  if by == 'missing' then lose(request_id, request) end
end

-- It has ended as we were told, and whoever waited until that was confirmed (when the run began) waits no longer.
local function is_over(request_id, request)
  if waits_for_confirmation(request_id) or redis.call('HEXISTS', request, 'outcome') == 0 then return false end
  redis.call('ZREM', checks_of(request_id), request_id)
  return true
end

local function open(request_id, request, created, timeout)
  if is_over(request_id, request) then return end
  if waits_for_confirmation(request_id) then
    doubt(request_id, request, 'open')
    if redis.call('HEXISTS', request, 'outcome') == 1 then return end
  end
  if know(request_id, 'listing', created, timeout, life) then new = new + 1 end
  redis.call('HSET', request, 'checked_at', now_text)
  redis.call('HDEL', request, 'refused', 'missing', 'hold')
  if redis.call('ZREM', prefix .. 'lost', request_id) == 1 then
    redis.call('HSET', request, 'status', 'pending')
    redis.call('ZADD', checks_of(request_id), 'NX', now, request_id)
  end
end

local function missing(request_id, request, other_key)
  -- Of another key's request this one's 404 proves nothing.
  if key_of(request_id) ~= used_key or is_over(request_id, request) then return end
  if other_key ~= '' and not was_there(request) then
    belong(request_id, other_key, redis.call('HGET', request, 'learned') or 'event')
    redis.call('ZADD', checks_of(request_id), 'XX', now, request_id)
    return
  end
  if waits_for_confirmation(request_id) then return doubt(request_id, request, 'missing') end
  local first = tonumber(redis.call('HGET', request, 'missing'))
  if not first then
    redis.call('HSET', request, 'missing', now_text, 'hold', now + 300000)
    redis.call('ZADD', checks_of(request_id), 'XX', now + 300000, request_id)
  end
  if is_made_up(request) or (first and now_seconds - first >= 240) then
    lose(request_id, request)
  end
end

local function plan(request_id, request, when)
  local known = redis.call('HMGET', request, 'refused', 'hold', 'outcome')
  if known[1] and tonumber(known[1]) > began then return end
  if known[3] and request_id ~= '*' and not waits_for_confirmation(request_id) then return end
  if known[2] and tonumber(known[2]) > now then when = known[2] end
  redis.call('ZADD', checks_of(request_id), request_id == '*' and 'CH' or 'XX', when, request_id)
end

while position <= #frame do
  local verb, request_id, first, second = word(), word(), word(), word()
  local request = prefix .. 'request:' .. request_id
  if verb == 'open' then
    open(request_id, request, first, second)
  elseif verb == 'details' then
    if second ~= '' and redis.call('HSETNX', request, 'callback', second) == 1 then count_change(request_id) end
    save_details(request_id, 'api', first)
  elseif verb == 'ended' then
    vouch(request_id, 'listing')
    redis.call('ZADD', asked_of(request_id), 'NX', made_at(first), request_id)
  elseif verb == 'missing' then
    missing(request_id, request, first)
  elseif verb == 'due' then
    plan(request_id, request, first)
  elseif verb == 'hold' then
    if redis.call('ZADD', checks_of(request_id), 'XX', 'CH', first, request_id) == 1 then redis.call('HSET', request, 'hold', first) end
  elseif verb == 'state' then
    redis.call('HSET', reconcile_state(), request_id, first)
  end
end
return { 1, new, lost, overruled }
