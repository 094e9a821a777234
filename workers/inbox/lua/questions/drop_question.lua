#!lua flags=allow-oom
-- Forget a question that was not asked, if nobody else has saved it since it was read, or was given its id.
--
-- ARGV     id, the revision that was read
-- Answers  'queue' or 'refuse', as those who were given its id want it, and it is kept; else ''
local id, question = ARGV[1], prefix .. 'question:' .. ARGV[1]
local fields = redis.call('HMGET', question, 'revision', 'joined')
if fields[1] ~= ARGV[2] then return '' end
if fields[2] then return fields[2] end
redis.call('DEL', question)
for _, index in ipairs({ 'open', 'queued', 'due' }) do redis.call('ZREM', prefix .. 'questions_' .. index, id) end
redis.call('PUBLISH', prefix .. 'questions', id .. ' 0')
return ''
