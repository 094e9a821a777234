#!lua flags=no-writes
-- How many requests of one API key are open, and the oldest of them. Reads only.
--
-- ARGV     the suffix of the key's indexes
-- Answers  {open requests, requests whose delivered outcome waits for confirmation, the id of the oldest
--          open one ('' for none), when it was created (seconds as text)}
local checks, asked, awaiting, awaiting_count = prefix .. 'checks' .. ARGV[1], prefix .. 'asked' .. ARGV[1], {}, 0
for _, member in ipairs(redis.call('ZRANGE', prefix .. 'unconfirmed', 0, -1)) do
  local _, key = split(member)
  local request_id = redis.call('HGET', prefix .. 'event:' .. key, 'request')
  if request_id and not awaiting[request_id] and redis.call('ZSCORE', checks, request_id) then
    awaiting[request_id] = true
    awaiting_count = awaiting_count + 1
  end
end

-- Discovery is among the checks, and is no request.
local others = awaiting_count + (redis.call('ZSCORE', checks, '*') and 1 or 0)
local open = redis.call('ZCARD', checks) - others
for _, request_id in ipairs(redis.call('ZINTER', 2, checks, asked, 'WEIGHTS', 0, 1)) do
  if not awaiting[request_id] then
    return { open, awaiting_count, request_id, redis.call('ZSCORE', asked, request_id) }
  end
end
return { open, awaiting_count, '', '0' }
