#!lua flags=allow-oom
-- Replace the record of alarms: a compare-and-set, so that one of several senders proceeds.
--
-- ARGV     the record as it was read ('' for none), the new one
-- Answers  1, or 0 if another process has replaced it meanwhile
local record = prefix .. 'alarms'
if (redis.call('GET', record) or '') ~= ARGV[1] then return 0 end
redis.call('SET', record, ARGV[2])
return 1
