-- Proof, in every script behind shared.lua: effects that wait until HITL.sh itself confirms their event.

-- An event's request, and whether it can still be confirmed or contradicted.
local function provable(event)
  local known = redis.call('HMGET', event, 'request', 'trust', 'contradicted')
  return known[1], known[1] and known[2] ~= 'confirmed' and not known[3]
end

-- What HITL.sh itself says of an event takes the place of what was posted, all of it; but what was routed by what
-- was posted and did not wait goes on with that, for the API's reading may lack what its conditions ask for.
local function believe(event, head, body, callback)
  local posted = redis.call('HMGET', event, 'head', 'body', 'trust', 'callback', 'routed_to')
  redis.call('HSET', event, 'posted_head', posted[1], 'posted_body', posted[2], 'posted_trust', posted[3],
    'posted_callback', posted[4] or '')
  for handler in string.gmatch(posted[5] or '', '[^,]+') do
    local state = redis.call('HGET', event, handler .. ':state')
    if state and state ~= 'unproven' then redis.call('HSET', event, handler .. ':posted', 1) end
  end
  redis.call('HSET', event, 'head', head, 'body', body, 'trust', 'confirmed')
  redis.call('HDEL', event, 'callback', 'proof_head', 'proof_body', 'proof_callback')
  if callback ~= '' then redis.call('HSET', event, 'callback', callback) end
end

-- Nobody waits for proof, and what was posted stays what it is: what HITL.sh says is kept beside, should somebody want it.
local function keep_proof(event, head, body, callback)
  -- Only with the state of the request's own callback URL may it stand for what came by one.
  if callback == '' and redis.call('HEXISTS', event, 'callback') == 1 then return end
  redis.call('HSET', event, 'proof_head', head, 'proof_body', body, 'proof_callback', callback)
end

-- Somebody wants proof; answers whether it lay there.
local function take_proof(event)
  local kept = redis.call('HMGET', event, 'proof_head', 'proof_body', 'proof_callback')
  if not kept[1] then return false end
  believe(event, kept[1], kept[2], kept[3])
  return true
end

-- Milliseconds: what is confirmed without haste waits for company until the half hour is full.
local COMPANY = 1800000

-- The effect waits, and its request is worth a call: now, or with others.
local function await_proof(handler, event, key, request_id, at_leisure)
  redis.call('HSET', event, handler .. ':state', 'unproven')
  redis.call('ZADD', prefix .. 'unproven', now, handler .. '|' .. key)
  redis.call('SADD', prefix .. 'unproven:' .. request_id, key)
  local request, checks = prefix .. 'request:' .. request_id, checks_of(request_id)
  if not at_leisure then
    if redis.call('HEXISTS', request, 'doubts') == 0 then redis.call('HDEL', request, 'hold') end
    redis.call('ZADD', checks, 'LT', now, request_id)
  elseif not redis.call('ZSCORE', checks, request_id) then
    local full = (math.floor(now / COMPANY) + 1) * COMPANY
    redis.call('HSET', request, 'hold', full)
    redis.call('ZADD', checks, full, request_id)
  end
end

-- The effect waits no longer; neither does its event, unless another of its effects does.
local function forgo_proof(handler, event, key, request_id)
  if redis.call('ZREM', prefix .. 'unproven', handler .. '|' .. key) == 0 or not request_id then return end
  for other in string.gmatch(redis.call('HGET', event, 'routed_to') or '', '[^,]+') do
    if redis.call('ZSCORE', prefix .. 'unproven', other .. '|' .. key) then return end
  end
  redis.call('SREM', prefix .. 'unproven:' .. request_id, key)
  if redis.call('EXISTS', prefix .. 'unproven:' .. request_id) == 0
    and redis.call('HEXISTS', prefix .. 'request:' .. request_id, 'outcome') == 1 then
    redis.call('ZREM', checks_of(request_id), request_id) -- nobody wants to know any more
  end
end

-- Nothing of the event is open any more.
local function finish_effects(event, key, request_id, retention)
  local contradicted = redis.call('HEXISTS', event, 'contradicted') == 1
  finish(event, key, request_id, contradicted and 'contradicted' or 'done', retention)
end
