#!lua flags=allow-oom
-- Lease what is due: each claimed item is due again when its lease runs out, should its worker die.
--
-- What HITL.sh contradicted is not begun: it ends here.
--
-- ARGV     how many items at the most, lease in milliseconds, how many bytes of bodies at the most,
--          'busy', 'idle' (the caller has nothing in hand) or 'suspect' (nothing, and a suspect waits),
--          retention in seconds, who claims ('' for anybody) and how many answers it has had, the fencing token,
--          then (handler, how many may run at once) pairs
-- Answers  {fencing token, now in ms, when the next item is due in ms or -1, 1 if a suspect waits for a
--          worker with nothing in hand, paused handlers (comma-separated, '*' for all), item, item, ...};
--          an item is {handler or '', event key, attempt, errors, crashes, suspect, head, body, trust,
--          received_at, callback, late, conflict (2: and it overrules what HITL.sh contradicted)}
local count, lease, bytes_left, caller = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local retention, last, heard, token, most = ARGV[5], prefix .. 'claim:' .. ARGV[6], ARGV[7], ARGV[8], {}
for i = 9, #ARGV, 2 do most[ARGV[i]] = tonumber(ARGV[i + 1]) end
-- What is known of an item's event and effect; see `row`.
local function read(event, handler)
  local kept = redis.call('HMGET', event, 'head', 'body', 'trust', 'received_at', 'callback', 'late', 'conflict', 'request',
    'order', handler .. ':errors', handler .. ':crashes', handler .. ':suspect', 'contradicted', 'overrules',
    handler .. ':posted')
  if kept[15] then -- it was begun with what was posted, and goes on with that
    local posted = redis.call('HMGET', event, 'posted_head', 'posted_body', 'posted_trust', 'posted_callback')
    kept[1], kept[2], kept[3], kept[5] = posted[1], posted[2], posted[3], posted[4]
  end
  return kept
end

local function row(handler, key, attempt, kept)
  return { handler, key, tonumber(attempt), tonumber(kept[10] or 0), tonumber(kept[11] or 0), kept[12] and 1 or 0,
    kept[1], kept[2], kept[3], kept[4], kept[5] or '', kept[6] and 1 or 0, kept[7] and (kept[14] and 2 or 1) or 0 }
end

local paused, names = {}, redis.call('SMEMBERS', prefix .. 'paused')
for _, name in ipairs(names) do paused[name] = true end

-- What was claimed and whose answer was lost on its way is given to the same claimant again: nobody has begun it.
local function again()
  local given = redis.call('GET', last)
  local count, token, members = string.match(given or '', '^(%d+)\n(%d+)\n(.*)$')
  if count ~= heard then return end
  local answer = { token, now, now, 0, table.concat(names, ',') }
  for member in string.gmatch(members, '[^\n]+') do
    local handler, key = split(member)
    local event = prefix .. 'event:' .. key
    if redis.call('HGET', leases, member) == token then
      redis.call('ZADD', due, now + lease, member)
      answer[#answer + 1] = row(handler, key, redis.call('HGET', event, handler .. ':attempts') or 1, read(event, handler))
    end
  end
  return answer
end

local same = ARGV[6] ~= '' and again()
if same then return same end
if paused['*'] then return { token, now, -1, 0, '*' } end

local members = redis.call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, count)
local answer = { token, now, -1, 0, table.concat(names, ',') }
local claimed, given, alone = 0, {}, false

-- Its latest attempt ended with the worker. Answers how many did so.
local function count_crash(handler, event)
  if handler ~= '' then
    local known = redis.call('HMGET', event, handler .. ':attempts', handler .. ':started_at')
    remember(event, handler, tonumber(known[1] or 1), 'crashed', known[2], 'the worker died, or lost its lease')
  end
  redis.call('HSET', event, handler .. ':suspect', 1)
  return redis.call('HINCRBY', event, handler .. ':crashes', 1)
end

-- Not now: it waits elsewhere until what stands in its way is gone, and lets its request's next event on.
local function park(where, score, member, handler, event, key, request_id, state)
  redis.call('ZREM', due, member)
  redis.call('ZADD', where, score, member)
  redis.call('HSET', event, handler .. ':state', state)
  if request_id and tonumber(redis.call('HGET', event, 'active') or 0) == 0 then pass_turn(request_id, key) end
end

