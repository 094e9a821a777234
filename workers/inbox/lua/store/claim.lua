#!lua flags=allow-oom
-- Lease due items: each is due again when its lease runs out, in case its worker dies.
--
-- An outcome that is neither the decision of its request nor a conflict is not routed: it ends here.
--
-- ARGV     how many items at the most, lease in milliseconds, how many bytes of evidence at the most,
--          'busy', 'idle' (the caller holds no item) or 'suspect' (idle, and a suspect goes first),
--          retention in seconds, id of the claimant ('' for none) and how many answers it has had, the fencing token,
--          then (handler, how many may run at once) pairs
-- Answers  {fencing token, now in ms, when the next item is due in ms or -1, 1 if a suspect waits for
--          the caller to be idle, paused handlers (comma-separated, '*' for all), item, item, ...};
--          an item is {handler or '', event key, attempt, errors, crashes, suspect, head, body, trust,
--          received_at, callback, late, conflict, overrules, rivals (its request has other outcomes, so the
--          record decides what begins), details of its request (JSON, '' for none), `traceparent` of its delivery}
local count, lease, bytes_left, caller = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local last, answered, token, caps = prefix .. 'claim:' .. ARGV[6], ARGV[7], ARGV[8], {}
retention = ARGV[5]
for i = 9, #ARGV, 2 do caps[ARGV[i]] = tonumber(ARGV[i + 1]) end
-- Read an item's event and effect; see `row`. An effect that has begun keeps its evidence.
local function read(event, handler)
  local trust = redis.call('HMGET', event, handler .. ':evidence', 'trust')
  local level = handler ~= '' and trust[1] or trust[2] or ''
  local item = redis.call('HMGET', event, level .. ':head', level .. ':body', level .. ':received_at', level .. ':callback',
    'late', 'conflict', 'overrules', 'request', 'outcome', 'overruled', handler .. ':errors', handler .. ':crashes',
    handler .. ':suspect', handler .. ':overruled', level .. ':traceparent')
  return { head = item[1], body = item[2] or '', received_at = item[3], callback = item[4], late = item[5],
    conflict = item[6], overrules = item[7], request = item[8], outcome = item[9], overruled = item[10],
    errors = item[11], crashes = item[12], suspect = item[13], effect_overruled = item[14], traceparent = item[15], trust = level }
end

local function row(handler, key, attempt, item)
  local rivals = handler == '' and item.outcome and item.request
    and redis.call('HEXISTS', prefix .. 'request:' .. item.request, 'rivals')
  return { handler, key, tonumber(attempt), tonumber(item.errors or 0), tonumber(item.crashes or 0),
    item.suspect and 1 or 0, item.head, item.body, item.trust, item.received_at, item.callback or '',
    item.late and 1 or 0, item.conflict and 1 or 0, item.overrules and 1 or 0, rivals == 1 and 1 or 0,
    item.details or '', item.traceparent or '' }
end

local paused, names = {}, redis.call('SMEMBERS', prefix .. 'paused')
for _, name in ipairs(names) do paused[name] = true end

-- Answer a claim whose answer was lost again, to the same claimant: nothing of it has begun.
local function repeat_answer()
  local given = redis.call('GET', last)
  local count, token, members = string.match(given or '', '^(%d+)\n(%d+)\n(.*)$')
  if count ~= answered then return end
  local answer = { token, now, now, 0, table.concat(names, ',') }
  for member in string.gmatch(members, '[^\n]+') do
    local handler, key = split(member)
    local event = prefix .. 'event:' .. key
    if redis.call('HGET', leases, member) == token then
      redis.call('ZADD', due, now + lease, member)
      local item = read(event, handler)
      item.details = details_for(handler, event, item.request, false)
      answer[#answer + 1] = row(handler, key, redis.call('HGET', event, handler .. ':attempts') or 1, item)
    end
  end
  return answer
end

local repeated_answer = ARGV[6] ~= '' and repeat_answer()
if repeated_answer then return repeated_answer end
if paused['*'] then return { token, now, -1, 0, '*' } end

local members = redis.call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, count)
local answer = { token, now, -1, 0, table.concat(names, ',') }
local claimed, given, alone = 0, {}, false

