-- What every script begins with.
--
-- KEYS[1]  the prefix of every key, which is also the hash tag
local prefix = KEYS[1]
local due, leases = prefix .. 'due', prefix .. 'leases'
-- The server's clock: those of the hosts need not agree.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%d.%06d', time[1], time[2])

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
