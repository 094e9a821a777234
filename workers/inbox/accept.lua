#!lua
-- Keep a batch of verified events: deduplicate, store, decide the request, make the event due.
-- Safe to repeat: an event already kept counts one more delivery and changes nothing else.
-- Without `allow-oom`: a full server refuses the batch before anything of it is written.
--
-- ARGV     retention in seconds, longest life of an open request in seconds, and one frame with
--          12 words an event: kind ('event' or 'unreadable'), key, request, outcome, status, order,
--          fingerprint, head, body, trust, received_at, callback. A word is its length (4 bytes,
--          big-endian) and its bytes; one argument, because a dozen for each event would be most of what
--          a flush costs its sender.
-- Answers  {drains alive, verdict, verdict, ...}; a verdict is accepted, duplicate or conflict
local retention, request_life = ARGV[1], ARGV[2]
frame = ARGV[3]
local strength = { callback = 1, signed = 2, confirmed = 3 }

-- The same fact again: count it; a stronger proof than the one we had is worth keeping.
local function repeated(event, trust, fingerprint)
  redis.call('HINCRBY', event, 'deliveries', 1)
  local seen = redis.call('HMGET', event, 'trust', 'fingerprint')
  if seen[1] and (strength[trust] or 0) > (strength[seen[1]] or 0) then
    redis.call('HSET', event, 'trust', trust)
  end
  if fingerprint ~= '' and not seen[2] then
    redis.call('HSET', event, 'fingerprint', fingerprint)
  end
  return 'duplicate'
end

-- Compare-and-set on the request: the first outcome stands, nothing that comes late undoes it.
local function decide(request_id, key, outcome, status, order, contradicts)
  local request = prefix .. 'request:' .. request_id
  local known = redis.call('HMGET', request, 'outcome', 'order', 'status', 'first_seen')
  if outcome ~= '' then
    if known[1] then
      redis.call('HINCRBY', request, 'conflicts', 1)
      return 'conflict'
    end
    if contradicts then return 'conflict' end
    redis.call('HSET', request, 'outcome', outcome, 'status', outcome, 'event', key, 'decided_at', now_text)
    if known[4] then redis.call('PERSIST', request) end
    return 'accepted'
  end
  if known[1] then return 'late' end
  -- Order-free: whichever arrives first, the latest status by the vendor's own time remains.
  local held = (known[2] or '') .. '|' .. (known[3] or '')
  if status ~= '' and (order .. '|' .. status) > held then
    redis.call('HSET', request, 'status', status, 'order', order)
  end
  redis.call('HSETNX', request, 'first_seen', now_text)
  redis.call('EXPIRE', request, request_life)
  return 'accepted'
end

local function keep(event, key, kind, body, fields)
  fields.accepted_at, fields.deliveries = now_text, 1
  fields.state = kind == 'event' and 'due' or 'quarantined'
  local words = { 'body', body } -- kept even when it is empty
  for name, value in pairs(fields) do
    if value ~= '' then
      words[#words + 1] = name
      words[#words + 1] = value
    end
  end
  redis.call('HSET', event, unpack(words))
  redis.call('ZADD', prefix .. 'events', now, key)
end

-- The events of one request are handled one at a time, in the order in which they occurred.
local function take_turn(request_id, key, order)
  local request = prefix .. 'request:' .. request_id
  local holder = redis.call('HGET', request, 'turn')
  if not holder then
    redis.call('HSET', request, 'turn', key)
    return true
  end
  local turns = prefix .. 'turns:' .. request_id
  local held = redis.call('HMGET', prefix .. 'event:' .. holder, 'state', 'order')
  if not held[1] then -- its record is gone: nobody would pass the turn on
    redis.call('HSET', request, 'turn', key)
    return true
  end
  local begun = held[1] ~= 'due' or redis.call('HEXISTS', leases, '|' .. holder) == 1
  if not begun and order ~= '' and held[2] and held[2] > order then
    redis.call('ZREM', due, '|' .. holder)
    redis.call('ZADD', turns, tonumber(held[2]), '|' .. holder)
    redis.call('HSET', request, 'turn', key)
    return true
  end
  redis.call('ZADD', turns, tonumber(order) or now / 1000, '|' .. key)
  return false
end

local function accept()
  local kind, key, request_id, outcome, status, order = word(), word(), word(), word(), word(), word()
  local fingerprint, head, body, trust, received_at, callback = word(), word(), word(), word(), word(), word()
  local event = prefix .. 'event:' .. key
  local contradicts = false

  if redis.call('EXISTS', event) == 1 then
    local seen = redis.call('HGET', event, 'fingerprint')
    contradicts = outcome ~= '' and fingerprint ~= '' and seen and seen ~= fingerprint
    if not contradicts then return repeated(event, trust, fingerprint) end
    key = key .. '#' .. fingerprint
    event = prefix .. 'event:' .. key
    if redis.call('EXISTS', event) == 1 then return repeated(event, trust, fingerprint) end
  end

  keep(event, key, kind, body, { head = head, trust = trust, received_at = received_at, callback = callback,
    request = request_id, fingerprint = fingerprint, order = order })
  if kind ~= 'event' then
    redis.call('EXPIRE', event, retention)
    redis.call('ZADD', prefix .. 'quarantine', now, key)
    return 'accepted'
  end
  local verdict = 'accepted'
  if request_id ~= '' then
    verdict = decide(request_id, key, outcome, status, order, contradicts)
    if verdict ~= 'accepted' then redis.call('HSET', event, verdict, 1) end
  end
  if request_id == '' or take_turn(request_id, key, order) then redis.call('ZADD', due, now, '|' .. key) end
  return verdict == 'late' and 'accepted' or verdict
end

local answer = { redis.call('ZCOUNT', prefix .. 'drains', now, '+inf') }
while position <= #frame do answer[#answer + 1] = accept() end
ring()
return answer
