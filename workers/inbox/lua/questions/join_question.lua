#!lua flags=allow-oom
-- Somebody submits a question whose first request is not created yet, and is given its id: it is not forgotten any more.
--
-- ARGV     id; 'queue' or 'refuse': what is to be done with it if calls are used up
-- Answers  1; 0 where it has been forgotten
local question = prefix .. 'question:' .. ARGV[1]
if redis.call('HEXISTS', question, 'revision') == 0 then return 0 end
if redis.call('HGET', question, 'joined') ~= 'queue' then redis.call('HSET', question, 'joined', ARGV[2]) end
return 1
