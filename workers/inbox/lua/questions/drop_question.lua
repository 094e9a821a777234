#!lua flags=allow-oom
-- Delete a question that was not asked, unless another process has saved it since it was read.
--
-- ARGV     id, the revision that was read
-- Answers  1 if it was deleted
local id, question = ARGV[1], prefix .. 'question:' .. ARGV[1]
if redis.call('HGET', question, 'revision') ~= ARGV[2] then return 0 end
redis.call('DEL', question)
for _, index in ipairs({ 'open', 'queued', 'due' }) do redis.call('ZREM', prefix .. 'questions_' .. index, id) end
redis.call('PUBLISH', prefix .. 'questions', id .. ' 0')
return 1
