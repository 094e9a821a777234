#!lua
-- Record how a test delivery was answered, if its proof began on this server and has not ended.
--
-- KEYS     the record of the proof
-- ARGV     the case, its outcome as JSON
-- Answers  the number of deliveries of this case; 0 if the proof did not begin on this server
local MAX_FIELDS = 100
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HLEN', KEYS[1]) > MAX_FIELDS then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HINCRBY', KEYS[1], ARGV[1] .. ':times', 1)
