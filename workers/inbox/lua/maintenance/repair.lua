#!lua flags=allow-oom
-- Check a slice of the unfinished events for work that nothing would continue, and make it due. The invariant: each
-- unfinished event and effect is due, leased, or waits for something that will happen (in `turns` while another event of
-- its request holds the turn, for a slot of a capped handler, while its handler is paused or missing, for a person, or
-- for stronger evidence with a check of its request scheduled). A violation is a bug in the other scripts, or was
-- written by hand.
--
-- An effect that waits for the details of its request goes on without them after a day: the API key may be refused, or no
-- process reconciles.
--
-- ARGV     retention in seconds, rank among the unfinished at which to go on, how many events to check
-- Answers  {rank at which to go on; -1 at the end, for how many requests effects no longer wait for details,
--          what was repaired: '<handler>|<event key>', what was wrong, ...}
local rank, slice = tonumber(ARGV[2]), tonumber(ARGV[3])
retention = ARGV[1]
local answer, ANSWER_HEAD = { -1, 0 }, 2
-- Milliseconds.
local LONGEST_WAIT_FOR_DETAILS = 86400000

local function report_fault(handler, key, fault)
  answer[#answer + 1] = handler .. '|' .. key
  answer[#answer + 1] = fault
end

local function make_due(handler, event, member)
  redis.call('ZADD', due, 'NX', now, member)
  if handler ~= '' then redis.call('HSET', event, handler .. ':state', 'due') end
  wake_drain()
end

local function is_in_index(index, member) return redis.call('ZSCORE', prefix .. index, member) and true or false end

-- How many effects of a handler are leased.
local running
local function leased_effects(handler)
  if not running then
    running = {}
    for _, member in ipairs(redis.call('HKEYS', leases)) do
      local name = split(member)
      running[name] = (running[name] or 0) + 1
    end
  end
  return running[handler] or 0
end

-- -- one effect, or the routing of an event (handler '') ----------------------------------------------------------

-- An effect waits for a slot of its capped handler: check that the counted slots are really taken.
local function count_slots(handler, key)
  local counted, taken = tonumber(redis.call('HGET', prefix .. 'running', handler) or 0), leased_effects(handler)
  if counted <= taken and counted > 0 then return end
  report_fault(handler, key, counted > taken and 'its place is counted as taken, and nothing of its handler runs'
    or 'it waits for a place, and no effect of its handler runs')
  if taken > 0 then
    redis.call('HSET', prefix .. 'running', handler, taken)
  else
    redis.call('HDEL', prefix .. 'running', handler)
  end
  make_next_due(handler)
end

local function check_waiting(handler, event, key, request_id)
  local fields = redis.call('HMGET', event, 'trust', handler .. ':needs', 'overruled')
  local since = tonumber(redis.call('ZSCORE', prefix .. 'unconfirmed', handler .. '|' .. key) or now)
  local has_come = (strength[fields[1]] or 0) >= (strength[fields[2]] or 3)
  if fields[2] == 'details' then has_come = was_read(request_id) end
  if has_come then
    report_fault(handler, key, 'it waits for evidence that came')
    release_waiting(event, key, request_id, fields[1])
  elseif fields[3] == 'open' or fields[3] == 'missing' then
    report_fault(handler, key, 'it waits for evidence that will not come')
    withdraw(handler, event, key, request_id)
  elseif fields[2] == 'details' and now - since > LONGEST_WAIT_FOR_DETAILS then
    give_up_details(request_id)
    answer[2] = answer[2] + 1
  elseif not is_in_index('unconfirmed', handler .. '|' .. key)
    or redis.call('SISMEMBER', prefix .. 'unconfirmed:' .. request_id, key) == 0
    or not redis.call('ZSCORE', checks_of(request_id), request_id) then
    report_fault(handler, key, 'it waits for evidence, and no check of its request is scheduled')
    await_evidence(handler, event, key, request_id, fields[2] or 'confirmed')
  end
end

-- The index of the effects in each state.
local indexes = { failed = 'failed', held = 'held', paused = 'held' }

local function remove_everywhere(handler, member, request_id)
  local left = redis.call('ZREM', due, member) + redis.call('HDEL', leases, member)
  local waiting_in = { 'held', 'failed', 'unconfirmed' }
  if handler ~= '' then waiting_in[#waiting_in + 1] = 'waiting:' .. handler end
  if request_id then waiting_in[#waiting_in + 1] = 'turns:' .. request_id end
  for _, index in ipairs(waiting_in) do left = left + redis.call('ZREM', prefix .. index, member) end
  return left > 0
end

local function check(handler, event, key, request_id, state)
  local member = handler .. '|' .. key
  local is_due, is_leased = is_in_index('due', member), redis.call('HEXISTS', leases, member) == 1
  local has_turns = request_id and is_in_index('turns:' .. request_id, member)
  if is_leased and not is_due then
    report_fault(handler, key, 'its lease never runs out')
    redis.call('ZADD', due, now, member)
  elseif is_due and has_turns then
    report_fault(handler, key, 'it is due, and waits for the turn too')
    redis.call('ZREM', prefix .. 'turns:' .. request_id, member)
  elseif is_due or has_turns then
    return
  elseif indexes[state] then
    if is_in_index(indexes[state], member) then return end
    report_fault(handler, key, 'it is ' .. state .. ', and not in the index of such effects')
    redis.call('ZADD', prefix .. indexes[state], now, member)
  elseif state == 'unconfirmed' then
    check_waiting(handler, event, key, request_id)
  elseif state == 'waiting' and is_in_index('waiting:' .. handler, member) then
    count_slots(handler, key)
  else
    report_fault(handler, key, 'it is ' .. state .. ', and neither due nor leased, and waits in no index')
    if handler ~= '' or not request_id then make_due(handler, event, member) else make_routable(request_id, key) end
  end
end

-- -- one event ------------------------------------------------------------------------------------------------------

-- Check that the holder of the turn can go on; else pass the turn on.
local function check_turn(request_id, key)
  local request, turns = prefix .. 'request:' .. request_id, turns_of(request_id)
  local first = redis.call('ZRANGE', turns, 0, 0)[1]
  if not first then return end
  local holder = redis.call('HGET', request, 'turn')
  local moves = holder and is_in_index('due', '|' .. holder)
  if holder then
    local held = prefix .. 'event:' .. holder
    for name in string.gmatch((redis.call('HGET', held, 'routed_to') or '') .. ',', '([^,]*),') do
      local member = name .. '|' .. holder
      if redis.call('ZREM', turns, member) == 1 then
        report_fault(name, holder, 'it waits for a turn that its own event holds')
        make_due(name, held, member)
      end
      moves = moves or is_in_index('due', member)
    end
    if redis.call('ZREM', turns, '|' .. holder) == 1 then
      report_fault('', holder, 'it waits for a turn that its own event holds')
      make_due('', held, '|' .. holder)
      moves = true
    end
  end
  first = redis.call('ZRANGE', turns, 0, 0)[1]
  if moves or not first then return end
  local handler, following = split(first)
  report_fault(handler, following, 'it waits for the turn, which ' .. (holder and 'nothing passes on' or 'no event holds'))
  pass_turn(request_id, holder or key)
end

-- Correct the counts of the record by the indexes.
local function check_counts(event, key, counts)
  for name, count in pairs(counts) do
    local written = tonumber(redis.call('HGET', event, name) or 0)
    if written ~= count then
      report_fault('', key, string.format('%s is %d, and %d are', name, written, count))
      redis.call('HSET', event, name, count)
    end
  end
end

local function check_event(key)
  local event = prefix .. 'event:' .. key
  local fields = redis.call('HMGET', event, 'state', 'routed_to', 'request')
  local state, request_id = fields[1], fields[3]
  if not state then
    redis.call('ZREM', prefix .. 'unfinished', key)
    return report_fault('', key, 'its record is gone')
  end
  if state == 'due' or state == 'failed' then check('', event, key, request_id, state) end
  local counts = { open = 0, active = 0 }
  for handler in string.gmatch(fields[2] or '', '[^,]+') do
    local effect_state = redis.call('HGET', event, handler .. ':state')
    local member = handler .. '|' .. key
    if effect_state == 'running' or open_states[effect_state] then
      check(handler, event, key, request_id, effect_state)
    elseif remove_everywhere(handler, member, request_id) then
      report_fault(handler, key, 'it is ' .. tostring(effect_state) .. ', and would run again')
    end
    effect_state = redis.call('HGET', event, handler .. ':state')
    if effect_state == 'running' or open_states[effect_state] then counts.open = counts.open + 1 end
    counts.active = counts.active + redis.call('HEXISTS', leases, member)
  end
  check_counts(event, key, counts)
  if counts.open > 0 and state ~= 'routed' and state ~= 'due' and state ~= 'failed' then
    report_fault('', key, 'it is ' .. state .. ', and something of it is open')
    redis.call('HSET', event, 'state', 'routed')
    state = 'routed'
  end
  if state == 'due' or state == 'failed' or counts.open > 0 then
    if redis.call('PERSIST', event) == 1 then report_fault('', key, 'it would expire before it is finished') end
  elseif state == 'routed' then
    report_fault('', key, 'nothing of it is open, and it is not finished')
    finish_if_settled(event, key)
  else
    redis.call('ZREM', prefix .. 'unfinished', key)
  end
  if request_id then check_turn(request_id, key) end
end

local keys = redis.call('ZRANGE', prefix .. 'unfinished', rank, rank + slice - 1)
for _, key in ipairs(keys) do check_event(key) end
local repaired = (#answer - ANSWER_HEAD) / 2
if repaired > 0 then
  redis.call('HINCRBY', prefix .. 'counters', 'repaired', repaired)
  redis.call('HSET', prefix .. 'latest', 'repaired', now)
  wake_drain()
end
if #keys == slice then answer[1] = rank + slice end
return answer
