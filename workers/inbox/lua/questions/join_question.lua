#!lua flags=allow-oom
-- Keep a question whose first request is not created yet, because another submission was given its id.
--
-- ARGV     id, 'queue' or 'refuse' (how the submission wants it to be asked if no calls are left)
-- Answers  1, or 0 if it was deleted
local question = prefix .. 'question:' .. ARGV[1]
if redis.call('HEXISTS', question, 'revision') == 0 then return 0 end
if redis.call('HGET', question, 'joined') ~= 'queue' then redis.call('HSET', question, 'joined', ARGV[2]) end
return 1
