-- Asked requests: questions that were asked through us and may wait for their answer. Included in some scripts.
--
-- `question:<id>` holds a question with its `record` (JSON, written by the asking service alone), its `revision` (for
-- compare-and-set) and its `version`, which grows with each change that a waiter can see. A request of HITL.sh that
-- belongs to a question has these fields: `question` (its id), `question_needs` (the least trust), `escalates` (another
-- loop is asked after a timeout), `superseded` (another loop has been asked), `question_seen` (what was told last).

-- Publish that the question has changed. Messages may be lost: the record is authoritative.
local function publish_question(id)
  local version = redis.call('HINCRBY', prefix .. 'question:' .. id, 'version', 1)
  redis.call('PUBLISH', prefix .. 'questions', id .. ' ' .. version)
  return version
end

-- The question has ended: it expires after the retention.
local function end_question(id)
  local question = prefix .. 'question:' .. id
  redis.call('ZREM', prefix .. 'questions_open', id)
  redis.call('ZREM', prefix .. 'questions_due', id)
  redis.call('ZREM', prefix .. 'questions_queued', id)
  if redis.call('TTL', question) == -1 then redis.call('EXPIRE', question, retention) end
end

-- Keep the outcome of a question as long as the question itself: handlers may have finished long before it ended.
local function keep_evidence(request, event)
  for _, record in ipairs({ request, event }) do redis.call('EXPIRE', record, retention, 'GT') end
end

local function reopen_question(id)
  if redis.call('PERSIST', prefix .. 'question:' .. id) == 1 then
    redis.call('ZADD', prefix .. 'questions_open', 'NX', now_seconds, id)
  end
end

-- The outcome has less trust than demanded: schedule a check of the request, as for a handler that waits.
local function demand_evidence(request_id, key, needs)
  local waiting = prefix .. 'unconfirmed:' .. request_id
  if redis.call('SISMEMBER', waiting, key) == 1 or not is_confirmable(prefix .. 'event:' .. key) then return end
  redis.call('SADD', waiting, key)
  confirm_by(request_id, needs == 'signed' and now + SIGNED_GRACE or now)
end

-- No handler runs for the timeout of a step after which another loop is asked, also not in a replay. Nothing has
-- claimed it yet.
local function withhold(request_id, key)
  local event = prefix .. 'event:' .. key
  if redis.call('HGET', event, 'state') ~= 'due' or redis.call('HEXISTS', leases, '|' .. key) == 1 then return end
  redis.call('HSET', event, 'withheld', 1)
  end_routing(event, key, request_id)
  release_turn(request_id, event, key)
end

-- The request may have changed: if it belongs to a question and a waiter can see the change, publish it.
local function update_question(request_id)
  if request_id == '' then return end
  local request = prefix .. 'request:' .. request_id
  local fields = redis.call('HMGET', request, 'question', 'question_needs', 'escalates', 'superseded', 'event', 'outcome',
    'contested', 'status', 'question_seen', 'history')
  local id, needs, escalates, superseded = fields[1], fields[2], fields[3], fields[4]
  local key, outcome, status = fields[5], fields[6], fields[8]
  if not id then return end
  local event = prefix .. 'event:' .. (key or '')
  local trust = outcome and redis.call('HGET', event, 'trust') or 'callback'
  local passes_on = escalates and outcome == 'timeout'
  if superseded and outcome == 'completed' then redis.call('HSET', event, 'late', 1) end
  if passes_on then withhold(request_id, key) end
  local is_enough = outcome and strength[trust] >= strength[needs]
  if outcome and not is_enough and not superseded then demand_evidence(request_id, key, needs) end

  local seen = table.concat({ key or '', trust, outcome or '', fields[7] or '', status == 'lost' and status or '',
    #(fields[10] or '') }, ' ')
  if seen == fields[9] or redis.call('EXISTS', prefix .. 'question:' .. id) == 0 then return end
  redis.call('HSET', request, 'question_seen', seen)
  if not superseded then
    if passes_on and is_enough then
      redis.call('ZADD', prefix .. 'questions_due', now, id)
    elseif is_enough or (status == 'lost' and not outcome) then
      end_question(id)
      keep_evidence(request, event)
    elseif not outcome then
      reopen_question(id)
    end
  end
  publish_question(id)
end
