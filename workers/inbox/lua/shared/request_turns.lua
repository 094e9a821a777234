-- Turns: the events of one request are handled one at a time. Included in every script.
--
-- Each event has a class: 0 if it does not end the request; else by its trust, the decision of the request before what
-- disagrees with it. A higher class takes the turn from a lower one, even if effects of that run; within a class the turn
-- goes by the vendor's own time. So a decision waits neither for events that do not end the request nor for weaker evidence.
--
-- The turn is held by the event `turn` of the request's record while its routing is due or leased, or an effect of
-- it runs (`active`) or is due. Members of `due` that wait for it stand in `turns:<request>`.
local strength = { callback = 1, signed = 2, confirmed = 3 }
-- No time of the vendor's is as large, so that the class decides first.
local CLASS, LATEST = 1e11, 9e10

-- Routings that this script removed from `due`.
local displaced = {}

local function turns_of(request_id) return prefix .. 'turns:' .. request_id end

local function class_of(event)
  local fields = redis.call('HMGET', event, 'outcome', 'trust', 'conflict', 'order')
  local class = fields[1] and 2 * (strength[fields[2]] or 0) - (fields[3] and 1 or 0) or 0
  local order = math.max(0, math.min(LATEST, tonumber(fields[4] or '') or now / 1000))
  return class, order - class * CLASS
end

-- Give the event the turn, and make due what of it waited for the turn.
local function hold_turn(request_id, key)
  redis.call('HSET', prefix .. 'request:' .. request_id, 'turn', key)
  local turns = turns_of(request_id)
  if redis.call('EXISTS', turns) == 0 then return end
  local names = redis.call('HGET', prefix .. 'event:' .. key, 'routed_to') or ''
  for name in string.gmatch(names .. ',', '([^,]*),') do
    local member = name .. '|' .. key
    if redis.call('ZREM', turns, member) == 1 then redis.call('ZADD', due, now, member) end
  end
  if redis.call('ZREM', turns, '|' .. key) == 1 then redis.call('ZADD', due, now, '|' .. key) end
  wake_drain()
end

-- Pass the turn on to whatever is first in `turns`: an event, or the retry of an earlier event's effect.
local function pass_turn(request_id, key)
  local request = prefix .. 'request:' .. request_id
  local turn = redis.call('HGET', request, 'turn')
  if turn and turn ~= key then return end -- no holder: the record expired, but the waiting members did not
  local following = redis.call('ZRANGE', turns_of(request_id), 0, 0)[1]
  if not following then
    redis.call('HDEL', request, 'turn')
    return
  end
  local _, next_key = split(following)
  hold_turn(request_id, next_key)
end

-- Pass the turn on if nothing of the event runs and its routing is not due.
local function release_turn(request_id, event, key)
  if not request_id or tonumber(redis.call('HGET', event, 'active') or 0) > 0 then return end
  if not redis.call('ZSCORE', due, '|' .. key) then pass_turn(request_id, key) end
end

-- Whether an effect of the event runs or is due.
local function has_active_effect(event, key)
  if tonumber(redis.call('HGET', event, 'active') or 0) > 0 then return true end
  for handler in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
    local at = redis.call('ZSCORE', due, handler .. '|' .. key)
    if at and tonumber(at) <= now then return true end
  end
  return false
end

-- Try to take the turn for `member`, the event's routing or one of its effects: true if the event holds the turn now,
-- else the member is in `turns`. The caller removes it from `due`, or adds it there.
local function take_turn(request_id, key, member)
  local request = prefix .. 'request:' .. request_id
  local holder = redis.call('HGET', request, 'turn')
  if holder == key then return true end
  if holder then
    local held, routing = prefix .. 'event:' .. holder, '|' .. holder
    local routing_due = redis.call('ZSCORE', due, routing)
    local runs = has_active_effect(held, holder)
    if routing_due or runs then
      local leased = redis.call('HEXISTS', leases, routing) == 1
      local holder_class, holder_score = class_of(held)
      local class, score = class_of(prefix .. 'event:' .. key)
      -- A worker routes an outcome, and what it begins is not recorded yet: no other outcome is routed meanwhile.
      local must_wait = leased and holder_class > 0
      local begun = leased or runs
      if must_wait or class < holder_class or (class == holder_class and (begun or score >= holder_score)) then
        redis.call('ZADD', turns_of(request_id), score, member)
        return false
      end
      if routing_due and not leased then
        redis.call('ZREM', due, routing)
        displaced[routing] = true
        redis.call('ZADD', turns_of(request_id), holder_score, routing)
      end
    end
  end
  hold_turn(request_id, key)
  return true
end

local function is_outranked(request_id, key)
  local first = redis.call('ZRANGE', turns_of(request_id), 0, 0, 'WITHSCORES')
  return first[1] and -math.floor(tonumber(first[2]) / CLASS) > class_of(prefix .. 'event:' .. key)
end

-- Have the event routed as soon as it has the turn of its request.
local function make_routable(request_id, key)
  local member = '|' .. key
  if take_turn(request_id, key, member) then
    redis.call('ZADD', due, now, member)
    wake_drain()
  end
end
