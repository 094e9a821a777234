#!lua flags=allow-oom
-- One slice of a resume: effects that were held because their handler was missing or paused, and effects that wait for a
-- slot of a capped handler, become due again; only as many as there is room for, so that new work need not wait behind
-- them. Whatever else keeps an effect from running is checked when it is claimed.
--
-- ARGV     how many items may be due now, these included; a cursor, 0 at first; then (handler, how many of it may
--          run at once or 0 for any number) pairs
-- Answers  {how many became due, the cursor of the next slice, 1 if there is no more}
local room = tonumber(ARGV[1]) - redis.call('ZCOUNT', due, '-inf', now)
-- Members of `held` that one slice reads: an iteration meets each member that stays, whatever else is added or removed.
local SLICE = 200
if redis.call('SISMEMBER', prefix .. 'paused', '*') == 1 then return { 0, 0, 1 } end

local caps, resumed = {}, 0
for i = 3, #ARGV, 2 do
  if redis.call('SISMEMBER', prefix .. 'paused', ARGV[i]) == 0 then caps[ARGV[i]] = tonumber(ARGV[i + 1]) end
end

local function resume(where, member)
  local handler, key = split(member)
  redis.call('ZREM', where, member)
  redis.call('ZADD', due, now, member)
  redis.call('HSET', prefix .. 'event:' .. key, handler .. ':state', 'due')
  room, resumed = room - 1, resumed + 1
end

-- Answers the cursor of the next slice (the same one if room ran out), and whether it was the last.
local function resume_held(cursor)
  local page = redis.call('ZSCAN', prefix .. 'held', cursor, 'COUNT', SLICE)
  for i = 1, #page[2], 2 do
    local member = page[2][i]
    if caps[(split(member))] then
      if room <= 0 then return cursor, false end
      resume(prefix .. 'held', member)
    end
  end
  return page[1], page[1] == '0'
end

-- Answers whether no effect is left that could run now.
local function resume_waiting(handler, cap)
  local waiting, free = prefix .. 'waiting:' .. handler, room
  if cap > 0 then free = math.min(room, cap - tonumber(redis.call('HGET', prefix .. 'running', handler) or 0)) end
  if free > 0 then
    for _, member in ipairs(redis.call('ZRANGE', waiting, 0, free - 1)) do resume(waiting, member) end
  end
  return cap > 0 or redis.call('EXISTS', waiting) == 0
end

local cursor, is_over = ARGV[2], false
if room > 0 then
  cursor, is_over = resume_held(cursor)
  for handler, cap in pairs(caps) do is_over = resume_waiting(handler, cap) and is_over end
end
if resumed > 0 then wake_drain() end
return { resumed, tonumber(cursor), is_over and 1 or 0 }
