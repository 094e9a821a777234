#!lua
-- A request was asked through us: know it from the start, with what its webhook may fail to bring.
-- Safe to repeat.
--
-- ARGV     longest life of an open request in seconds, request id, how it was learned, created_at, timeout_at
--          (seconds, '' where not known), callback (JSON, '' for none), its id, details (JSON, '' for none), loop id
-- Answers  1 if it was not known before
local life, request_id, learned, created, timeout = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local callback, callback_id, details, loop_id = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

if used_key then use_key(used_key) end
local new = know(request_id, learned, created, timeout, life)
local request = prefix .. 'request:' .. request_id
-- However else it was learned of meanwhile, asking is how it began.
redis.call('HSET', request, 'learned', learned)
if callback ~= '' then
  redis.call('HSET', request, 'callback', callback)
  count_change(request_id)
  -- Longer than our tokens are valid.
  redis.call('SET', prefix .. 'token:' .. callback_id, request_id, 'EX', 41 * 86400)
end
keep_loop(request_id, loop_id, '')
save_details(request_id, 'asked', details)
return new and 1 or 0
