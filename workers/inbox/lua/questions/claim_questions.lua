#!lua flags=allow-oom
-- Take questions for which something is to be done: nobody else takes them before the lease ends.
--
-- ARGV     lease in milliseconds, how many at most, one id ('' for any)
-- Answers  ids: those that do not wait for calls first, then by their place in the queue
local due_questions, queued = prefix .. 'questions_due', prefix .. 'questions_queued'
local places = {}
if ARGV[3] == '' then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due_questions, '-inf', now, 'LIMIT', 0, 5000)) do
    places[#places + 1] = { id = id, place = tonumber(redis.call('ZSCORE', queued, id) or -1) }
  end
  table.sort(places, function(one, other) return one.place < other.place end)
else
  local score = redis.call('ZSCORE', due_questions, ARGV[3])
  if score and tonumber(score) <= now then places[1] = { id = ARGV[3], place = -1 } end
end
local taken = {}
for i = 1, math.min(#places, tonumber(ARGV[2])) do
  taken[i] = places[i].id
  redis.call('ZADD', due_questions, now + tonumber(ARGV[1]), places[i].id)
end
return taken
