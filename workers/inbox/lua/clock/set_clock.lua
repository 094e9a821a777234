#!lua flags=allow-oom
-- Set the inbox clock: a compare-and-set on its latest tick. Safe to repeat.
--
-- A jump of the clock moves leases and the presence of drains by the same amount, so that their holders have as long to
-- renew them as before.
--
-- ARGV     id of the latest tick that the caller knows ('' for none), id of the new one, the server's clock and the
--          inbox clock at the new one (microseconds since 1970), the speed from then on
-- Answers  1; 0 if another process has set the clock meanwhile, or if this call is late: others would take the tick
--          for one that was measured now
local clock = prefix .. 'clock'
-- Microseconds.
local LATE = 500000
-- Milliseconds: reconcile runs are held off for no longer at a time.
local LONGEST_HOLD = 60000
local tick = redis.call('HGET', clock, 'tick') or ''
if tick == ARGV[2] then return 1 end
if tick ~= ARGV[1] then return 0 end
local _, server = read_clock(clock)
if server < tonumber(ARGV[3]) or server - tonumber(ARGV[3]) > LATE then return 0 end
redis.call('HSET', clock, 'tick', ARGV[2], 'server', ARGV[3], 'inbox', ARGV[4], 'rate', ARGV[5])
-- The server expires this key by its own clock: set back by an hour, it would keep it for an hour.
if redis.call('PTTL', prefix .. 'reconcile_lease') > LONGEST_HOLD then redis.call('PEXPIRE', prefix .. 'reconcile_lease', LONGEST_HOLD) end
local moved = math.floor((inbox_clock(clock) - micros) / 1000)
if moved > 0 then
  for _, member in ipairs(redis.call('HKEYS', leases)) do redis.call('ZADD', due, 'XX', 'INCR', moved, member) end
  for _, drain in ipairs(redis.call('ZRANGE', prefix .. 'drains', 0, -1)) do
    redis.call('ZINCRBY', prefix .. 'drains', moved, drain)
  end
end
return 1