-- The latest attempt ended with the death of its worker. Answers how many did.
local function count_crash(handler, event)
  if handler ~= '' then
    local fields = redis.call('HMGET', event, handler .. ':attempts', handler .. ':started_at')
    save_attempt(event, handler, tonumber(fields[1] or 1), 'crashed', fields[2], 'the worker died, or lost its lease')
  end
  redis.call('HSET', event, handler .. ':suspect', 1)
  return redis.call('HINCRBY', event, handler .. ':crashes', 1)
end

-- Move an effect that may not start to the index where it waits, and let the next event of its request run.
local function move_to_wait(where, score, member, handler, event, key, request_id, state)
  redis.call('ZREM', due, member)
  redis.call('ZADD', where, score, member)
  redis.call('HSET', event, handler .. ':state', state)
  release_turn(request_id, event, key)
end

-- Whether an effect may start now; if not, it was put where it waits.
local function may_start(member, handler, event, key, request_id)
  if paused[handler] then
    move_to_wait(prefix .. 'held', now, member, handler, event, key, request_id, 'paused')
    return false
  end
  local running = caps[handler] and tonumber(redis.call('HGET', prefix .. 'running', handler) or 0)
  if running and running >= caps[handler] then
    move_to_wait(prefix .. 'waiting:' .. handler, now, member, handler, event, key, request_id, 'waiting')
    return false
  end
  if not request_id or take_turn(request_id, key, member) then return true end
  redis.call('ZREM', due, member)
  redis.call('HSET', event, handler .. ':state', 'waiting')
  -- The slot that it was made due for is still free.
  if running then make_next_due(handler) end
  return false
end

-- Whether this outcome is routed: it is the decision of its request, or a conflict. Not if it was denied, or cannot be
-- compared with the decision.
local function is_for_routes(key, item)
  if not item.outcome or not item.request then return true end
  if item.overruled == 'open' or item.overruled == 'missing' then return false end
  local decision = redis.call('HGET', prefix .. 'request:' .. item.request, 'event')
  return item.conflict or not decision or decision == key
end

-- The timeout of a request after which another loop is asked runs no handler. If a process dies between the creation of
-- the request and its binding to the question, that is not known before the question is repaired (save_question.lua). So a
-- timeout that may be of such a request waits, a day at the most. No request times out within a minute: attempts that are
-- under way have others wait for nothing. Seconds; CLOCK_SKEW: by how much HITL.sh's clock may be behind ours.
local LONGEST_WAIT, FORGOTTEN, RECHECK, UNDER_WAY, CLOCK_SKEW = 86400, 2 * 86400, 60, 20, 300

