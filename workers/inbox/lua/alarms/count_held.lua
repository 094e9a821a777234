#!lua flags=no-writes
-- Count held effects by their handler: of the first and the last few, as there may be very many.
--
-- ARGV     how many to read from either end
-- Answers  {handler, how many of the effects that were read, ...}
local held, most = prefix .. 'held', tonumber(ARGV[1])
local members = redis.call('ZRANGE', held, 0, most - 1)
local read = {}
for _, member in ipairs(members) do read[member] = true end
for _, member in ipairs(redis.call('ZRANGE', held, -most, -1)) do
  if not read[member] then members[#members + 1] = member end
end
local counts, answer = {}, {}
for _, member in ipairs(members) do
  local handler = split(member)
  counts[handler] = (counts[handler] or 0) + 1
end
for handler, count in pairs(counts) do
  answer[#answer + 1] = handler
  answer[#answer + 1] = count
end
return answer
