#!lua flags=no-writes
-- The inbox clock, and what it is computed from. Reads only.
--
-- Answers  {the inbox clock, the server's clock, id of the latest tick ('' for none), the server's clock and the
--          inbox clock at that tick, the speed since then}; clocks in microseconds since 1970, all as text
local inbox, server, kept = read_clock(prefix .. 'clock')
local function text(number) return string.format('%.0f', number) end
return { text(inbox), text(server), kept[1] or '', kept[2] or text(server), kept[3] or text(inbox), kept[4] or '1' }
