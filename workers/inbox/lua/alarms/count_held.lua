#!lua flags=no-writes
-- Count held effects by handler, among the first and the last of them, because there may be very many.
--
-- ARGV     how many to read from either end
-- Answers  {handler, its effects among those read, ...}
local held, limit = prefix .. 'held', tonumber(ARGV[1])
local members = redis.call('ZRANGE', held, 0, limit - 1)
local read = {}
for _, member in ipairs(members) do read[member] = true end
for _, member in ipairs(redis.call('ZRANGE', held, -limit, -1)) do
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
