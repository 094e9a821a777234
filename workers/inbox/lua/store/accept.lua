#!lua
-- Store a batch of verified events: deduplicate, store, decide the request, make the event due.
-- Safe to repeat: a stored event counts one more delivery and changes nothing else.
-- Without `allow-oom`: a full server refuses the whole batch before anything is written.
--
-- ARGV     retention in seconds, longest life of an open request in seconds, one frame, 'unlimited' to ignore quotas
--          (else absent). A frame is a string of fields, each its length (4 bytes, big-endian) and its bytes: one
--          argument, because 21 arguments an event would dominate the cost of a flush. The fields of an event are those
--          of `read_delivery` below: kind ('event' or 'unreadable'), key, request, outcome, status, order, created and
--          timeout (of the request, seconds), fingerprint, head, body, trust, received_at, callback (JSON) and its id,
--          subject ('execution:<id>' or 'turn:<id>' for an event without a request, else ''), source of the details
--          ('' for none), details (JSON), loop id, loop name (JSON) and the `traceparent` of the span that
--          stores it ('' without tracing)
-- Answers  {drains alive, verdict, verdict, ...}; the verdicts are those of `values.py`
local request_life = ARGV[2]
retention = ARGV[1]
frame = ARGV[3]
-- How we come to know of a new request, by the trust of the delivery that names it.
local learned = { callback = 'callback', signed = 'event', confirmed = 'listing' }

-- Counts of decisions by what delivered them first, for webhook health; written once for the whole batch.
local tally, loss = {}, nil
local function count(by, step)
  tally[by] = (tally[by] or 0) + 1
  loss = step(loss or tonumber(redis.call('HGET', prefix .. 'webhook_health', 'loss') or 0))
end

-- A decision made before the first reconcile run does not count: no webhook was set up then.
local function count_decision(by, order)
  local started = by == 'reconcile' and order ~= '' and redis.call('HGET', reconcile_state(), 'started')
  if started and tonumber(order) < tonumber(started) then return end
  count(by, function(loss) return loss + 0.05 * ((by == 'reconcile' and 1 or 0) - loss) end)
end

-- A webhook that arrives after a reconcile run found its decision was late, not lost.
local function count_overtaken(request, trust)
  if trust == 'confirmed' or redis.call('HGET', request, 'found') ~= 'reconcile' then return end
  redis.call('HSET', request, 'found', 'both')
  count('overtaken', function(loss) return math.max(0, loss - 0.05) end)
end

local function write_tally()
  if not loss then return end
  local webhooks, hour = prefix .. 'webhook_health', prefix .. 'webhook_health:' .. math.floor(now_seconds / 3600)
  redis.call('HSET', webhooks, 'loss', string.format('%.6f', loss))
  if tally.webhook or tally.overtaken then redis.call('HSET', webhooks, 'last_webhook', now_text, 'since_webhook', 0) end
  if tally.reconcile then redis.call('HINCRBY', webhooks, 'since_webhook', tally.reconcile) end
  for by, number in pairs(tally) do redis.call('HINCRBY', hour, by, number) end
  redis.call('EXPIRE', hour, 31 * 86400)
end

local function read_request(request_id)
  local fields = redis.call('HMGET', prefix .. 'request:' .. request_id, 'outcome', 'order', 'status', 'first_seen',
    'event', 'created_at', 'learned', 'history', 'callback', 'turn')
  return { outcome = fields[1], order = fields[2], status = fields[3], first_seen = fields[4], event = fields[5],
    created_at = fields[6], learned = fields[7], history = fields[8], callback = fields[9], turn = fields[10] }
end

-- Append to the keys of a request's events; keys contain no blank.
local function with_history(record, key)
  if not record.history then return key end
  -- A long history is cut: the latest events suffice.
  local history = #record.history < 4000 and record.history or string.match(record.history, ' (.*)', #record.history - 2000)
  return history .. ' ' .. key
