#!lua flags=allow-oom
-- The server is nearly full: remove parts of records that no work needs. Safe to repeat.
--
-- ARGV     'tracebacks' (of every event; the last line of the last error stays) or 'bodies' (of finished events
--          only; the record says that its body was dropped), then event keys
-- Answers  how many records became smaller
local LONGEST_REASON = 300
local shrunk = 0

local function last_line(text)
  return string.sub(string.match(text, '([^\n]*)%s*$'), 1, LONGEST_REASON)
end

local function drop_tracebacks(event)
  local dropped, changed = {}, {}
  for _, name in ipairs(redis.call('HKEYS', event)) do
    if string.find(name, ':attempt:%d+$') then
      dropped[#dropped + 1] = name
    elseif string.find(name, ':error$') and redis.call('HSTRLEN', event, name) > LONGEST_REASON then
      changed[#changed + 1] = name
      changed[#changed + 1] = last_line(redis.call('HGET', event, name))
    end
  end
  if #dropped > 0 then redis.call('HDEL', event, unpack(dropped)) end
  if #changed > 0 then redis.call('HSET', event, unpack(changed)) end
  return #dropped + #changed > 0
end

-- Empty the fields `<level>:body`; they stay, because readers expect them.
local function drop_bodies(event)
  if redis.call('HEXISTS', event, 'finished_at') == 0 then return false end
  local changed = {}
  for _, name in ipairs(redis.call('HKEYS', event)) do
    if string.find(name, 'body$') and redis.call('HSTRLEN', event, name) > 0 then
      changed[#changed + 1] = name
      changed[#changed + 1] = ''
    end
  end
  if #changed == 0 then return false end
  redis.call('HSET', event, 'body_dropped', now_text, unpack(changed))
  return true
end

local drop = ARGV[1] == 'tracebacks' and drop_tracebacks or drop_bodies
for i = 2, #ARGV do
  if drop(prefix .. 'event:' .. ARGV[i]) then shrunk = shrunk + 1 end
end
return shrunk
