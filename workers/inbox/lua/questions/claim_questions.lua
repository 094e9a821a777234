#!lua flags=allow-oom
-- Claim due questions: no other process claims them before the lease ends.
--
-- ARGV     lease in milliseconds, how many at most, one id ('' for any)
-- Answers  ids: first those that do not wait for calls, then the others in queue order
local due_questions, queued = prefix .. 'questions_due', prefix .. 'questions_queued'
local candidates = {}
if ARGV[3] == '' then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due_questions, '-inf', now, 'LIMIT', 0, 5000)) do
    candidates[#candidates + 1] = { id = id, rank = tonumber(redis.call('ZSCORE', queued, id) or -1) }
  end
  table.sort(candidates, function(a, b) return a.rank < b.rank end)
else
  local score = redis.call('ZSCORE', due_questions, ARGV[3])
  if score and tonumber(score) <= now then candidates[1] = { id = ARGV[3], rank = -1 } end
end
local claimed = {}
for i = 1, math.min(#candidates, tonumber(ARGV[2])) do
  claimed[i] = candidates[i].id
  redis.call('ZADD', due_questions, now + tonumber(ARGV[1]), candidates[i].id)
end
return claimed
