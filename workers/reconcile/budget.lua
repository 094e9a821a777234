#!lua flags=allow-oom
-- The calls of one API key: the same rules as tokens.py, in one step for all hosts.
--
-- KEYS[1]  the budget's hash
-- KEYS[2]  the inbox clock
-- ARGV     verb, now in seconds or '' for the inbox clock, per_hour, share, reserve, floor, unverified, then
--          spend, available: purpose;  observe: remaining, resets_at, limit ('' where not said)
-- Answers  spend: the seconds to wait as text, '0' when the call was taken; available: a count; observe: nothing
local HOUR, UNTOLD, FARTHEST = 3600, 60, 86400
local key, verb, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local rules = { per_hour = tonumber(ARGV[3]), share = tonumber(ARGV[4]), reserve = tonumber(ARGV[5]),
  floor = tonumber(ARGV[6]), unverified = tonumber(ARGV[7]) }
if not now then now = read_clock(KEYS[2]) / 1000000 end

-- Flags are 0 or 1; resets_at is 0 until the first call.
local names = { 'limit', 'left', 'resets_at', 'told', 'top_of_hour', 'closed_until', 'asked', 'reconciled',
  'asked_before', 'surprises', 'unverified' }
local first = { limit = rules.per_hour, left = math.max(1, math.floor(rules.per_hour / 2)) }
local kept = redis.call('HMGET', key, unpack(names))
local tokens = {}
for i, name in ipairs(names) do tokens[name] = tonumber(kept[i]) or first[name] or 0 end

-- The hour after, where this one has ended.
local function turn()
  if tokens.resets_at == 0 or now < tokens.resets_at + 1 then return end
  local hours = math.floor((now - tokens.resets_at) / HOUR)
  tokens.left = tokens.told == 1 and tokens.limit or math.max(1, math.floor(tokens.limit / 2))
  tokens.resets_at = tokens.top_of_hour == 1 and tokens.resets_at + (hours + 1) * HOUR or 0
  tokens.asked_before = hours < 1 and tokens.asked or 0
  tokens.asked, tokens.reconciled, tokens.unverified = 0, 0, 0
end

local function unverified_left()
  return math.max(0, math.ceil(rules.unverified * tokens.limit) - tokens.unverified)
end

local function available(purpose)
  if now < tokens.closed_until then return 0 end
  if purpose == 'asking' then return tokens.left end
  local reserve = math.max(0, math.ceil(rules.reserve * tokens.limit) - tokens.asked)
  if purpose == 'overdue' then return math.max(0, tokens.left - math.ceil(reserve / 2)) end
  local rest = tokens.resets_at == 0 and HOUR or math.max(0, math.min(HOUR, tokens.resets_at - now))
  local expected = math.ceil(tokens.asked_before * rest / HOUR)
  local floor = math.ceil(rules.floor * tokens.limit) - tokens.reconciled
  local held = math.max(reserve, math.min(expected, tokens.left - floor))
  local routine = math.max(0, math.min(math.floor(rules.share * tokens.limit) - tokens.reconciled, tokens.left - held))
  return purpose == 'unverified' and math.min(routine, unverified_left()) or routine
end

local function spend(purpose)
  if tokens.resets_at == 0 then tokens.resets_at = now + HOUR end
  if available(purpose) >= 1 then
    local payer = purpose == 'asking' and 'asked' or 'reconciled'
    tokens.left, tokens[payer] = tokens.left - 1, tokens[payer] + 1
    if purpose == 'unverified' then tokens.unverified = tokens.unverified + 1 end
    return 0
  end
  local until_reset = tokens.resets_at + 1 - now
  if purpose == 'unverified' and unverified_left() < 1 then return until_reset end
  if now < tokens.closed_until then return tokens.closed_until - now end
  return tokens.left < 1 and until_reset or math.min(until_reset, UNTOLD)
end

local function observe(remaining, resets_at, limit)
  if limit and limit > 0 then
    local gained = tokens.told == 1 and limit - tokens.limit or math.floor(limit / 2) - math.floor(tokens.limit / 2)
    tokens.left = math.max(0, tokens.left + gained)
    tokens.limit = limit
  end
  if not remaining then return end
  if remaining == 0 and tokens.left > 0 then tokens.surprises = tokens.surprises + 1 end
  if not resets_at or resets_at <= now or resets_at > now + FARTHEST then
    tokens.left = math.min(tokens.left, remaining)
    if remaining == 0 then tokens.closed_until = now + UNTOLD end
    return
  end
  local new = tokens.told == 0 or (tokens.resets_at > 0 and resets_at > tokens.resets_at + 1)
  local ours = new and tokens.limit - tokens.asked - tokens.reconciled or tokens.left
  tokens.left = math.max(0, math.min(ours, remaining))
  tokens.resets_at, tokens.told, tokens.top_of_hour = resets_at, 1, resets_at % HOUR == 0 and 1 or 0
end

turn()
local answer
if verb == 'available' then return available(ARGV[8]) end
if verb == 'spend' then answer = string.format('%.17g', spend(ARGV[8])) end
if verb == 'observe' then observe(tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])) end

local words = {}
for _, name in ipairs(names) do
  words[#words + 1] = name
  words[#words + 1] = string.format('%.17g', tokens[name])
end
redis.call('HSET', key, unpack(words))
-- A key that is no longer used is forgotten after two days.
redis.call('EXPIRE', key, 172800)
return answer
