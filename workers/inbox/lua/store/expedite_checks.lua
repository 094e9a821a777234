#!lua
-- Deliveries that name these requests were refused; they may be genuine, and our secret wrong: check them at once.
--
-- ARGV     request ids
-- Answers  how many of them became worth a call at once
local count = 0
for _, request_id in ipairs(ARGV) do
  -- Not what only deliveries by callback URL name.
  local learned = redis.call('HGET', prefix .. 'request:' .. request_id, 'learned')
  if learned and learned ~= 'callback' and expedite_check(request_id) then count = count + 1 end
end
return count
