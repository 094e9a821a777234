#!lua flags=no-writes
-- The inbox clock, and what it is computed from. Reads only.
--
-- Answers  {the inbox clock, the server's clock, id of the latest tick ('' for none), the server's clock and the
--          inbox clock at that tick, the speed since then}; clocks in microseconds since 1970, all as text
local inbox, server, stored = read_clock(prefix .. 'clock')
local function text(number) return string.format('%.0f', number) end
return { text(inbox), text(server), stored[1] or '', stored[2] or text(server), stored[3] or text(inbox), stored[4] or '1' }
