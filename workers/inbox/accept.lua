#!lua
-- Keep a batch of verified events: deduplicate, store, decide the request, make the event due.
-- Safe to repeat: an event already kept counts one more delivery and changes nothing else.
-- Without `allow-oom`: a full server refuses the batch before anything of it is written.
--
-- ARGV     retention in seconds, longest life of an open request in seconds, one frame, and 'unlimited' where no
--          quota counts (else nothing). The frame has
--          15 words an event: kind ('event' or 'unreadable'), key, request, outcome, status, order,
--          created_at and timeout_at (of the request, in seconds), fingerprint, head, body, trust,
--          received_at, callback and its id. A word is its length (4 bytes, big-endian) and its bytes; one
--          argument, because a dozen for each event would be most of what a flush costs its sender.
-- Answers  {drains alive, verdict, verdict, ...}; a verdict is accepted, duplicate, conflict,
--          misused (it came by the callback URL of another request) or over_quota (not kept; see quota.lua)
local retention, request_life = ARGV[1], ARGV[2]
frame = ARGV[3]
local strength = { callback = 1, signed = 2, confirmed = 3 }
-- How a request is known that nobody told us of before.
local learned = { callback = 'callback', signed = 'event', confirmed = 'listing' }

-- What waits for proof of this event is due: it sees what HITL.sh itself says, and nothing of what was posted.
local function prove(request_id, event, key, said)
  local waiting = prefix .. 'unproven:' .. request_id
  if redis.call('SREM', waiting, key) == 0 then return keep_proof(event, said.head, said.body, said.callback) end
  believe(event, said.head, said.body, said.callback)
  for handler in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
    if redis.call('ZREM', prefix .. 'unproven', handler .. '|' .. key) == 1 then
      redis.call('HSET', event, handler .. ':state', 'due')
      redis.call('ZADD', due, now, handler .. '|' .. key)
    end
  end
  redis.call('ZREM', checks_of(request_id), request_id)
end

