-- The beginning of every script: keys, time, API keys, and functions that several scripts share.
--
-- KEYS[1]  the prefix of every key, which is also the hash tag
-- KEYS[2]  `api_key:<hash>` below the prefix: the API key with which the caller read the data; absent for a webhook
local prefix = KEYS[1]
local due, leases = prefix .. 'due', prefix .. 'leases'
-- The inbox clock: the clocks of the hosts need not agree, and the server's may be set to another time.
local micros, server_micros, clock_stands_still = inbox_clock(prefix .. 'clock')
local now, now_seconds = math.floor(micros / 1000), math.floor(micros / 1000000)
local now_text = string.format('%d.%06d', now_seconds, micros % 1000000)

-- API keys, by their hashes. `api_keys` has when each was first used ('' while unknown), which of them are polled
-- (`configured`, the last is current), and which was the `first`: its indexes have no suffix, and all requests tracked
-- before belong to it.
local used_key, registered = KEYS[2] and string.sub(KEYS[2], #prefix + #'api_key:' + 1), nil
local function api_keys()
  if not registered then
    local names = redis.call('HMGET', prefix .. 'api_keys', 'first', 'configured')
    registered = { first = names[1] or '', current = string.match(names[2] or '', '%S+$') or names[1] or '' }
  end
  return registered
end

local function of_key(index, api_key)
  local first = api_keys().first
  return prefix .. index .. ((api_key == '' or first == '' or api_key == first) and '' or ':' .. api_key)
end

-- When the key was first used, as text; nil while unknown.
local function first_use(api_key)
  local used_at = redis.call('HGET', prefix .. 'api_keys', api_key)
  return used_at ~= '' and used_at or nil
end

-- While the clock stands still, nobody knows how long ago the latest tick was: the first use is recorded later.
local function register_key(api_key)
  redis.call('HSETNX', prefix .. 'api_keys', 'first', api_key)
  if not first_use(api_key) then redis.call('HSET', prefix .. 'api_keys', api_key, clock_stands_still and '' or now_text) end
  registered = nil
end

-- The key of a request whose record names none: the first, if one of its indexes has the request, else the current one.
local function unrecorded_key(request_id)
  local first, using = api_keys().first, used_key or api_keys().current
  if using == first or redis.call('ZSCORE', prefix .. 'asked', request_id)
    or redis.call('ZSCORE', prefix .. 'unverified', request_id) then return first end
  return using
end

-- The API key of a request: the one that asked or read it, else the current one when it was tracked.
local function key_of(request_id)
  return redis.call('HGET', prefix .. 'request:' .. request_id, 'api_key') or unrecorded_key(request_id)
end

-- What belongs to an API key: requests by creation, requests by when they are next worth a call, and what one
-- reconcile run leaves to the next. A request that only deliveries by callback URL name is not counted in HITL.sh's list.
local function indexes_of(request_id)
  local request = prefix .. 'request:' .. request_id
  local fields = redis.call('HMGET', request, 'learned', 'api_key')
  local api_key = fields[2] or unrecorded_key(request_id)
  if fields[1] and not fields[2] and api_key ~= api_keys().first then redis.call('HSET', request, 'api_key', api_key) end
  return of_key(fields[1] == 'callback' and 'unverified' or 'asked', api_key), of_key('checks', api_key)
end
local function asked_of(request_id) return (indexes_of(request_id)) end
local function checks_of(request_id) return of_key('checks', key_of(request_id)) end
local function reconcile_state() return of_key('reconcile', used_key or api_keys().current) end

-- Have the request belong to this key, and set how we came to know of it.
local function assign_key(request_id, api_key, learned)
  local request = prefix .. 'request:' .. request_id
  local asked, checks = asked_of(request_id), checks_of(request_id)
  local created, check = redis.call('ZSCORE', asked, request_id), redis.call('ZSCORE', checks, request_id)
  redis.call('HSET', request, 'api_key', api_key, 'learned', learned)
  if asked ~= asked_of(request_id) and created then
    redis.call('ZREM', asked, request_id)
    redis.call('ZADD', asked_of(request_id), created, request_id)
  end
  if checks ~= checks_of(request_id) and check then
    redis.call('ZREM', checks, request_id)
    redis.call('ZADD', checks_of(request_id), check, request_id)
  end
end

-- A tracked request was read with the key that is used, or a verified delivery names it.
local function mark_verified(request_id, learned)
  local before = redis.call('HGET', prefix .. 'request:' .. request_id, 'learned')
  if not before or learned == 'callback' then return end
  if before ~= 'callback' and (not used_key or key_of(request_id) == used_key) then return end
  assign_key(request_id, used_key or key_of(request_id), before == 'callback' and learned or before)
end

-- The next field of a frame: its length in 4 bytes, big-endian, and its bytes.
local frame, position = '', 1
local function next_field()
  local field
  field, position = struct.unpack('>I4c0', frame, position)
  return field
end

local function split(member)
  local bar = string.find(member, '|', 1, true)
  return string.sub(member, 1, bar - 1), string.sub(member, bar + 1)
end

-- Wake one idle drain, because something is due sooner than it expects; once a script.
local is_woken = false
local function wake_drain()
  if not is_woken and redis.call('LLEN', prefix .. 'wake') == 0 then redis.call('LPUSH', prefix .. 'wake', 1) end
  is_woken = true
end

-- Seconds that an open request is tracked after HITL.sh last showed it, even if HITL.sh is unreachable.
local TRACKED = 400 * 86400
-- Seconds: tombstones outlive the tokens of our callback URLs, which are valid for 40 days.
local TOMBSTONE = 41 * 86400
local function tombstone_of(request_id) return prefix .. 'ended:' .. request_id end

-- Seconds that finished work is kept; set by each script that may finish any.
local retention

-- Whether the handler began for the event, and the state of its effect, if it has one.
local function has_begun(event, handler)
  local fields = redis.call('HMGET', event, handler .. ':attempts', handler .. ':state')
  return tonumber(fields[1] or 0) > 0 and fields[2] ~= 'skipped', fields[2]
end

-- Handlers that began for any outcome of the request.
local function began_for(request)
  local names = {}
  for _, field in ipairs(redis.call('HKEYS', request)) do
    local handler = string.match(field, '^effect:(.*)$')
    local event = handler and prefix .. 'event:' .. redis.call('HGET', request, field)
    if handler and (has_begun(event, handler) or redis.call('EXISTS', event) == 0) then names[#names + 1] = handler end
  end
  return table.concat(names, ',')
end

-- Finish the event: it expires after the retention. If it is the decision of a request, a tombstone remains after that:
-- outcome, fingerprint, trust, and, unless it is confirmed, the handlers that began.
local function finish(event, key, state)
  redis.call('HSET', event, 'state', state, 'finished_at', now_text)
  redis.call('EXPIRE', event, retention)
  redis.call('ZREM', prefix .. 'unfinished', key)
  local fields = redis.call('HMGET', event, 'outcome', 'fingerprint', 'trust', 'request')
  local request = fields[1] and fields[4] and prefix .. 'request:' .. fields[4]
  if not request or redis.call('HGET', request, 'event') ~= key then return end
  redis.call('EXPIRE', request, retention)
  local tombstone = tombstone_of(fields[4])
  fields[4] = fields[3] ~= 'confirmed' and began_for(request) or nil
  redis.call('SET', tombstone, table.concat(fields, ' '), 'EX', retention + TOMBSTONE)
end

-- No route matches the event. It is listed by the time of its acceptance, for a replay through routes that are added
-- later. An outcome that is withheld, or is neither the decision nor a conflict, is not listed: it was never matched
-- against routes.
local function finish_unrouted(event, key)
  finish(event, key, 'unrouted')
  local fields = redis.call('HMGET', event, 'outcome', 'request', 'conflict', 'accepted_at', 'withheld')
  if fields[5] then return end
  local decision = fields[1] and fields[2] and redis.call('HGET', prefix .. 'request:' .. fields[2], 'event')
  if decision and decision ~= key and not fields[3] then return end
  local accepted_at = math.floor(tonumber(fields[4]) * 1000)
  redis.call('ZADD', prefix .. 'unrouted', accepted_at, key)
  if fields[1] and not fields[3] then redis.call('ZADD', prefix .. 'unrouted_decisions', accepted_at, key) end
end

local function finish_if_settled(event, key)
  local fields = redis.call('HMGET', event, 'state', 'open', 'overruled', 'routed_to')
  if fields[1] ~= 'routed' or tonumber(fields[2] or 0) > 0 then return end
  if not fields[3] and fields[4] == '' then return finish_unrouted(event, key) end
  finish(event, key, fields[3] and 'overruled' or 'done')
end

-- The event has an open effect again, and does not expire while it has.
local function reopen(event, key, request_id)
  redis.call('HDEL', event, 'finished_at')
  redis.call('PERSIST', event)
  redis.call('ZADD', prefix .. 'unfinished', 'NX', now, key)
  for _, index in ipairs({ 'unrouted', 'unrouted_decisions' }) do redis.call('ZREM', prefix .. index, key) end
  if not request_id then return end
  local request = prefix .. 'request:' .. request_id
  if redis.call('HGET', request, 'event') == key then redis.call('PERSIST', request) end
end

-- Save a failed attempt: how it ended (retry, failed, crashed), when it began and ended, and the error. Only the latest
-- two are kept, so that tracebacks of an effect that fails for a day do not fill the server.
local function save_attempt(event, handler, number, ending, began, error_text)
  redis.call('HSET', event, handler .. ':attempt:' .. number, ending .. ' ' .. (began or now_text) .. ' ' .. now_text .. '\n' .. error_text)
  redis.call('HDEL', event, handler .. ':attempt:' .. (number - 2))
end

-- A capped handler has a free slot: make the effect due that has waited longest.
local function make_next_due(handler)
  local waiting = redis.call('ZPOPMIN', prefix .. 'waiting:' .. handler)
  if waiting[1] then
    redis.call('ZADD', due, now, waiting[1])
    wake_drain()
  end
end

-- An effect of this handler ended: free its slot. Effects of a handler without a cap are not counted.
local function free_slot(handler)
  local running = prefix .. 'running'
  if redis.call('HEXISTS', running, handler) == 1 and redis.call('HINCRBY', running, handler, -1) <= 0 then
    redis.call('HDEL', running, handler)
  end
  make_next_due(handler)
end

-- When a request was created, in seconds as text, by what was delivered: not in the future, and '' is now.
local function creation_time(seconds)
  return seconds ~= '' and tonumber(seconds) * 1000 <= now and seconds or now_text
end

-- Minimum seconds between two checks of one request that unverified deliveries cause.
local UNVERIFIED_PAUSE = 300

-- A delivery that may be genuine was refused: check the open request that it names at once. Answers whether a check was
-- scheduled.
local function expedite_check(request_id)
  local request = prefix .. 'request:' .. request_id
  local fields = redis.call('HMGET', request, 'first_seen', 'outcome', 'checked_at', 'refused')
  local may_check_again = not fields[3] or now_seconds - tonumber(fields[3]) > UNVERIFIED_PAUSE
  if not fields[1] or fields[2] or fields[4] or not may_check_again then return false end
  redis.call('HSET', request, 'refused', now_text)
  redis.call('ZADD', checks_of(request_id), now, request_id)
  return true
end

-- Track a request, and schedule its first check: after the shortest interval, or past its timeout. `created` and
-- `timeout` are seconds as text, '' where not known. Answers whether it is new.
local function track(request_id, learned, created, timeout, life)
  local request = prefix .. 'request:' .. request_id
  created = creation_time(created ~= '' and created or redis.call('HGET', request, 'created_at') or '')
  mark_verified(request_id, learned)
  redis.call('HSETNX', request, 'first_seen', now_text)
  redis.call('HSETNX', request, 'created_at', created)
  redis.call('HSETNX', request, 'learned', learned)
  local asked, checks = indexes_of(request_id)
  local new = redis.call('ZADD', asked, 'NX', created, request_id) == 1
  if timeout ~= '' then redis.call('HSET', request, 'timeout_at', timeout) end
  local fields = redis.call('HMGET', request, 'outcome', 'missing')
  -- HITL.sh does not know it, and only callback deliveries name it: it is not checked again.
  if fields[1] or (fields[2] and learned == 'callback') then return new end
  local verified = redis.call('HGET', request, 'learned') ~= 'callback'
  redis.call('EXPIRE', request, verified and math.max(tonumber(life), TRACKED) or life)
  local shortest = tonumber(redis.call('HGET', reconcile_state(), 'shortest') or 1800)
  local first = tonumber(created) + shortest
  if timeout ~= '' then first = math.min(first, tonumber(timeout) + 90) end
  redis.call('ZADD', checks, 'NX', math.floor(first * 1000), request_id)
  return new
end
