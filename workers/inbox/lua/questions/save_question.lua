#!lua
-- Save the record of a question, unless another process has saved it since it was read, and link it with its requests of
-- HITL.sh, so that the record and the links always agree.
--
-- ARGV     retention in seconds, id, the revision that was read ('0' for a new one), record (JSON), 'open', 'ended' or
--          'asked_anew' (it had ended, and is open again), created at (seconds), queue score ('' if it does not wait
--          for calls), milliseconds until it is due ('' for never), how many may wait for calls, the least trust of its
--          outcome, when the attempt began whose request is not bound yet (seconds; '' if there is none, or no other
--          loop is asked after its timeout), the ids of the callback tokens of the current loop (blank-separated), then
--          for each of its requests the id and 'last', 'escalates' (another loop is asked after a timeout) or
--          'superseded' (another loop is asked now)
-- Answers  {1, revision, version}; {0} where another has saved it, or a request to supersede has another outcome than a
--          timeout; {-1} where too many wait for calls
retention = ARGV[1]
local id, revision, record, state = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local created, place, delay, limit, needs = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local unbound_since, token_ids = ARGV[11], ARGV[12]
local question, queued = prefix .. 'question:' .. id, prefix .. 'questions_queued'

if (redis.call('HGET', question, 'revision') or '0') ~= revision then return { 0 } end
if place ~= '' and not redis.call('ZSCORE', queued, id) and redis.call('ZCARD', queued) >= limit then return { -1 } end
local linked = {}
for i = 13, #ARGV, 2 do
  local fields = redis.call('HMGET', prefix .. 'request:' .. ARGV[i], 'first_seen', 'superseded', 'outcome')
  if ARGV[i + 1] == 'superseded' and fields[1] and not fields[2] and fields[3] ~= 'timeout' then return { 0 } end
  -- The record of an earlier step may have expired.
  if fields[1] then linked[#linked + 1] = { request_id = ARGV[i], role = ARGV[i + 1] } end
end

-- Have timeouts wait that may be of its unbound request; those that wait are examined again once it is bound (claim.lua).
local function mark_unbound()
  local unbound, held, ended = prefix .. 'questions_unbound', prefix .. 'timeouts_unbound', 0
  for token_id in string.gmatch(token_ids, '%S+') do
    if unbound_since == '' then
      ended = ended + redis.call('ZREM', unbound, token_id)
    else
      redis.call('ZADD', unbound, unbound_since, token_id)
    end
  end
  if ended == 0 then return end
  for _, member in ipairs(redis.call('SMEMBERS', held)) do
    if redis.call('HEXISTS', leases, member) == 0 then redis.call('ZADD', due, 'XX', now, member) end
  end
  redis.call('DEL', held)
  -- Tokens of questions that were deleted by hand.
  redis.call('ZREMRANGEBYSCORE', unbound, '-inf', now_seconds - TOMBSTONE)
  wake_drain()
end

redis.call('HSET', question, 'record', record)
local saved = redis.call('HINCRBY', question, 'revision', 1)
if place == '' then redis.call('ZREM', queued, id) else redis.call('ZADD', queued, place, id) end
if delay == '' then
  redis.call('ZREM', prefix .. 'questions_due', id)
else
  redis.call('ZADD', prefix .. 'questions_due', now + tonumber(delay), id)
end
if state == 'ended' then end_question(id) end
if state == 'asked_anew' then
  redis.call('PERSIST', question)
  redis.call('HDEL', question, 'joined')
end
if state == 'asked_anew' or (state == 'open' and revision == '0') then redis.call('ZADD', prefix .. 'questions_open', created, id) end
for _, link in ipairs(linked) do
  local request = prefix .. 'request:' .. link.request_id
  redis.call('HSET', request, 'question', id, 'question_needs', needs)
  if link.role ~= 'last' then redis.call('HSET', request, 'escalates', 1) end
  if link.role == 'superseded' then redis.call('HSET', request, 'superseded', 1) end
  -- Its outcome may have been delivered before.
  update_question(link.request_id)
end
mark_unbound()
return { 1, saved, publish_question(id) }
