-- Agreement: whether two outcomes of one request are the same answer. Included in every script behind details.lua.
--
-- The fingerprint of an answer (hitlsh/webhooks/responses.py) is the digest of its value, or `<value>/<label>` where
-- its form has two spellings, or `[item,item]` for a list. One form has the value of an option, another its label: the
-- question's options say which of them are one answer. Until they are known, two answers are one if they have a spelling
-- in common. A fingerprint that begins with `form:` can be compared with its own form alone.
--
-- A digest is that of the snake_case form. If the text has signs that this form omits, `-` and the digest of the text
-- follow: HITL.sh sends an option as it was asked or in snake_case, so texts with different signs are two answers.

-- For each option of the question, the digests of its value and of its other spellings; nil if not known.
local function known_spellings(request_id)
  for _, source in ipairs(DETAIL_SOURCES) do
    local details = redis.call('HGET', prefix .. 'request:' .. request_id, 'details:' .. source)
    local spellings = details and string.find(details, '"spellings"', 1, true) and cjson.decode(details).spellings
    if spellings then return spellings end
  end
end

-- The items of an answer, each a list of its spellings.
local function items_of(fingerprint)
  local items = {}
  for item in string.gmatch(string.gsub(fingerprint, '[%[%]]', ''), '[^,]+') do
    local spellings_of_item = {}
    for digest in string.gmatch(item, '[^/]+') do spellings_of_item[#spellings_of_item + 1] = digest end
    items[#items + 1] = spellings_of_item
  end
  return items
end

-- Whether two digests are of the same spelling; one without a text matches each text of its form.
local function is_same(digest, other)
  if digest == other then return true end
  local form, text = string.match(digest, '^(%x+)%-?(%x*)$')
  local other_form, other_text = string.match(other, '^(%x+)%-?(%x*)$')
  return form == other_form and (text == '' or other_text == '')
end

local function has(spellings_of_item, digest)
  for _, each in ipairs(spellings_of_item) do
    if is_same(each, digest) then return true end
  end
  return false
end

-- The number of the option that an item names: by its value and label, its value, or another spelling.
local function option_of(item, spellings)
  local tests = {
    function(option) return option[1] == item[1] end,
    function(option) return item[2] and is_same(option[1], item[1]) and has(option, item[2]) end,
    function(option) return is_same(option[1], item[1]) end,
    function(option) return has(option, item[1]) end,
  }
  for _, matches in ipairs(tests) do
    local number, count = nil, 0
    for index, option in ipairs(spellings) do
      if matches(option) then number, count = index, count + 1 end
    end
    if count == 1 then return number end
  end
end

-- The numbers of the options that an answer names, as text; nil if it names anything else.
local function options_of(items, spellings)
  local numbers = {}
  for index, item in ipairs(items) do
    numbers[index] = option_of(item, spellings)
    if not numbers[index] then return nil end
  end
  table.sort(numbers)
  return table.concat(numbers, ',')
end

local function share_spellings(items, others)
  if #items ~= #others then return false end
  local taken = {}
  for _, item in ipairs(items) do
    local match
    for index, other in ipairs(others) do
      if not taken[index] and not match and (has(other, item[1]) or (item[2] and has(other, item[2]))) then match = index end
    end
    if not match then return false end
    taken[match] = true
  end
  return true
end

-- Whether two answers differ; `spellings` as `known_spellings` returns them.
local function answers_differ(fingerprint, other, spellings)
  if fingerprint == other then return false end
  if string.sub(fingerprint, 1, 5) == 'form:' or string.sub(other, 1, 5) == 'form:' then return false end
  local items, others = items_of(fingerprint), items_of(other)
  if spellings then
    local chosen, other_chosen = options_of(items, spellings), options_of(others, spellings)
    if chosen or other_chosen then return chosen ~= other_chosen end
  end
  local is_list, other_is_list = string.sub(fingerprint, 1, 1) == '[', string.sub(other, 1, 1) == '['
  return is_list ~= other_is_list or not share_spellings(items, others)
end

-- Whether two outcomes of the request differ.
local function disagree(request_id, outcome, fingerprint, other_outcome, other_fingerprint)
  if outcome ~= other_outcome then return true end
  if not fingerprint or not other_fingerprint or fingerprint == other_fingerprint then return false end
  return answers_differ(fingerprint, other_fingerprint, known_spellings(request_id))
end
