#!lua
-- Record how a test delivery was answered, if its proof was begun on this server and has not ended.
--
-- KEYS     the record of the proof
-- ARGV     the case, its outcome as JSON
-- Answers  how often a delivery of this case has come; 0 where the proof is not of this server
local MOST_FIELDS = 100
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HLEN', KEYS[1]) > MOST_FIELDS then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HINCRBY', KEYS[1], ARGV[1] .. ':times', 1)
