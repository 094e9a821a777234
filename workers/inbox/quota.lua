-- Quotas, in the scripts that keep, discard or re-read records: one callback URL or a flood of unreadable bodies
-- must not fill the server. Beyond a quota only the fact is kept, as a counter.
--
-- `quota:<callback id>`  hash: `events` and `bytes` kept from one callback URL; expires after the URL does
-- `quarantine_bytes`     hash: bytes of the bodies in quarantine, `callback` and `verified` (signed or confirmed)
local TOKEN_EVENTS, TOKEN_BYTES, TOKEN_UNREADABLE_BYTES = 40, 256 * 1024, 64 * 1024
local QUARANTINE_BYTES = { callback = 4 * 1024 * 1024, verified = 32 * 1024 * 1024 }
local TOKEN_LIFE = 41 * 86400 -- seconds; a callback URL is accepted for 40 days

local function quarantine_class(trust) return trust == 'callback' and 'callback' or 'verified' end

-- Whether a new record may be kept; counts it if so. A URL may pass its quota by one readable body, so that a single
-- large answer is kept.
local function within_quota(said)
  if ARGV[4] == 'unlimited' then return true end -- a person replays it
  local size, unreadable = #said.body, said.kind ~= 'event'
  local class = quarantine_class(said.trust)
  local quarantined = prefix .. 'quarantine_bytes'
  if unreadable and tonumber(redis.call('HGET', quarantined, class) or 0) + size > QUARANTINE_BYTES[class] then
    return false
  end
  if said.trust == 'callback' and said.callback_id ~= '' then
    local quota = prefix .. 'quota:' .. said.callback_id
    local used = redis.call('HMGET', quota, 'events', 'bytes', 'unreadable_bytes')
    if tonumber(used[1] or 0) >= TOKEN_EVENTS or tonumber(used[2] or 0) >= TOKEN_BYTES then return false end
    if unreadable then
      if tonumber(used[3] or 0) + size > TOKEN_UNREADABLE_BYTES then return false end
      redis.call('HINCRBY', quota, 'unreadable_bytes', size)
    end
    redis.call('HINCRBY', quota, 'events', 1)
    redis.call('HINCRBY', quota, 'bytes', size)
    redis.call('EXPIRE', quota, TOKEN_LIFE)
  end
  if unreadable then redis.call('HINCRBY', quarantined, class, size) end
  return true
end

-- An outcome of a tracked request that is open is not lost: HITL.sh's API is asked, once for each request.
local function refuse_over_quota(said, known)
  if said.outcome ~= '' and known.first_seen and not known.outcome
    and redis.call('HSETNX', prefix .. 'request:' .. said.request, 'refused', now_text) == 1 then
    redis.call('ZADD', checks_of(said.request), now, said.request)
  end
  return 'over_quota'
end

-- A record leaves the quarantine: its bytes count no more. Answers whether it was there.
local function leave_quarantine(event, key)
  if redis.call('ZREM', prefix .. 'quarantine', key) == 0 then return false end
  local class = quarantine_class(redis.call('HGET', event, 'trust'))
  if redis.call('HINCRBY', prefix .. 'quarantine_bytes', class, -redis.call('HSTRLEN', event, 'body')) <= 0 then
    redis.call('HDEL', prefix .. 'quarantine_bytes', class)
  end
  return true
end
