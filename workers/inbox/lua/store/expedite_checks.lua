#!lua
-- Deliveries that name these requests were refused: perhaps they were genuine, and ours is the wrong secret.
--
-- ARGV     request ids
-- Answers  how many of them became worth a call at once
local found = 0
for _, request_id in ipairs(ARGV) do
  -- What only a callback URL speaks of is worth no more for that.
  local learned = redis.call('HGET', prefix .. 'request:' .. request_id, 'learned')
  if learned and learned ~= 'callback' and ask_soon(request_id) then found = found + 1 end
end
return found
