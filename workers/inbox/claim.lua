#!lua flags=allow-oom
-- Lease what is due: each claimed item is due again when its lease runs out, should its worker die.
--
-- KEYS[1]  the prefix of every key
-- ARGV     how many items at the most, lease in milliseconds, how many bytes of bodies at the most
-- Answers  {fencing token, now in ms, when the next item is due in ms or -1, item, item, ...};
--          an item is {handler or '', event key, attempt, errors, crashes, head, body, trust, received_at,
--          callback, late, conflict}
local prefix = KEYS[1]
local count, lease, bytes_left = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local due, leases = prefix .. 'due', prefix .. 'leases'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%d.%06d', time[1], time[2])

local members = redis.call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, count)
local token = 0
if #members > 0 then token = redis.call('INCR', prefix .. 'fence') end
local answer = { token, now, -1 }

local function claim(member)
  local bar = string.find(member, '|', 1, true)
  local handler, key = string.sub(member, 1, bar - 1), string.sub(member, bar + 1)
  local event = prefix .. 'event:' .. key
  local kept = redis.call('HMGET', event, 'head', 'body', 'trust', 'received_at', 'callback', 'late', 'conflict',
    handler .. ':errors', handler .. ':crashes')
  if not kept[1] then -- only a hand-deleted record can lack its head: nothing is left to run
    redis.call('ZREM', due, member)
    redis.call('HDEL', leases, member)
    return
  end
  redis.call('ZADD', due, now + lease, member)
  local crashes = kept[9] or 0
  -- A lease still on record was never settled nor given back: whoever held it died.
  if redis.call('HSET', leases, member, token) == 0 then
    crashes = redis.call('HINCRBY', event, handler .. ':crashes', 1)
  end
  local attempt = 1
  if handler ~= '' then
    attempt = redis.call('HINCRBY', event, handler .. ':attempts', 1)
    redis.call('HSET', event, handler .. ':state', 'running', handler .. ':started_at', now_text)
  end
  bytes_left = bytes_left - #kept[2]
  answer[#answer + 1] = { handler, key, attempt, tonumber(kept[8] or 0), tonumber(crashes), kept[1], kept[2], kept[3], kept[4],
    kept[5] or '', kept[6] and 1 or 0, kept[7] and 1 or 0 }
end

for _, member in ipairs(members) do
  if bytes_left <= 0 then break end
  claim(member)
end
local following = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if following[2] then
  answer[3] = tonumber(following[2])
  -- More is due than this worker took: wake the next one.
  if answer[3] <= now and redis.call('LLEN', prefix .. 'wake') == 0 then
    redis.call('LPUSH', prefix .. 'wake', 1)
  end
end
return answer
