#!lua
-- Deliveries that name these requests were refused: perhaps they were genuine, and ours is the wrong secret.
--
-- ARGV     request ids
-- Answers  how many of them became worth a call at once
local PAUSE = 300 -- seconds between two calls that strangers may cause for one request

local found = 0
for _, request_id in ipairs(ARGV) do
  local request = prefix .. 'request:' .. request_id
  local known = redis.call('HMGET', request, 'learned', 'outcome', 'checked_at', 'refused')
  local rested = not known[3] or now_seconds - tonumber(known[3]) > PAUSE
  -- What only a callback URL speaks of is worth no more for that.
  if known[1] and known[1] ~= 'callback' and not known[2] and not known[4] and rested then
    redis.call('HSET', request, 'refused', now_text)
    redis.call('ZADD', checks_of(request_id), now, request_id)
    found = found + 1
  end
end
return found
