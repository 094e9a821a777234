#!lua flags=allow-oom
-- Write down what a worker did with the items it holds, in the order in which it did it.
-- Fenced: only the worker whose token is on the lease is heard. Safe to repeat when a reply was lost.
--
-- KEYS[1]  the prefix of every key
-- ARGV     retention in seconds, lease in milliseconds, and one frame with 6 words a line (framed as for
--          accept.lua): verb, handler, event key, token, and two words of the verb's own:
--            route    names of the handlers, comma-separated ('' for none) | -
--            done     - | -
--            skipped  - | -                 the handler's predicate says no after all
--            retry    delay in milliseconds | what went wrong ('' when the handler asked for the delay)
--            failed   - | what went wrong
--            held     - | -                 no handler of that name exists today
--            release  - | -                 given back unstarted, for any worker to take at once
-- Answers  {1 or 0, ...}: 0 where the lease had passed to another worker and nothing was written
local prefix = KEYS[1]
local retention, lease = ARGV[1], tonumber(ARGV[2])
local due, leases = prefix .. 'due', prefix .. 'leases'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%d.%06d', time[1], time[2])

-- Whoever waits must learn that something is due sooner than it thought.
local function ring()
  if redis.call('LLEN', prefix .. 'wake') == 0 then redis.call('LPUSH', prefix .. 'wake', 1) end
end

local function finish(event, key, state)
  redis.call('HSET', event, 'state', state, 'finished_at', now_text)
  redis.call('EXPIRE', event, retention)
  local request_id = redis.call('HGET', event, 'request')
  if request_id then
    local request = prefix .. 'request:' .. request_id
    if redis.call('HGET', request, 'event') == key then redis.call('EXPIRE', request, retention) end
  end
end

local function route(event, key, token, names)
  local first = redis.call('HGET', event, 'routed_under') or ''
  if first ~= '' then return first == token and 1 or 0 end
  if redis.call('HGET', leases, '|' .. key) ~= token then return 0 end
  redis.call('ZREM', due, '|' .. key)
  redis.call('HDEL', leases, '|' .. key)
  local open = 0
  for name in string.gmatch(names, '[^,]+') do
    open = open + 1
    redis.call('HSET', event, name .. ':state', 'running', name .. ':attempts', 1, name .. ':started_at', now_text)
    redis.call('ZADD', due, now + lease, name .. '|' .. key)
    redis.call('HSET', leases, name .. '|' .. key, token)
  end
  redis.call('HSET', event, 'routed_under', token, 'routed_at', now_text, 'routed_to', names, 'open', open,
    'state', 'routed')
  if open == 0 then finish(event, key, 'unrouted') end
  return 1
end

local function settle(verb, handler, event, key, token, word, wrong)
  local member = handler .. '|' .. key
  if redis.call('HGET', leases, member) ~= token then
    return redis.call('HGET', event, handler .. ':settled_under') == token and 1 or 0
  end
  redis.call('HDEL', leases, member)
  redis.call('HSET', event, handler .. ':settled_under', token, handler .. ':state', verb, handler .. ':settled_at', now_text)
  if wrong ~= '' then redis.call('HSET', event, handler .. ':error', wrong) end
  if verb == 'retry' then
    if wrong ~= '' then redis.call('HINCRBY', event, handler .. ':errors', 1) end
    redis.call('ZADD', due, now + tonumber(word), member)
    ring()
    return 1
  end
  redis.call('ZREM', due, member)
  if verb == 'failed' then
    redis.call('ZADD', prefix .. 'failed', now, member)
  elseif verb == 'held' then
    redis.call('ZADD', prefix .. 'held', now, member)
    redis.call('HINCRBY', event, handler .. ':attempts', -1)
  elseif redis.call('HINCRBY', event, 'open', -1) == 0 then
    finish(event, key, 'done')
  end
  return 1
end

local function release(handler, event, key, token)
  local member = handler .. '|' .. key
  if redis.call('HGET', leases, member) ~= token then return 0 end
  redis.call('HDEL', leases, member)
  redis.call('ZADD', due, now, member)
  if handler ~= '' then
    redis.call('HINCRBY', event, handler .. ':attempts', -1)
    redis.call('HSET', event, handler .. ':state', 'due')
  end
  ring()
  return 1
end

local frame, position = ARGV[3], 1
local function word()
  local found
  found, position = struct.unpack('>I4c0', frame, position)
  return found
end

local answer = {}
while position <= #frame do
  local verb, handler, key, token, detail, wrong = word(), word(), word(), word(), word(), word()
  local event = prefix .. 'event:' .. key
  local heard
  if verb == 'route' then
    heard = route(event, key, token, detail)
  elseif verb == 'release' then
    heard = release(handler, event, key, token)
  else
    heard = settle(verb, handler, event, key, token, detail, wrong)
  end
  answer[#answer + 1] = heard
end
return answer
