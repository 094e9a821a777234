#!lua
-- Track a request that was asked through us, with the details that its webhooks may lack. Safe to repeat.
--
-- ARGV     retention in seconds, longest life of an open request in seconds, request id, how we came to know of it,
--          created_at, timeout_at (seconds, '' where not known), callback (JSON, '' for none), its id, details (JSON, '' for
--          none), loop id, `traceparent` of the trace that asked ('' for none)
-- Answers  1 if it is new
retention = ARGV[1]
local life, request_id, learned, created, timeout = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local callback, callback_id, details, loop_id, traceparent = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]

if used_key then register_key(used_key) end
local new = track(request_id, learned, created, timeout, life)
local request = prefix .. 'request:' .. request_id
-- A delivery may have tracked it already; it was asked through us all the same.
redis.call('HSET', request, 'learned', learned)
if callback ~= '' then
  redis.call('HSET', request, 'callback', callback)
  count_change(request_id)
  -- Longer than our tokens are valid.
  redis.call('SET', prefix .. 'token:' .. callback_id, request_id, 'EX', 41 * 86400)
end
if traceparent ~= '' then redis.call('HSET', request, 'traceparent', traceparent) end
keep_loop(request_id, loop_id, '')
save_details(request_id, 'asked', details)
return new and 1 or 0
