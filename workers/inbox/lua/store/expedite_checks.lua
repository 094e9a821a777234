#!lua
-- Check these requests at once: deliveries that name them were refused, and may be genuine if our secret is wrong.
--
-- ARGV     request ids
-- Answers  how many of them became worth a call at once
local count = 0
for _, request_id in ipairs(ARGV) do
  -- Not requests that only callback deliveries name.
  local learned = redis.call('HGET', prefix .. 'request:' .. request_id, 'learned')
  if learned and learned ~= 'callback' and expedite_check(request_id) then count = count + 1 end
end
return count
