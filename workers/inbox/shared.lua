-- What every script begins with.
--
-- KEYS[1]  the prefix of every key, which is also the hash tag
-- KEYS[2]  `api_key:<hash>` below the prefix: the API key that the caller has used to learn this; none for a webhook
local prefix = KEYS[1]
local due, leases = prefix .. 'due', prefix .. 'leases'
-- The server's clock: those of the hosts need not agree.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%d.%06d', time[1], time[2])

-- API keys, by their hashes. `api_keys` has when each was first used, which of them are polled (`configured`, the
-- last is current), and which was the `first`: its indexes have no suffix, and all that was known before it is its own.
local used_key, registered = KEYS[2] and string.sub(KEYS[2], #prefix + #'api_key:' + 1), nil
local function api_keys()
  if not registered then
    local found = redis.call('HMGET', prefix .. 'api_keys', 'first', 'configured')
    registered = { first = found[1] or '', current = string.match(found[2] or '', '%S+$') or found[1] or '' }
  end
  return registered
end

local function of_key(index, api_key)
  local first = api_keys().first
  return prefix .. index .. ((api_key == '' or first == '' or api_key == first) and '' or ':' .. api_key)
end

local function use_key(api_key)
  redis.call('HSETNX', prefix .. 'api_keys', 'first', api_key)
  redis.call('HSETNX', prefix .. 'api_keys', api_key, now_text)
  registered = nil
end

-- The key of a request that has none on record: the first, where it has a place there, else the one that is used now.
local function unrecorded_key(request_id)
  local first, using = api_keys().first, used_key or api_keys().current
  if using == first or redis.call('ZSCORE', prefix .. 'asked', request_id)
    or redis.call('ZSCORE', prefix .. 'unverified', request_id) then return first end
  return using
end

-- The key that a request belongs to: that asked it or was shown it, else the current one of its time.
local function key_of(request_id)
  return redis.call('HGET', prefix .. 'request:' .. request_id, 'api_key') or unrecorded_key(request_id)
end

-- What belongs to an API key: requests by creation, requests by when they are next worth a call, and what one
-- reconcile run leaves to the next. A request that only a callback URL speaks of has no place in HITL.sh's list.
local function place_of(request_id)
  local request = prefix .. 'request:' .. request_id
  local known = redis.call('HMGET', request, 'learned', 'api_key')
  local api_key = known[2] or unrecorded_key(request_id)
  if known[1] and not known[2] and api_key ~= api_keys().first then redis.call('HSET', request, 'api_key', api_key) end
  return of_key(known[1] == 'callback' and 'unverified' or 'asked', api_key), of_key('checks', api_key)
end
local function asked_of(request_id) return (place_of(request_id)) end
local function checks_of(request_id) return of_key('checks', key_of(request_id)) end
local function reconcile_state() return of_key('sweep', used_key or api_keys().current) end

-- From now on it belongs to this key, and is known in this way.
local function belong(request_id, api_key, learned)
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

-- HITL.sh shows a known request to the key that is used, or somebody speaks of it who can be verified.
local function vouch(request_id, learned)
  local known = redis.call('HGET', prefix .. 'request:' .. request_id, 'learned')
  if not known or learned == 'callback' then return end
  if known ~= 'callback' and (not used_key or key_of(request_id) == used_key) then return end
  belong(request_id, used_key or key_of(request_id), known == 'callback' and learned or known)
end

-- The next word of a frame: its length in 4 bytes, big-endian, and its bytes.
local frame, position = '', 1
local function word()
  local found
  found, position = struct.unpack('>I4c0', frame, position)
  return found
end

local function split(member)
  local bar = string.find(member, '|', 1, true)
  return string.sub(member, 1, bar - 1), string.sub(member, bar + 1)
end

-- Wake one idle drain; whoever waits must learn that something is due sooner than it thought.
local function ring()
  if redis.call('LLEN', prefix .. 'wake') == 0 then redis.call('LPUSH', prefix .. 'wake', 1) end
end

-- The events of one request take turns. This one had its turn: whatever waits longest (by the vendor's own
-- time) is next, be it an event or the retry of an earlier one's effect.
local function pass_turn(request_id, key)
  local request = prefix .. 'request:' .. request_id
  local turn = redis.call('HGET', request, 'turn')
  if turn and turn ~= key then return end -- none: the record expired meanwhile, what waits does not
  local following = redis.call('ZPOPMIN', prefix .. 'turns:' .. request_id)
  if not following[1] then
    redis.call('HDEL', request, 'turn')
    return
  end
  local _, next_key = split(following[1])
  redis.call('HSET', request, 'turn', next_key)
  redis.call('ZADD', due, now, following[1])
  ring()
end

-- Nothing of the event is open any more: it is kept for the retention time (seconds) from now.
local function finish(event, key, request_id, state, retention)
  redis.call('HSET', event, 'state', state, 'finished_at', now_text)
  redis.call('EXPIRE', event, retention)
  if not request_id then return end
  local request = prefix .. 'request:' .. request_id
  if redis.call('HGET', request, 'event') == key then redis.call('EXPIRE', request, retention) end
end

-- An attempt that was not the last: how it ended (retry, failed, crashed), when it began and ended, and why.
-- The latest 25 are kept.
local function remember(event, handler, number, how, began, wrong)
  redis.call('HSET', event, handler .. ':attempt:' .. number, how .. ' ' .. (began or now_text) .. ' ' .. now_text .. '\n' .. wrong)
  redis.call('HDEL', event, handler .. ':attempt:' .. (number - 25))
end

-- A capped handler has room: whichever of its effects waits longest is due.
local function call_next(handler)
  local waiting = redis.call('ZPOPMIN', prefix .. 'waiting:' .. handler)
  if waiting[1] then
    redis.call('ZADD', due, now, waiting[1])
    ring()
  end
end

-- An effect of this handler runs no more. Nothing is counted for a handler without a cap.
local function free_place(handler)
  local running = prefix .. 'running'
  if redis.call('HEXISTS', running, handler) == 1 and redis.call('HINCRBY', running, handler, -1) <= 0 then
    redis.call('HDEL', running, handler)
  end
  call_next(handler)
end

-- When a request was made, in seconds as text, of what somebody says about it: not in the future, and '' is now.
local function made_at(said)
  return said ~= '' and tonumber(said) * 1000 <= now and said or now_text
end

-- The ledger: a request is known, and worth a call to HITL.sh when its interval is over or its time is out.
-- `created` and `timeout` are seconds as text, '' where not known. Answers whether it was new.
local function know(request_id, learned, created, timeout, life)
  local request = prefix .. 'request:' .. request_id
  created = made_at(created ~= '' and created or redis.call('HGET', request, 'created_at') or '')
  vouch(request_id, learned)
  redis.call('HSETNX', request, 'first_seen', now_text)
  redis.call('HSETNX', request, 'created_at', created)
  redis.call('HSETNX', request, 'learned', learned)
  local asked, checks = place_of(request_id)
  local new = redis.call('ZADD', asked, 'NX', created, request_id) == 1
  if timeout ~= '' then redis.call('HSET', request, 'timeout_at', timeout) end
  local known = redis.call('HMGET', request, 'outcome', 'missing')
  -- HITL.sh does not know it, and only a callback URL says otherwise: that is worth no second call.
  if known[1] or (known[2] and learned == 'callback') then return new end
  redis.call('EXPIRE', request, life)
  local patience = tonumber(redis.call('HGET', reconcile_state(), 'shortest') or 1800)
  local first = tonumber(created) + patience
  if timeout ~= '' then first = math.min(first, tonumber(timeout) + 90) end
  redis.call('ZADD', checks, 'NX', math.floor(first * 1000), request_id)
  return new
end

-- HITL.sh says otherwise: nothing more of this event begins, and its request is as open as it was before.
-- `by` says what HITL.sh has instead: the key of the true event, `open` or `missing`.
local function contradict(request_id, key, by, retention)
  local event, request = prefix .. 'event:' .. key, prefix .. 'request:' .. request_id
  redis.call('SREM', prefix .. 'unproven:' .. request_id, key)
  if redis.call('EXISTS', event) == 0 or redis.call('HSETNX', event, 'contradicted', by) == 0 then return end
  redis.call('ZADD', prefix .. 'contradicted', now, key)
  local begun, open = false, tonumber(redis.call('HGET', event, 'open') or 0)
  for handler in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
    if redis.call('ZREM', prefix .. 'unproven', handler .. '|' .. key) == 1 then
      redis.call('HSET', event, handler .. ':state', 'contradicted', handler .. ':settled_at', now_text)
      open = redis.call('HINCRBY', event, 'open', -1)
    elseif redis.call('HEXISTS', event, handler .. ':started_at') == 1 then
      begun = true
    end
  end
  if open == 0 then finish(event, key, nil, 'contradicted', retention) end
  if redis.call('HGET', request, 'event') == key then
    -- A later outcome is told that something was done for this one.
    redis.call('HSET', request, 'status', 'pending', 'overruled', begun and 1 or 0)
    redis.call('HDEL', request, 'outcome', 'event', 'decided_at')
  end
end
