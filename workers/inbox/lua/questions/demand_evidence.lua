#!lua flags=allow-oom
-- A waiter demands more trust than the outcome has: schedule a check of its request.
--
-- ARGV     request id, the least trust
-- Answers  1 if its outcome has less
local request_id, needs = ARGV[1], ARGV[2]
local key = redis.call('HGET', prefix .. 'request:' .. request_id, 'event')
local trust = key and redis.call('HGET', prefix .. 'event:' .. key, 'trust')
if not trust or strength[trust] >= strength[needs] then return 0 end
demand_evidence(request_id, key, needs)
return 1
