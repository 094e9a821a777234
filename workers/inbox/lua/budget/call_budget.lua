#!lua flags=allow-oom
-- The calls of one API key: counted and shared out in one step for all hosts; hourly_calls.py describes the fields.
--
-- KEYS[1]  the budget's hash
-- KEYS[2]  the inbox clock
-- ARGV     verb, now in seconds or '' for the inbox clock, per_hour, share, reserve, floor, unverified, then
--          spend, available: purpose;  observe: remaining, resets_at, limit ('' where not reported)
-- Answers  spend: the seconds to wait as text, '0' when the call was taken; available: a count; observe: nothing
--
-- UNREPORTED: seconds without calls after a 429 that does not say when the hour ends. FARTHEST: seconds; a reset that
-- is further away is taken for an error of whoever reported it, since it would stop all calls until then.
local HOUR, UNREPORTED, FARTHEST = 3600, 60, 86400
local key, verb, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local rules = { per_hour = tonumber(ARGV[3]), share = tonumber(ARGV[4]), reserve = tonumber(ARGV[5]),
  floor = tonumber(ARGV[6]), unverified = tonumber(ARGV[7]) }
if not now then now = read_clock(KEYS[2]) / 1000000 end

-- Flags are 0 or 1; resets_at is 0 until the first call.
local names = { 'limit', 'left', 'resets_at', 'reported', 'top_of_hour', 'closed_until', 'asked', 'reconciled',
  'asked_before', 'overcounts', 'unverified' }
local initial = { limit = rules.per_hour, left = math.max(1, math.floor(rules.per_hour / 2)) }
local stored = redis.call('HMGET', key, unpack(names))
local calls = {}
for i, name in ipairs(names) do calls[name] = tonumber(stored[i]) or initial[name] or 0 end

-- The next hour, where the stored one has ended. One second late, so that clocks need not agree to the second.
local function begin_next_hour()
  if calls.resets_at == 0 or now < calls.resets_at + 1 then return end
  local hours = math.floor((now - calls.resets_at) / HOUR)
  calls.left = calls.reported == 1 and calls.limit or math.max(1, math.floor(calls.limit / 2))
  calls.resets_at = calls.top_of_hour == 1 and calls.resets_at + (hours + 1) * HOUR or 0
  calls.asked_before = hours < 1 and calls.asked or 0
  calls.asked, calls.reconciled, calls.unverified = 0, 0, 0
end

-- What is left of this hour's cap on calls for unverified requests.
local function unverified_left()
  return math.max(0, math.ceil(rules.unverified * calls.limit) - calls.unverified)
end

local function available(purpose)
  if now < calls.closed_until then return 0 end
  if purpose == 'asking' then return calls.left end
  local reserve = math.max(0, math.ceil(rules.reserve * calls.limit) - calls.asked)
  if purpose == 'overdue' then return math.max(0, calls.left - math.ceil(reserve / 2)) end
  -- What asking will need in the rest of the hour, if it goes on as in the hour before.
  local seconds_left = calls.resets_at == 0 and HOUR or math.max(0, math.min(HOUR, calls.resets_at - now))
  local expected = math.ceil(calls.asked_before * seconds_left / HOUR)
  local floor = math.ceil(rules.floor * calls.limit) - calls.reconciled
  local reserved = math.max(reserve, math.min(expected, calls.left - floor))
  local share = math.floor(rules.share * calls.limit) - calls.reconciled
  local routine = math.max(0, math.min(share, calls.left - reserved))
  return purpose == 'unverified' and math.min(routine, unverified_left()) or routine
end

-- Until the hour ends when nothing is left; a share may grow sooner, as the hour's asking is done.
local function spend(purpose)
  if calls.resets_at == 0 then calls.resets_at = now + HOUR end
  if available(purpose) >= 1 then
    local payer = purpose == 'asking' and 'asked' or 'reconciled'
    calls.left, calls[payer] = calls.left - 1, calls[payer] + 1
    if purpose == 'unverified' then calls.unverified = calls.unverified + 1 end
    return 0
  end
  local until_reset = calls.resets_at + 1 - now
  if purpose == 'unverified' and unverified_left() < 1 then return until_reset end
  if now < calls.closed_until then return calls.closed_until - now end
  return calls.left < 1 and until_reset or math.min(until_reset, UNREPORTED)
end

-- HITL.sh is right about its limit, about when its hour ends, and about having less left than we thought.
local function observe(remaining, resets_at, limit)
  if limit and limit > 0 then
    local gained = calls.reported == 1 and limit - calls.limit or math.floor(limit / 2) - math.floor(calls.limit / 2)
    calls.left = math.max(0, calls.left + gained)
    calls.limit = limit
  end
  if not remaining then return end
  if remaining == 0 and calls.left > 0 then calls.overcounts = calls.overcounts + 1 end
  if not resets_at or resets_at <= now or resets_at > now + FARTHEST then
    calls.left = math.min(calls.left, remaining)
    if remaining == 0 then calls.closed_until = now + UNREPORTED end
    return
  end
  -- Calls since our first one may be in flight, and belong to HITL.sh's hour or to the one before: they count.
  local is_new_hour = calls.reported == 0 or (calls.resets_at > 0 and resets_at > calls.resets_at + 1)
  local own_left = is_new_hour and calls.limit - calls.asked - calls.reconciled or calls.left
  calls.left = math.max(0, math.min(own_left, remaining))
  calls.resets_at, calls.reported, calls.top_of_hour = resets_at, 1, resets_at % HOUR == 0 and 1 or 0
end

begin_next_hour()
local answer
if verb == 'available' then return available(ARGV[8]) end
if verb == 'spend' then answer = string.format('%.17g', spend(ARGV[8])) end
if verb == 'observe' then observe(tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])) end

local fields = {}
for _, name in ipairs(names) do
  fields[#fields + 1] = name
  fields[#fields + 1] = string.format('%.17g', calls[name])
end
redis.call('HSET', key, unpack(fields))
-- The hash of a key that is no longer used expires after two days.
redis.call('EXPIRE', key, 172800)
return answer
