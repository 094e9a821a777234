-- The inbox clock, in microseconds since 1970: the time that every script uses. inbox_clock.py explains it.
--
-- `clock` is a hash: the latest tick (`tick` its id, `server` and `inbox` the two clocks at that moment, `rate` the speed
-- since then) and `latest`, the latest time that any script was given.

-- Microseconds: a server that is further from the latest tick than this may have been set to another time.
local LONGEST_TICK = 2000000

local function read_clock(clock)
  local time = redis.call('TIME')
  local server = time[1] * 1000000 + time[2]
  local stored = redis.call('HMGET', clock, 'tick', 'server', 'inbox', 'rate', 'latest')
  local latest = tonumber(stored[5] or stored[3] or 0)
  local inbox, stands_still = server, false
  if stored[3] then
    local passed = server - tonumber(stored[2])
    inbox = tonumber(stored[3]) + math.floor(passed * tonumber(stored[4]))
    -- It is unknown how much time has passed: the clock stands still until the next tick.
    stands_still = stored[1] and (passed < 0 or passed > LONGEST_TICK)
    if stands_still then inbox = latest end
  end
  return math.max(inbox, latest), server, stored, stands_still
end

local function inbox_clock(clock)
  local inbox, server, _, stands_still = read_clock(clock)
  if not read_only then redis.call('HSET', clock, 'latest', inbox) end
  return inbox, server, stands_still
end
