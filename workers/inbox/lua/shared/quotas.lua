-- Quotas, so that one callback URL or a flood of unreadable bodies cannot fill the server. Included in the scripts that
-- store, discard or re-read records.
--
-- `quota:<callback id>`        hash: what was kept from a callback URL that is bound to one request
-- `quota:<callback id>:<day>`  the same of one that may speak for many requests, for each day since 1970
-- `quarantine_bytes`           hash: bytes of the bodies in quarantine, `callback` and `verified` (signed or confirmed)
local MEBIBYTE = 1048576
-- A request needs few deliveries. A URL used for many requests gets as many as an API key may ask in a day.
local BOUND = { events = 40, bytes = MEBIBYTE / 4 }
local SHARED_BY_DAY = { events = 2400, bytes = 8 * MEBIBYTE }
local UNREADABLE = MEBIBYTE / 16
local QUARANTINE_BYTES = { callback = 4 * MEBIBYTE, verified = 32 * MEBIBYTE }

local function quarantine_class(trust) return trust == 'callback' and 'callback' or 'verified' end

-- The delivery is only counted. An outcome of an open tracked request is not lost: its check is expedited.
local function refuse_for_good(delivery)
  if delivery.outcome ~= '' then expedite_check(delivery.request) end
  return 'over_quota'
end

-- Nil if the record may be stored; then it is counted. A URL may exceed its quota by one readable body, so that a single
-- large answer is stored. Else 'over_quota' (a later delivery is refused too) or 'busy' (a later one may be stored).
local function over_quota(delivery, record)
  if ARGV[4] == 'unlimited' then return nil end -- a person replays it
  local size, unreadable = #delivery.body, delivery.kind ~= 'event'
  local class = quarantine_class(delivery.trust)
  local quarantined = prefix .. 'quarantine_bytes'
  if unreadable and tonumber(redis.call('HGET', quarantined, class) or 0) + size > QUARANTINE_BYTES[class] then
    return 'over_quota'
  end
  if delivery.trust == 'callback' and delivery.callback_id ~= '' then
    local is_own = record.callback and string.find(record.callback, delivery.callback_id, 1, true)
    local is_bound = is_own or redis.call('EXISTS', prefix .. 'token:' .. delivery.callback_id) == 1
    local quota = prefix .. 'quota:' .. delivery.callback_id .. (is_bound and '' or ':' .. math.floor(now_seconds / 86400))
    local limits = is_bound and BOUND or SHARED_BY_DAY
    local used = redis.call('HMGET', quota, 'events', 'bytes', 'unreadable')
    if unreadable and tonumber(used[3] or 0) + size > UNREADABLE then return 'over_quota' end
    if tonumber(used[1] or 0) >= limits.events or tonumber(used[2] or 0) >= limits.bytes then
      return is_bound and refuse_for_good(delivery) or 'busy'
    end
    if unreadable then redis.call('HINCRBY', quota, 'unreadable', size) end
    redis.call('HINCRBY', quota, 'events', 1)
    redis.call('HINCRBY', quota, 'bytes', size)
    redis.call('EXPIRE', quota, is_bound and TOMBSTONE or 2 * 86400)
  end
  if unreadable then redis.call('HINCRBY', quarantined, class, size) end
  return nil
end

-- Remove a record from quarantine, and its bytes from the count. Answers whether it was there.
local function leave_quarantine(event, key)
  if redis.call('ZREM', prefix .. 'quarantine', key) == 0 then return false end
  local trust = redis.call('HGET', event, 'trust')
  local class = quarantine_class(trust)
  if redis.call('HINCRBY', prefix .. 'quarantine_bytes', class, -redis.call('HSTRLEN', event, trust .. ':body')) <= 0 then
    redis.call('HDEL', prefix .. 'quarantine_bytes', class)
  end
  return true
end