-- Whether an effect may start now; if not, it was put where it waits.
local function may_start(member, handler, event, key, request_id, order)
  if paused[handler] then
    park(prefix .. 'held', now, member, handler, event, key, request_id, 'paused')
    return false
  end
  local running = most[handler] and tonumber(redis.call('HGET', prefix .. 'running', handler) or 0)
  if running and running >= most[handler] then
    park(prefix .. 'waiting:' .. handler, now, member, handler, event, key, request_id, 'waiting')
    return false
  end
  if not request_id then return true end
  local request = prefix .. 'request:' .. request_id
  local turn = redis.call('HGET', request, 'turn')
  if turn and turn ~= key then
    park(prefix .. 'turns:' .. request_id, tonumber(order) or 0, member, handler, event, key, nil, 'waiting')
    -- The room that it was called for is free still: the next one's.
    if running then call_next(handler) end
    return false
  end
  if not turn then redis.call('HSET', request, 'turn', key) end
  return true
end

-- `crashed`: whoever held it died; then it has a place and a lease to give up.
local function end_contradicted(member, handler, event, key, request_id, crashed)
  redis.call('ZREM', due, member)
  redis.call('HDEL', leases, member)
  if handler == '' then
    finish(event, key, request_id, 'contradicted', retention)
    if request_id then pass_turn(request_id, key) end
    return
  end
  redis.call('HSET', event, handler .. ':state', 'contradicted', handler .. ':settled_at', now_text)
  if crashed then
    count_crash(handler, event)
    redis.call('HINCRBY', event, 'active', -1)
    free_place(handler)
  else -- the room that it was called for is free still: the next one's
    call_next(handler)
  end
  redis.call('HDEL', event, handler .. ':suspect')
  if redis.call('HINCRBY', event, 'open', -1) == 0 then finish_effects(event, key, request_id, retention) end
  if request_id and tonumber(redis.call('HGET', event, 'active') or 0) == 0 then pass_turn(request_id, key) end
end

local function claim(member)
  local handler, key = split(member)
  local event = prefix .. 'event:' .. key
  local kept = read(event, handler)
  if not kept[1] then -- only a hand-deleted record can lack its head: nothing is left to run
    redis.call('ZREM', due, member)
    redis.call('HDEL', leases, member)
    return
  end
  -- A lease still on record was never settled nor given back: whoever held it died, perhaps of this.
  local crashed = redis.call('HEXISTS', leases, member) == 1
  if kept[13] then return end_contradicted(member, handler, event, key, kept[8], crashed) end
  if crashed and paused[handler] then
    redis.call('HDEL', leases, member)
    count_crash(handler, event)
    redis.call('HINCRBY', event, 'active', -1)
    free_place(handler)
    park(prefix .. 'held', now, member, handler, event, key, kept[8], 'paused')
    return
  end
  local suspect = crashed or kept[12]
  if suspect and (caller == 'busy' or claimed > 0) then
    answer[4] = 1
    return
  end
  if handler ~= '' and not crashed and not may_start(member, handler, event, key, kept[8], kept[9]) then return end

  redis.call('ZADD', due, now + lease, member)
  redis.call('HSET', leases, member, token)
  local attempt = 1
  if crashed then kept[11], kept[12] = count_crash(handler, event), '1' end
  if handler ~= '' then
    attempt = redis.call('HINCRBY', event, handler .. ':attempts', 1)
    redis.call('HSET', event, handler .. ':state', 'running', handler .. ':started_at', now_text)
    if not crashed then
      redis.call('HINCRBY', event, 'active', 1)
      if most[handler] then redis.call('HINCRBY', prefix .. 'running', handler, 1) end
    end
  end
  bytes_left = bytes_left - #kept[2]
  claimed = claimed + 1
  alone = suspect
  given[claimed] = member
  answer[#answer + 1] = row(handler, key, attempt, kept)
end

local function is_suspect(member)
  local handler, key = split(member)
  return redis.call('HEXISTS', leases, member) == 1
    or redis.call('HEXISTS', prefix .. 'event:' .. key, handler .. ':suspect') == 1
end

if caller == 'suspect' then
  for _, member in ipairs(members) do
    if is_suspect(member) then
      claim(member)
      if alone then break end
    end
  end
end
for _, member in ipairs(members) do
  if alone or bytes_left <= 0 then break end
  claim(member)
end
if claimed > 0 and ARGV[6] ~= '' then redis.call('SET', last, heard .. '\n' .. token .. '\n' .. table.concat(given, '\n'), 'PX', lease) end
local following = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if following[2] then
  answer[3] = tonumber(following[2])
  -- More is due than this worker took: wake the next one.
  if answer[3] <= now and claimed > 0 then ring() end
end
return answer
