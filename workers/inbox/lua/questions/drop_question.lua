#!lua flags=allow-oom
-- Delete a question that was not asked, unless another process has saved it, or was given its id, since it was read.
--
-- ARGV     id, the revision that was read
-- Answers  'queue' or 'refuse' if other processes were given its id: how they want it to be asked, and it is kept;
--          else ''
local id, question = ARGV[1], prefix .. 'question:' .. ARGV[1]
local fields = redis.call('HMGET', question, 'revision', 'joined')
if fields[1] ~= ARGV[2] then return '' end
if fields[2] then return fields[2] end
redis.call('DEL', question)
for _, index in ipairs({ 'open', 'queued', 'due' }) do redis.call('ZREM', prefix .. 'questions_' .. index, id) end
redis.call('PUBLISH', prefix .. 'questions', id .. ' 0')
return ''