-- HITL.sh has now said what is true: not what else waits for proof, nor what decided the request before, where
-- somebody waits or nobody can say yet whether somebody would. Else the first outcome stands, and this is a conflict.
local function disprove_others(request_id, key)
  local waiting = redis.call('SMEMBERS', prefix .. 'unproven:' .. request_id)
  local decided_by = redis.call('HGET', prefix .. 'request:' .. request_id, 'event')
  if decided_by and decided_by ~= key then
    local known = redis.call('HMGET', prefix .. 'event:' .. decided_by, 'trust', 'routed_under', 'proof_head')
    if known[1] ~= 'confirmed' and not known[3] and (#waiting > 0 or not known[2]) then
      contradict(request_id, decided_by, key, retention)
    end
  end
  for _, other in ipairs(waiting) do
    if other ~= key then contradict(request_id, other, key, retention) end
  end
end

-- How decisions were found tells how well the webhooks do: counted here, written once for the whole batch.
local tally, loss = {}, nil
local function count(by, step)
  tally[by] = (tally[by] or 0) + 1
  loss = step(loss or tonumber(redis.call('HGET', prefix .. 'channel', 'loss') or 0))
end

-- Not if it was made before there was anybody to tell.
local function count_found(by, order)
  local started = by == 'sweep' and order ~= '' and redis.call('HGET', reconcile_state(), 'started')
  if started and tonumber(order) < tonumber(started) then return end
  count(by, function(loss) return loss + 0.05 * ((by == 'sweep' and 1 or 0) - loss) end)
end

-- A webhook that comes after a sweep has found its decision was slow, not lost.
local function count_overtaken(request, trust)
  if trust == 'confirmed' or redis.call('HGET', request, 'found') ~= 'sweep' then return end
  redis.call('HSET', request, 'found', 'both')
  count('overtaken', function(loss) return math.max(0, loss - 0.05) end)
end

local function write_tally()
  if not loss then return end
  local channel, hour = prefix .. 'channel', prefix .. 'channel:' .. math.floor(time[1] / 3600)
  redis.call('HSET', channel, 'loss', string.format('%.6f', loss))
  if tally.webhook or tally.overtaken then redis.call('HSET', channel, 'last_webhook', now_text, 'since_webhook', 0) end
  if tally.sweep then redis.call('HINCRBY', channel, 'since_webhook', tally.sweep) end
  for by, more in pairs(tally) do redis.call('HINCRBY', hour, by, more) end
  redis.call('EXPIRE', hour, 31 * 86400)
end

-- The same fact again: count it; a stronger proof than the one we had is worth keeping.
local function repeated(event, key, request_id, said)
  redis.call('HINCRBY', event, 'deliveries', 1)
  local seen = redis.call('HMGET', event, 'trust', 'fingerprint')
  if said.outcome ~= '' then
    count_overtaken(prefix .. 'request:' .. request_id, said.trust)
    if redis.call('EXISTS', prefix .. 'unproven:' .. request_id) == 0 then redis.call('ZREM', checks_of(request_id), request_id) end
  end
  if seen[1] and (strength[said.trust] or 0) > (strength[seen[1]] or 0) then
    if said.trust == 'confirmed' then
      prove(request_id, event, key, said)
    else
      redis.call('HSET', event, 'trust', said.trust)
    end
  end
  if said.fingerprint ~= '' and not seen[2] then
    redis.call('HSET', event, 'fingerprint', said.fingerprint)
  end
  return 'duplicate'
end

local function read_request(request_id)
  local fields = redis.call('HMGET', prefix .. 'request:' .. request_id, 'outcome', 'order', 'status', 'first_seen',
    'overruled', 'created_at', 'learned', 'turn', 'history', 'callback')
  return { outcome = fields[1], order = fields[2], status = fields[3], first_seen = fields[4], overruled = fields[5],
    created_at = fields[6], learned = fields[7], turn = fields[8], history = fields[9], callback = fields[10] }
end

-- Which events a request has had; their keys hold no blank.
local function with_history(known, key)
  if not known.history then return key end
  -- The latest of very many will do.
  local kept = #known.history < 4000 and known.history or string.match(known.history, ' (.*)', #known.history - 2000)
  return kept .. ' ' .. key
end

-- The first outcome. Answers whether the event has its request's turn already.
local function settle(request_id, event, key, said, known)
  local request = prefix .. 'request:' .. request_id
  local created = known.created_at or made_at(said.created)
  local by = said.trust == 'confirmed' and 'sweep' or 'webhook'
  redis.call('HSET', request, 'outcome', said.outcome, 'status', said.outcome, 'event', key, 'decided_at', now_text,
    'learned', known.learned or learned[said.trust], 'created_at', created, 'found', by,
    'history', with_history(known, key), 'turn', known.turn or key)
  if known.first_seen then redis.call('PERSIST', request) end
  if known.first_seen or known.overruled then redis.call('ZREM', checks_of(request_id), request_id) end
  if known.status == 'lost' then redis.call('ZREM', prefix .. 'lost', request_id) end
  if not known.created_at then redis.call('ZADD', asked_of(request_id), 'NX', created, request_id) end
  count_found(by, said.order)
  if known.overruled then
    redis.call('PERSIST', request)
    redis.call('HDEL', request, 'overruled')
    if known.overruled == '1' then redis.call('HSET', event, 'conflict', 1, 'overrules', 1) end
  end
  return not known.turn
end

-- Compare-and-set on the request: the first outcome stands, nothing that comes late undoes it; but HITL.sh
-- itself overrules what was only posted, where that waited to be proven. Answers the verdict, and whether the
-- event has its request's turn already.
local function decide(request_id, event, key, said, contradicts, known)
  local request = prefix .. 'request:' .. request_id
  local stands = known.outcome or (contradicts and not known.overruled)
  if said.outcome ~= '' and not stands then return 'accepted', settle(request_id, event, key, said, known) end
  redis.call('HSET', request, 'history', with_history(known, key))
  if said.outcome ~= '' then
    redis.call('HINCRBY', request, 'conflicts', 1)
    return 'conflict'
  end
  if known.outcome then return 'late' end
  -- Order-free: whichever arrives first, the latest status by the vendor's own time remains.
  local held = (known.order or '') .. '|' .. (known.status or '')
  if said.status ~= '' and (said.order .. '|' .. said.status) > held then
    redis.call('HSET', request, 'status', said.status, 'order', said.order)
  end
  know(request_id, learned[said.trust], said.created, said.timeout, request_life)
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

-- Nothing of it has begun: it goes through the routes again, as what it is by now.
local function route_anew(event, key, request_id, order)
  local known = redis.call('HMGET', event, 'routed_under', 'routed_to')
  if not known[1] then return end
  for handler in string.gmatch(known[2] or '', '[^,]+') do
    if redis.call('HEXISTS', event, handler .. ':started_at') == 1 then return end
  end
  for handler in string.gmatch(known[2] or '', '[^,]+') do
    local member = handler .. '|' .. key
    for _, where in ipairs({ 'due', 'held', 'unproven', 'waiting:' .. handler, 'turns:' .. request_id }) do
      redis.call('ZREM', prefix .. where, member)
    end
    redis.call('HDEL', event, handler .. ':state', handler .. ':attempts', handler .. ':suspect')
  end
  redis.call('HDEL', event, 'routed_under', 'routed_to', 'routed_at', 'open', 'active', 'finished_at')
  redis.call('HSET', event, 'state', 'due')
  redis.call('PERSIST', event)
  if take_turn(request_id, key, order) then redis.call('ZADD', due, now, '|' .. key) end
end

-- What was kept as a conflict is what HITL.sh says: it decides the request, in place of what it contradicts.
local function take_place(event, key, request_id, said)
  local request = prefix .. 'request:' .. request_id
  local known = redis.call('HMGET', request, 'outcome', 'overruled')
  if known[1] or not known[2] or redis.call('HEXISTS', event, 'contradicted') == 1 then return end
  redis.call('HSET', request, 'outcome', said.outcome, 'status', said.outcome, 'event', key, 'decided_at', now_text)
  redis.call('HDEL', request, 'overruled')
  redis.call('PERSIST', request)
  if known[2] == '1' then
    redis.call('HSET', event, 'conflict', 1, 'overrules', 1)
  else
    redis.call('HDEL', event, 'conflict')
  end
  route_anew(event, key, request_id, said.order)
end

-- A callback URL made for one request says nothing of another, whoever has got hold of it. Somebody may have asked
-- twice with the same one; and what HITL.sh itself says of a request is true of it, whatever its URL.
local function misused(said, known)
  if said.callback_id == '' or said.request == '' or said.trust == 'confirmed' then return false end
  local own = '{"id":"' .. said.callback_id .. '"'
  if known.callback and string.sub(known.callback, 1, #own) == own then return false end
  local made_for = redis.call('GET', prefix .. 'token:' .. said.callback_id)
  if made_for then return made_for ~= said.request end
  return known.callback
end

-- Kept to be seen, never routed; under a key of its own, so that the true delivery is not taken for a duplicate.
local function keep_misused(said, fields, known)
  local key = said.key .. '#' .. said.callback_id
  local event = prefix .. 'event:' .. key
  if redis.call('EXISTS', event) == 1 then
    redis.call('HINCRBY', event, 'deliveries', 1)
    return 'duplicate'
  end
  if not within_quota(said) then return refuse_over_quota(said, {}) end
  keep(event, key, said.kind, said.body, fields)
  if known.first_seen then redis.call('HSET', prefix .. 'request:' .. said.request, 'history', with_history(known, key)) end
  redis.call('HSET', event, 'contradicted', 'another request\'s callback URL', 'open', 0)
  redis.call('ZADD', prefix .. 'contradicted', now, key)
  finish(event, key, nil, 'contradicted', retention)
  return 'misused'
end

-- The key under which this is kept: a different outcome under the same key has one of its own, and so has what
-- is said again after HITL.sh contradicted it. Answers the key, whether it is kept already, and whether it
-- contradicts an event that stands.
local function own_key(said)
  local key = said.key
  if redis.call('EXISTS', prefix .. 'event:' .. key) == 0 then return key, false, false end
  if said.outcome == '' then return key, true, false end
  local function other(key, contradicts) return key, redis.call('EXISTS', prefix .. 'event:' .. key) == 1, contradicts end
  local different = key .. '#' .. said.fingerprint
  if said.fingerprint ~= '' and redis.call('EXISTS', prefix .. 'event:' .. different) == 1 then return different, true, true end
  for again = 2, 6 do
    local seen = redis.call('HMGET', prefix .. 'event:' .. key, 'fingerprint', 'contradicted', 'head')
    if not seen[3] then return key, false, false end
    if not seen[2] then
      if said.fingerprint ~= '' and seen[1] and seen[1] ~= said.fingerprint then return other(different, true) end
      return key, true, false
    end
    key = said.key .. '#' .. again
  end
  -- Contradicted over and over: only HITL.sh itself is heard again.
  return other(said.trust == 'confirmed' and said.key .. '#confirmed' or key, false)
end

local function accept()
  local said = { kind = word(), key = word(), request = word(), outcome = word(), status = word(), order = word(),
    created = word(), timeout = word(), fingerprint = word(), head = word(), body = word(), trust = word(),
    received_at = word(), callback = word(), callback_id = word() }
  local request_id, known = said.request, {}
  local fields = { head = said.head, trust = said.trust, received_at = said.received_at, callback = said.callback,
    request = request_id, fingerprint = said.fingerprint, order = said.order }

  if request_id ~= '' then known = read_request(request_id) end
  -- The state of what was asked through us, whichever way the decision comes.
  if said.callback == '' and known.callback and said.outcome ~= '' then
    said.callback, fields.callback = known.callback, known.callback
  end
  if misused(said, known) then return keep_misused(said, fields, known) end
  local key, kept, contradicts = own_key(said)
  local event = prefix .. 'event:' .. key
  local confirms = said.trust == 'confirmed' and said.outcome ~= ''
  if confirms then
    disprove_others(request_id, key)
    known = read_request(request_id)
  end
  if kept then
    local verdict = repeated(event, key, request_id, said)
    if confirms then take_place(event, key, request_id, said) end
    return verdict
  end

  if not within_quota(said) then return refuse_over_quota(said, known) end
  keep(event, key, said.kind, said.body, fields)
  if said.kind ~= 'event' then
    redis.call('ZADD', prefix .. 'quarantine', now, key)
    return 'accepted'
  end
  local verdict, turn = 'accepted', request_id == ''
  if not turn then
    verdict, turn = decide(request_id, event, key, said, contradicts, known)
    if verdict ~= 'accepted' then redis.call('HSET', event, verdict, 1) end
  end
  if turn or take_turn(request_id, key, said.order) then redis.call('ZADD', due, now, '|' .. key) end
  return verdict == 'late' and 'accepted' or verdict
end

local answer = { redis.call('ZCOUNT', prefix .. 'drains', now, '+inf') }
while position <= #frame do answer[#answer + 1] = accept() end
write_tally()
ring()
return answer
