-- Add a worker's counts to those of its group; answer with all that are kept of the group.
--
-- KEYS[1]  hash of the group: e:<endpoint> → time, then bucket and count by turns; w:<worker> → number and time of its
--          last batch; born → the time when the hash was made. The keys of minutes begin as it does
-- ARGV     worker, number (0: a mere reading);
--          how many endpoints have counts, then endpoint and counts (bucket and count by turns) by turns;
--          how many have minutes, then endpoint and minutes by turns;
--          then those whose days are wanted
-- Answers  {now, born, {endpoint, e:<endpoint>, …}, {endpoint, day, …}}
--
-- Before this text stand the table K of constants, and Minutes.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local worker, number, counted = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local timed_at = 4 + 2 * counted
local timed = tonumber(ARGV[timed_at])
local this = math.floor(now / K.MINUTE_S)
local records, last, born = {}, 0, false

-- Adds to `counts` those that stand in `packed` from byte `first` on, each times `factor`, but for negligible ones.
local function add(counts, packed, first, factor)
    local length = math.floor((#packed - first + 1) / 9)
    local values = {struct.unpack('<' .. string.rep('Bd', length), packed, first)}
    for i = 1, 2 * length, 2 do
        local bucket, count = values[i], values[i + 1] * factor
        if count >= K.NEGLIGIBLE then counts[bucket] = (counts[bucket] or 0) + count end
    end
end

local function take(endpoint, news)
    local at, counts = now, {}
    local known = records[endpoint]
    if known then
        at = struct.unpack('<d', known)
        add(counts, known, 9, 2 ^ (-math.max(0, now - at) / K.HALF_LIFE_S))
    end
    add(counts, news, 1, 1)
    local values, length = {}, 0
    for bucket, count in pairs(counts) do
        values[length + 1], values[length + 2] = bucket, count
        length = length + 2
    end
    records[endpoint] = struct.pack('<d' .. string.rep('Bd', length / 2), math.max(at, now), unpack(values))
    redis.call('HSET', KEYS[1], 'e:' .. endpoint, records[endpoint])
end

local function keep(field, at, seconds)
    if now - at <= seconds then return true end
    redis.call('HDEL', KEYS[1], field)
    return false
end

local function minutes_of(endpoint) return KEYS[1]:sub(1, -12) .. 'minutes:' .. endpoint end

local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    local kind, name, value = fields[i]:sub(1, 2), fields[i]:sub(3), fields[i + 1]
    if kind == 'e:' then
        if keep(fields[i], struct.unpack('<d', value), K.FORGET_S) then records[name] = value end
    elseif kind == 'w:' then
        local seen, at = struct.unpack('<dd', value)
        if keep(fields[i], at, K.WORKER_S) and name == worker then last = seen end
    else
        born = value
    end
end

if number > 0 then
    if not born then
        born = string.format('%.6f', now)
        redis.call('HSET', KEYS[1], 'born', born)
    end
    if number > last then
        for i = 4, timed_at - 1, 2 do take(ARGV[i], ARGV[i + 1]) end
        for i = timed_at + 1, timed_at + 2 * timed, 2 do Minutes.add(minutes_of(ARGV[i]), ARGV[i + 1], this) end
    end
    redis.call('HSET', KEYS[1], 'w:' .. worker, struct.pack('<dd', math.max(number, last), now))
    redis.call('EXPIRE', KEYS[1], K.TTL_S)
end

local found = {}
for endpoint, record in pairs(records) do
    found[#found + 1] = endpoint
    found[#found + 1] = record
end
local days = {}
for i = timed_at + 2 * timed + 1, #ARGV do
    local day = Minutes.day(minutes_of(ARGV[i]))
    if day ~= '' then
        days[#days + 1] = ARGV[i]
        days[#days + 1] = day
    end
end
return {string.format('%.6f', now), born or '', found, days}
