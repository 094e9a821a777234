#!lua flags=allow-oom
-- Link a tracked request to a question. Safe to repeat.
--
-- ARGV     retention in seconds, id of the question, request id, the least trust of its outcome, '1' if another loop
--          is asked after its timeout, '1' if another loop is asked now
-- Answers  nothing
retention = ARGV[1]
local id, request_id, needs = ARGV[2], ARGV[3], ARGV[4]
local request = prefix .. 'request:' .. request_id
redis.call('HSET', request, 'question', id, 'question_needs', needs)
if ARGV[5] == '1' then redis.call('HSET', request, 'escalates', 1) end
if ARGV[6] == '1' then redis.call('HSET', request, 'superseded', 1) end
-- Its outcome may have been delivered before.
update_question(request_id)