end

local function keep(event, key, delivery, state)
  local fields = evidence_fields(delivery, 'accepted_at', now_text, 'deliveries', 1, 'state', state)
  for _, name in ipairs({ 'request', 'fingerprint', 'order', 'outcome' }) do
    if delivery[name] ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = delivery[name]
    end
  end
  redis.call('HSET', event, unpack(fields))
  redis.call('ZADD', prefix .. 'events', now, key)
end

-- -- what is not routed -----------------------------------------------------------------------------------------

-- Whether a callback URL may not report this event. A URL made for one request may report only that request; a URL
-- bound to no request may also report one execution or turn. Events of loops, users, keys and the system are accepted
-- only from signed deliveries.
local function is_misused(delivery, record)
  if delivery.trust ~= 'callback' or delivery.callback_id == '' then return false end
  local own_prefix = '{"id":"' .. delivery.callback_id .. '"'
  if record.callback and string.sub(record.callback, 1, #own_prefix) == own_prefix then return false end
  local token = prefix .. 'token:' .. delivery.callback_id
  local bound_request = redis.call('GET', token)
  if bound_request then return bound_request ~= delivery.request end
  if delivery.request ~= '' then return record.callback end
  if delivery.subject == '' then return true end
  redis.call('SET', token .. ':subject', delivery.subject, 'NX', 'EX', TOMBSTONE)
  return redis.call('GET', token .. ':subject') ~= delivery.subject
end

-- Store it for operators to see, never routed; under a key of its own, so that the true delivery is no duplicate of it.
local function keep_misused(delivery, record)
  local key = delivery.key .. '#' .. delivery.callback_id
  local event = prefix .. 'event:' .. key
  if redis.call('EXISTS', event) == 1 then
    redis.call('HINCRBY', event, 'deliveries', 1)
    return 'duplicate'
  end
  local refusal = over_quota(delivery, {})
  if refusal then return refusal end
  keep(event, key, delivery, 'misused')
  if record.first_seen then redis.call('HSET', prefix .. 'request:' .. delivery.request, 'history', with_history(record, key)) end
  redis.call('HSET', event, 'overruled', 'another request\'s callback URL', 'open', 0)
  redis.call('ZADD', prefix .. 'overruled', now, key)
  finish(event, key, 'misused')
  count_for_alarm('misuses', key)
  return 'misused'
end

-- Outcomes from this time on are delivered (seconds); nil until it is read.
local since

-- Whether the request ended before the API key was in use, or so long ago that its record has expired: then the event
-- is not routed. A tracked request is never stale; an event without a time counts as new.
local function is_stale(delivery, record)
  if record.learned or delivery.order == '' then return false end
  since = since or tonumber(redis.call('HGET', reconcile_state(), 'since') or 0)
  -- Records expire by the server's clock, and the inbox clock may be ahead of it: the earlier of both applies.
  return tonumber(delivery.order) < math.max(since, math.min(micros, server_micros) / 1000000 - retention)
end

-- The verdict for a request whose record has expired, by its tombstone: 'duplicate' for the same outcome, else 'stale';
-- nil for stronger evidence of another outcome, which is routed to the handlers that did not begin.
local function verdict_of_tombstone(delivery, record)
  if delivery.request == '' or record.outcome then return nil end
  local tombstone = redis.call('GET', tombstone_of(delivery.request))
  if not tombstone then return nil end
  local outcome, fingerprint, trust, handlers = string.match(tombstone, '^(%S+) (%S*) (%a+) ?(.*)$')
  if delivery.outcome == '' then return 'stale' end
  if not disagree(delivery.request, delivery.outcome, delivery.fingerprint, outcome, fingerprint) then return 'duplicate' end
  if strength[delivery.trust] <= strength[trust] then return 'stale' end
  record.began = handlers
end

-- Handlers that began for an outcome whose record has expired do not begin for what overrules it.
local function remember_effects(request_id, event, handlers)
  for handler in string.gmatch(handlers, '[^,]+') do
    redis.call('HSET', prefix .. 'request:' .. request_id, 'rivals', 1, 'effect:' .. handler, 'expired')
    redis.call('HSET', event, 'overrules', 1)
  end
end

local function keep_stale(event, key, delivery, record)
  keep(event, key, delivery, 'stale')
  finish(event, key, 'stale')
  if delivery.request ~= '' then
    local request = prefix .. 'request:' .. delivery.request
    redis.call('HSET', request, 'history', with_history(record, key))
    if not record.learned then redis.call('EXPIRE', request, retention) end
  end
  return 'stale'
end

-- -- outcomes ---------------------------------------------------------------------------------------------------

-- Characters of a fingerprint that stand in an event's key.
local LONGEST_FINGERPRINT = 40

-- The key under which evidence is stored: evidence that agrees shares a key, another outcome has its own. A delivery
-- that HITL.sh denied earlier becomes a new event, a bounded number of times; so does one that is no longer stale, and one
-- whose record expired before that of its request: `effect:<handler>` must not name another event than it did.
-- Answers the key, and whether it exists already.
local function resolve_key(delivery, record, stale)
  local key, history = delivery.key, ' ' .. (record.history or '') .. ' '
  local function read()
    local stored = redis.call('HMGET', prefix .. 'event:' .. key, 'state', 'fingerprint', 'overruled')
    return stored, not stored[1] and string.find(history, ' ' .. key .. ' ', 1, true)
  end
  local stored, has_expired = read()
  if delivery.outcome ~= '' and (has_expired or (stored[1] and stored[2] ~= delivery.fingerprint)) then
    local fingerprint = delivery.fingerprint
    key = key .. '#' .. (#fingerprint <= LONGEST_FINGERPRINT and fingerprint or redis.sha1hex(fingerprint))
    stored, has_expired = read()
  end
  local base_key = key
  for number = 2, 7 do
    if not stored[1] and not has_expired then return key, false end
    local denied = stored[3] == 'open' or stored[3] == 'missing'
    if stored[1] and not denied and (stored[1] ~= 'stale' or stale) then return key, true end
    -- Denied repeatedly: only stronger evidence becomes a new event.
    key = base_key .. '~' .. (number < 7 and number or delivery.trust)
    stored, has_expired = read()
  end
  return key, stored[1] and true or false
end

-- The request has its first outcome, or its first again after HITL.sh denied the earlier ones.
local function decide_first(request_id, key, delivery, record)
  local request = prefix .. 'request:' .. request_id
  local created = record.created_at or creation_time(delivery.created)
  local by = delivery.trust == 'confirmed' and 'reconcile' or 'webhook'
  redis.call('HSET', request, 'outcome', delivery.outcome, 'status', delivery.outcome, 'event', key, 'decided_at', now_text,
    'speaks:' .. delivery.trust, key, 'learned', record.learned or learned[delivery.trust], 'created_at', created, 'found', by,
    'history', with_history(record, key), 'turn', record.turn or key)
  if record.history or record.first_seen then redis.call('PERSIST', request) end
  if record.first_seen then redis.call('ZREM', checks_of(request_id), request_id) end
  if record.status == 'lost' then redis.call('ZREM', prefix .. 'lost', request_id) end
  if not record.created_at then redis.call('ZADD', asked_of(request_id), 'NX', created, request_id) end
  count_decision(by, delivery.order)
end

-- The event has stronger evidence than the decision, and becomes the decision.
local function replace_decision(request_id, event, key, delivery, decision, differs, is_new)
  local request = prefix .. 'request:' .. request_id
  redis.call('HSET', request, 'outcome', delivery.outcome, 'status', delivery.outcome, 'event', key, 'decided_at', now_text)
  local wrong = supersede(request_id, decision, key, differs)
  redis.call('PERSIST', request)
  redis.call('ZREM', prefix .. 'overruled', key)
  redis.call('HDEL', event, 'conflict', 'overruled', 'superseded_by')
  if not is_new then
    for handler in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
      redis.call('HDEL', event, handler .. ':overruled')
    end
  end
  if wrong then redis.call('HSET', event, 'overrules', 1) end
  if is_new then make_routable(request_id, key) else route_anew(request_id, event, key) end
  return differs and 'overruled' or 'accepted'
end

-- The decision stands. An outcome that differs is a conflict; one that cannot be compared is stored, not routed.
local function keep_beside_decision(request_id, event, key, delivery, decided, differs, is_new)
  local request = prefix .. 'request:' .. request_id
  redis.call('HSET', request, 'rivals', 1)
  if not differs then
    if is_new then finish(event, key, 'unrouted') end
    return is_new and 'accepted' or 'duplicate'
  end
  mark_conflict(event, key)
  if delivery.trust == decided and delivery.trust ~= 'confirmed' then
    redis.call('HSET', request, 'contested', 1)
    confirm_by(request_id, now)
  end
  if not is_new then return 'duplicate' end
  make_routable(request_id, key)
  return 'conflict'
end

-- The event has new evidence of this level: decide whether it is the decision of its request.
local function decide_outcome(request_id, event, key, delivery, record, is_new)
  if not record.event then
    decide_first(request_id, key, delivery, record)
    if record.turn then make_routable(request_id, key) else redis.call('ZADD', due, now, '|' .. key) end
    if record.began then remember_effects(request_id, prefix .. 'event:' .. key, record.began) end
    return record.began and 'overruled' or 'accepted'
  end
  local request = prefix .. 'request:' .. request_id
  redis.call('HSETNX', request, 'speaks:' .. delivery.trust, key)
  if is_new then redis.call('HSET', request, 'history', with_history(record, key)) end
  if record.event == key then return 'duplicate' end
  local decided = redis.call('HMGET', prefix .. 'event:' .. record.event, 'outcome', 'fingerprint', 'trust')
  local differs = disagree(request_id, delivery.outcome, delivery.fingerprint, decided[1], decided[2])
  if decided[3] and strength[delivery.trust] > strength[decided[3]] then
    return replace_decision(request_id, event, key, delivery, record.event, differs, is_new)
  end
  return keep_beside_decision(request_id, event, key, delivery, decided[3], differs, is_new)
end

-- Save the details of the request, if the request has a record.
local function keep_details(delivery)
  if delivery.request == '' or delivery.source == '' then return end
  local request = prefix .. 'request:' .. delivery.request
  if redis.call('EXISTS', request) == 0 then return end
  keep_loop(delivery.request, delivery.loop_id, delivery.loop_name)
  if delivery.source == 'api' and delivery.callback ~= '' and redis.call('HSETNX', request, 'callback', delivery.callback) == 1 then
    count_change(delivery.request)
  end
  save_details(delivery.request, delivery.source, delivery.details)
end

-- -- one event --------------------------------------------------------------------------------------------------

-- The same event again: count it; stronger evidence than before is added, and is used from now on.
local function accept_repeated(event, key, delivery, record)
  redis.call('HINCRBY', event, 'deliveries', 1)
  local request_id = delivery.request
  if delivery.outcome ~= '' then
    count_overtaken(prefix .. 'request:' .. request_id, delivery.trust)
    end_wait(request_id)
  end
  local seen = redis.call('HMGET', event, 'trust', 'state')
  if strength[delivery.trust] <= (strength[seen[1]] or 0) then return 'duplicate' end
  -- A row of a list lacks the callback state: a handler that demands confirmation waits for the request itself.
  local is_row = delivery.trust == 'confirmed' and delivery.callback == '' and redis.call('HEXISTS', event, 'callback:callback') == 1
  if is_row and not waits_for_confirmation(request_id) then return 'duplicate' end
  redis.call('HSET', event, unpack(evidence_fields(delivery)))
  if delivery.outcome == '' or not record.event or seen[2] == 'stale' then return 'duplicate' end
  local verdict = decide_outcome(request_id, event, key, delivery, record, false)
  release_waiting(event, key, request_id, delivery.trust)
  if delivery.trust == 'confirmed' then end_obsolete_waits(request_id) end
  return verdict
end

-- An event that ends nothing: the latest status by the vendor's time remains, in whichever order events arrive.
local function accept_progress(request_id, event, key, delivery, record)
  local request = prefix .. 'request:' .. request_id
  redis.call('HSET', request, 'history', with_history(record, key))
  if record.outcome then
    redis.call('HSET', event, 'late', 1)
  else
    local held = (record.order or '') .. '|' .. (record.status or '')
    if delivery.status ~= '' and (delivery.order .. '|' .. delivery.status) > held then
      redis.call('HSET', request, 'status', delivery.status, 'order', delivery.order)
    end
    track(request_id, learned[delivery.trust], delivery.created, delivery.timeout, request_life)
  end
  make_routable(request_id, key)
  return 'accepted'
end

local function accept_event(delivery)
  local request_id, record = delivery.request, {}
  if request_id ~= '' then record = read_request(request_id) end
  if delivery.kind == 'event' and is_misused(delivery, record) then return keep_misused(delivery, record) end
  -- A request asked through us has its callback state, whichever way the decision arrives.
  if delivery.callback == '' and record.callback and delivery.outcome ~= '' then delivery.callback = record.callback end
  local tombstone_verdict = verdict_of_tombstone(delivery, record)
  if tombstone_verdict == 'duplicate' then return tombstone_verdict end
  local stale = tombstone_verdict == 'stale' or is_stale(delivery, record)
  -- Before `resolve_key`: the options of the question decide which answers agree.
  if not stale then keep_details(delivery) end
  local key, exists = resolve_key(delivery, record, stale)
  local event = prefix .. 'event:' .. key
  if exists then return accept_repeated(event, key, delivery, record) end
  local refusal = over_quota(delivery, record)
  if refusal then return refusal end
  if delivery.kind ~= 'event' then
    keep(event, key, delivery, 'quarantined')
    redis.call('ZADD', prefix .. 'quarantine', now, key)
    return 'accepted'
  end
  if stale then return keep_stale(event, key, delivery, record) end

  keep(event, key, delivery, 'due')
  redis.call('ZADD', prefix .. 'unfinished', now, key)
  if request_id == '' then
    redis.call('ZADD', due, now, '|' .. key)
    return 'accepted'
  end
  if delivery.outcome == '' then return accept_progress(request_id, event, key, delivery, record) end
  local verdict = decide_outcome(request_id, event, key, delivery, record, true)
  if delivery.trust == 'confirmed' then end_obsolete_waits(request_id) end
  return verdict
end

local refused = { over_quota = true, busy = true, misused = true, stale = true }

local function read_delivery()
  return {
    kind = next_field(), key = next_field(), request = next_field(), outcome = next_field(), status = next_field(),
    order = next_field(), created = next_field(), timeout = next_field(), fingerprint = next_field(),
    head = next_field(), body = next_field(), trust = next_field(), received_at = next_field(),
    callback = next_field(), callback_id = next_field(), subject = next_field(), source = next_field(),
    details = next_field(), loop_id = next_field(), loop_name = next_field(), traceparent = next_field(),
  }
end

local function accept()
  local delivery = read_delivery()
  local verdict = accept_event(delivery)
  if not refused[verdict] then keep_details(delivery) end
  if delivery.outcome ~= '' then update_question(delivery.request) end
  return verdict
end

local answer = { redis.call('ZCOUNT', prefix .. 'drains', now, '+inf') }
while position <= #frame do answer[#answer + 1] = accept() end
write_tally()
wake_drain()
return answer
