#!lua flags=allow-oom
-- Say that a process is there. The server's own expiry counts: where all processes are gone, the inbox clock stands still.
--
-- ARGV     what it is (`clock`, `web`), milliseconds that this holds
-- Answers  1
redis.call('SET', prefix .. 'present:' .. ARGV[1], 1, 'PX', ARGV[2])
redis.call('HSET', prefix .. 'latest', ARGV[1], now)
return 1
