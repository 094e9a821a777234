-- Details of a request: what was asked in it, as far as it is known. Included in every script, after request_turns.lua.
--
-- A request's record has them as JSON by source (`details:asked`, `details:api`, `details:event`, `details:listing`),
-- beside its own callback URL (`callback`), its loop (`loop_id`, `loop_name`), the trace in which it was asked
-- (`traceparent`) and `details_unavailable`, when HITL.sh's API was asked and does not show the request.
-- `details_version` counts the changes.
--
-- Details never change for an effect that has begun: the event's record has a copy for each version that an effect
-- began with (`details:<version>`), and the effect the number of it (`<handler>:details`).
local DETAIL_SOURCES = { 'asked', 'api', 'event', 'listing' }

local function count_change(request_id)
  redis.call('HINCRBY', prefix .. 'request:' .. request_id, 'details_version', 1)
end

-- Whether HITL.sh's API was asked for the details: no more will become known.
local function was_read(request_id)
  local fields = redis.call('HMGET', prefix .. 'request:' .. request_id, 'details:api', 'details_unavailable')
  return fields[1] or fields[2]
end

-- Copy the latest known name of its loop to the request.
local function name_loop(request_id)
  local request = prefix .. 'request:' .. request_id
  local fields = redis.call('HMGET', request, 'loop_id', 'loop_name')
  local name = fields[1] and redis.call('HGET', prefix .. 'loop_names', fields[1])
  if not name or name == fields[2] then return end
  redis.call('HSET', request, 'loop_name', name)
  count_change(request_id)
end

-- Save the loop id of a request, and the name of the loop (JSON, '' if unknown), from verified evidence.
local function keep_loop(request_id, loop_id, loop_name)
  if loop_id == '' then return end
  if loop_name ~= '' then redis.call('HSET', prefix .. 'loop_names', loop_id, loop_name) end
  redis.call('HSET', prefix .. 'request:' .. request_id, 'loop_id', loop_id)
end

-- The version of the details, and all details as one JSON object; nil if none are known.
local function known_details(request_id)
  local request = prefix .. 'request:' .. request_id
  if redis.call('HEXISTS', request, 'loop_name') == 0 then name_loop(request_id) end
  local version = redis.call('HGET', request, 'details_version')
  if not version then return nil end
  local parts = {}
  for _, source in ipairs(DETAIL_SOURCES) do
    local details = redis.call('HGET', request, 'details:' .. source)
    if details then parts[#parts + 1] = '"' .. source .. '":' .. details end
  end
  local fields = redis.call('HMGET', request, 'callback', 'loop_name', 'details_unavailable', 'traceparent')
  if fields[1] then parts[#parts + 1] = '"callback":' .. fields[1] end
  if fields[2] then parts[#parts + 1] = '"loop_name":' .. fields[2] end
  if fields[3] then parts[#parts + 1] = '"is_unavailable":true' end
  if fields[4] and #fields[4] == 55 and string.match(fields[4], '^[%x-]+$') then
    parts[#parts + 1] = '"traceparent":"' .. fields[4] .. '"'
  end
  return version, '{' .. table.concat(parts, ',') .. '}'
end

-- The details that the effect began with, or begins with now; '' if none are known.
local function details_for(handler, event, request_id, begins)
  if not request_id then return '' end
  local version = redis.call('HGET', event, handler .. ':details')
  if version and not begins then return redis.call('HGET', event, 'details:' .. version) or '' end
  local details
  version, details = known_details(request_id)
  if not version then return '' end
  redis.call('HSET', event, 'details:' .. version, details, handler .. ':details', version)
  return details
end