local function may_be_unbound(item)
  local unbound = prefix .. 'questions_unbound'
  if item.outcome ~= 'timeout' or not item.request or redis.call('EXISTS', unbound) == 0 then return false end
  local fields = redis.call('HMGET', prefix .. 'request:' .. item.request, 'question', 'callback', 'learned', 'details:api',
    'created_at')
  if fields[1] then return false end
  local token_id = string.match(fields[2] or item.callback or '', '^{"id":"([^"]+)"')
  if token_id then return redis.call('ZSCORE', unbound, token_id) and true or false end
  -- It is known that none of our callback URLs was made for it.
  if fields[3] == 'asked' or fields[4] then return false end
  local oldest = redis.call('ZRANGE', unbound, now_seconds - FORGOTTEN, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')[2]
  return oldest and tonumber(oldest) <= math.min(now_seconds - UNDER_WAY, tonumber(fields[5] or now_seconds) + CLOCK_SKEW)
end

-- Whether the timeout waits; it is due again when it is to be examined next.
local function must_wait_for_binding(member, event, item)
  if not may_be_unbound(item) then return false end
  redis.call('HSETNX', event, 'unbound_since', now_seconds)
  if now_seconds - redis.call('HGET', event, 'unbound_since') >= LONGEST_WAIT then return false end
  redis.call('ZADD', due, now + RECHECK * 1000, member)
  redis.call('SADD', prefix .. 'timeouts_unbound', member)
  return true
end

-- The worker that held it died.
local function end_crashed(member, handler, event, key)
  redis.call('HDEL', leases, member)
  count_crash(handler, event)
  redis.call('HINCRBY', event, 'active', -1)
  free_slot(handler)
end

-- Stronger evidence overruled the effect: the attempt that ended with its worker was the last.
local function end_overruled(member, handler, event, key, request_id)
  end_crashed(member, handler, event, key)
  withdraw(handler, event, key, request_id)
end

-- The worker that routed it died, and stronger evidence waits: the turn passes to that.
local function give_up_turn(member, event, key, request_id)
  redis.call('HDEL', leases, member)
  count_crash('', event)
  redis.call('ZREM', due, member)
  local _, score = class_of(event)
  redis.call('ZADD', turns_of(request_id), score, member)
  pass_turn(request_id, key)
end

-- An item that a worker died with is suspect. It runs again alone, in one worker at a time (`clearing`), while other
-- workers go on with healthy work. Until then it is in `suspects`, by the time since when, and stays in `due` with a
-- score shortly ahead, so that its lease can still be renewed if its worker lives after all.
local suspects, clearing, claimant = prefix .. 'suspects', prefix .. 'clearing', ARGV[6]
-- Milliseconds: until a suspect is examined again, plus so much for each suspect; how long a suspect waits before a
-- worker with other work stops claiming that.
local SUSPECT_PAUSE, PAUSE_EACH, SUSPECT_PATIENCE = 1000, 10, 5000

-- Whether a suspect was neither renewed, settled nor claimed since it was set aside.
local function is_set_aside(member, handler, event)
  local recheck_at = tonumber(redis.call('HGET', event, handler .. ':suspect') or '')
  return recheck_at and recheck_at == tonumber(redis.call('ZSCORE', due, member) or '')
end

-- A suspect killed its worker while it ran alone: it is the cause. Other suspects with only one death are healthy again;
-- the next death makes them suspect again. A worker that is only slow had time to renew.
local function clear_others()
  for _, member in ipairs(redis.call('ZRANGE', suspects, '-inf', now - lease / 2, 'BYSCORE')) do
    local handler, key = split(member)
    local event = prefix .. 'event:' .. key
    local leased = redis.call('HEXISTS', leases, member)
    local deaths = tonumber(redis.call('HGET', event, handler .. ':crashes') or 0) + leased
    if deaths == 1 and is_set_aside(member, handler, event) then
      redis.call('ZREM', suspects, member)
      redis.call('ZADD', due, now, member)
      if leased == 1 and handler ~= '' then
        end_crashed(member, handler, event, key)
        redis.call('HSET', event, handler .. ':state', 'due')
      elseif leased == 1 then
        redis.call('HDEL', leases, member)
        count_crash(handler, event)
      end
      redis.call('HDEL', event, handler .. ':suspect')
      release_turn(redis.call('HGET', event, 'request'), event, key)
    end
  end
  wake_drain()
end

local function set_aside(member, handler, event, item, crashed)
  if crashed and item.suspect == 'alone' then clear_others() end
  redis.call('ZADD', suspects, 'NX', now, member)
  local recheck_at = now + SUSPECT_PAUSE + PAUSE_EACH * redis.call('ZCARD', suspects)
  redis.call('ZADD', due, recheck_at, member)
  redis.call('HSET', event, handler .. ':suspect', recheck_at)
end

-- Whether this caller may run a suspect: no other resident drain does. A worker with other work leaves suspects to idle
-- workers, for a while.
local function may_clear()
  local first = redis.call('ZRANGE', suspects, 0, 0, 'WITHSCORES')
  if not first[1] then
    redis.call('DEL', clearing)
    return false
  end
  local holder = redis.call('GET', clearing)
  if holder ~= claimant then
    if holder and tonumber(redis.call('ZSCORE', prefix .. 'drains', holder) or 0) > now then return false end
    if (caller == 'busy' or claimed > 0) and tonumber(first[2]) > now - SUSPECT_PATIENCE then return false end
    if claimant ~= '' then redis.call('SET', clearing, claimant) end
  end
  return true
end

local function claim(member, is_alone)
  if displaced[member] and not is_alone then return end
  displaced[member] = true -- not examined twice in one claim
  local handler, key = split(member)
  local event = prefix .. 'event:' .. key
  local item = read(event, handler)
  if not item.head then -- the record was deleted by hand: there is nothing to run
    redis.call('ZREM', due, member)
    redis.call('HDEL', leases, member)
    return
  end
  -- A recorded lease was neither settled nor released: its worker died, perhaps because of this item.
  local crashed = redis.call('HEXISTS', leases, member) == 1
  if handler == '' and not is_for_routes(key, item) then
    end_routing(event, key, item.request)
    return release_turn(item.request, event, key)
  end
  if handler == '' and not crashed and must_wait_for_binding(member, event, item) then return end
  if handler == '' and crashed and item.request and is_outranked(item.request, key) then
    return give_up_turn(member, event, key, item.request)
  end
  if crashed and item.effect_overruled then return end_overruled(member, handler, event, key, item.request) end
  if crashed and paused[handler] then
    end_crashed(member, handler, event, key)
    move_to_wait(prefix .. 'held', now, member, handler, event, key, item.request, 'paused')
    return
  end
  local suspect = crashed or item.suspect
  if suspect and not is_alone then return set_aside(member, handler, event, item, crashed) end
  if handler ~= '' and not crashed and not may_start(member, handler, event, key, item.request) then return end

  redis.call('ZADD', due, now + lease, member)
  redis.call('HSET', leases, member, token)
  local attempt = 1
  if crashed then item.crashes, item.suspect = count_crash(handler, event), '1' end
  if suspect then redis.call('HSET', event, handler .. ':suspect', 'alone') end
  if handler ~= '' then
    attempt = redis.call('HINCRBY', event, handler .. ':attempts', 1)
    redis.call('HSET', event, handler .. ':state', 'running', handler .. ':started_at', now_text,
      handler .. ':evidence', item.trust)
    if not crashed then
      redis.call('HINCRBY', event, 'active', 1)
      if caps[handler] then redis.call('HINCRBY', prefix .. 'running', handler, 1) end
    end
  else -- effects that the routing worker begins have this evidence, even if stronger evidence arrives meanwhile
    redis.call('HSET', event, ':evidence', item.trust)
    redis.call('HDEL', event, 'reroute')
  end
  item.details = details_for(handler, event, item.request, handler == '' or attempt == 1)
  bytes_left = bytes_left - #item.body - #item.head - #item.details
  claimed = claimed + 1
  alone = suspect
  given[claimed] = member
  answer[#answer + 1] = row(handler, key, attempt, item)
end

local function claim_suspect()
  for _, member in ipairs(redis.call('ZRANGE', suspects, 0, 99)) do
    local handler, key = split(member)
    redis.call('ZREM', suspects, member)
    if is_set_aside(member, handler, prefix .. 'event:' .. key) then claim(member, true) end
    if alone then return end
  end
end

if caller == 'suspect' and may_clear() then claim_suspect() end
for _, member in ipairs(members) do
  if alone or bytes_left <= 0 then break end
  claim(member)
end
if not alone and may_clear() then
  if caller == 'busy' or claimed > 0 then answer[4] = 1 else claim_suspect() end
end
if claimed > 0 and ARGV[6] ~= '' then redis.call('SET', last, answered .. '\n' .. token .. '\n' .. table.concat(given, '\n'), 'PX', lease) end
local following = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if following[2] then
  answer[3] = tonumber(following[2])
  -- More is due than this worker took: wake the next one.
  if answer[3] <= now and claimed > 0 then wake_drain() end
end
return answer
