#!lua flags=allow-oom
-- Record that a process is running. The key expires by the server's clock: without processes the inbox clock stands still.
--
-- ARGV     kind of the process (`clock`, `web`), milliseconds until the record expires
-- Answers  1
redis.call('SET', prefix .. 'present:' .. ARGV[1], 1, 'PX', ARGV[2])
redis.call('HSET', prefix .. 'latest', ARGV[1], now)
return 1
