#!lua flags=allow-oom
-- Set when a question, or every question that waits for calls, is next due; unless it is due already.
--
-- ARGV     id, or '' for all that wait for calls and are due; milliseconds from now ('' for never)
-- Answers  nothing
local due_questions, queued = prefix .. 'questions_due', prefix .. 'questions_queued'
local id, delay = ARGV[1], tonumber(ARGV[2])
if id == '' then
  for _, each in ipairs(redis.call('ZRANGEBYSCORE', due_questions, '-inf', now)) do
    if redis.call('ZSCORE', queued, each) then redis.call('ZADD', due_questions, now + delay, each) end
  end
  return
end
-- A claim moved it ahead; if it is due again, something changed since.
local score = tonumber(redis.call('ZSCORE', due_questions, id) or now)
if score <= now then return end
if delay then redis.call('ZADD', due_questions, now + delay, id) else redis.call('ZREM', due_questions, id) end
