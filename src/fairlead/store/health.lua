-- Join a worker's news of one group, or end a probe; answer with what the fleet knows. health/merge.py in the store.
--
-- KEYS[1]  hash of the group: e:<endpoint> → record, w:<worker> → number and time of its last flush
-- ARGV     "merge", channel, group, worker, number, can_probe, jitter, then endpoint and increment by turns
--          "probe", channel, group, endpoint, epoch, result, jitter
-- Answers  merge: {now, workers, {endpoint, epoch, …}, {endpoint, record, …}}; probe: how many changes it made
--
-- Before this text stands the table K: the limits of health/breaker.py by their names in capitals, and the indexes of
-- health/record.py and health/sums.py, counted from 1 as they stand in a record.

local PACKED = '<' .. string.rep('d', K.HEADER_COUNT + K.SUM_COUNT)
local NEWS = '<' .. string.rep('d', K.NEWS_COUNT + K.SUM_COUNT)

local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local channel, group = ARGV[2], ARGV[3]
local records, changed, flushes = {}, {}, {}

local function publish(endpoint, kind, seconds, why, epoch)
    redis.call('PUBLISH', channel, cjson.encode({group, endpoint, kind, seconds, why, epoch}))
end

local function decay(r)
    local seconds = now - r[K.AT]
    if seconds > 0 then
        local factors = {}
        for i = 1, K.SUM_COUNT do
            local half_life = K.HALF_LIVES[i]
            local factor = factors[half_life]
            if not factor then
                factor = 2 ^ (-seconds / half_life)
                factors[half_life] = factor
            end
            r[K.HEADER_COUNT + i] = r[K.HEADER_COUNT + i] * factor
        end
    end
    r[K.AT] = now
end

local function forgive(r)
    if r[K.STATE] == K.HEALTHY and now > r[K.GOOD_AT] then
        local steps = math.floor((now - r[K.GOOD_AT]) / K.FORGIVE_S)
        r[K.LEVEL] = math.max(0, r[K.LEVEL] - steps)
        r[K.GOOD_AT] = r[K.GOOD_AT] + steps * K.FORGIVE_S
    end
end

local function eject(endpoint, r, why, jitter)
    forgive(r)
    if why ~= K.BY_PROBE or r[K.WHY] == K.NOTHING then r[K.WHY] = why end
    r[K.STATE], r[K.LAST_WHY], r[K.LAST_EJECTED_AT] = K.EJECTED, why, now
    r[K.UNTIL] = now + math.min(K.MAX_S, K.MIN_S * 2 ^ r[K.LEVEL]) * (1 + K.JITTER * jitter)
    r[K.LEVEL] = math.min(r[K.LEVEL] + 1, 16)
    r[K.EPOCH] = r[K.EPOCH] + 1
    r[K.FAILURES_IN_ROW] = 0
    publish(endpoint, 'ejected', r[K.UNTIL] - now, why, r[K.EPOCH])
end

local function deviance(expected, came)
    local surplus = 0
    if came > 0 then surplus = came * (math.log(came) - math.log(expected)) end
    return 4 * (expected - came + surplus)
end

local function usual_s(r)
    if r[K.N120] < 1 then return 0 end
    return (r[K.U120] + K.USUAL_COUNT * r[K.E120] / r[K.N120]) / (r[K.N120] + K.USUAL_COUNT)
end

local function is_slow(r, fastest)
    local usual = usual_s(r)
    if usual <= 0 or not fastest then return false end
    for _, window in ipairs({{r[K.E1], r[K.N1]}, {r[K.E5], r[K.N5]}, {r[K.E20], r[K.N20]}}) do
        local waited, came = window[1], window[2]
        local expected = waited / (K.SLOW_FACTOR * usual)
        if expected >= K.SLOW_EXPECTED and came < expected and waited > fastest * came
            and deviance(expected, came) > K.SLOW_DEVIANCE * K.VARIATION then
            return true
        end
    end
    return false
end

local function why_eject(endpoint, r, is_suspect)
    if r[K.FAILURES_IN_ROW] >= (is_suspect and K.IN_A_ROW_SUSPECT or K.IN_A_ROW) then return K.BY_ROW end
    if (r[K.A2] >= K.SHARE_ATTEMPTS_2S and r[K.F2] >= K.SHARE * r[K.A2])
        or (r[K.A20] >= K.SHARE_ATTEMPTS_20S and r[K.F20] >= K.SHARE * r[K.A20]) then
        return K.BY_SHARE
    end
    local others, healthy, slow, fastest = 0, 0, 0, nil
    for name, other in pairs(records) do
        if name ~= endpoint then
            others = others + 1
            if other[K.STATE] == K.HEALTHY then
                healthy = healthy + 1
                local usual = usual_s(other)
                if usual > 0 and (not fastest or usual < fastest) then fastest = usual end
            elseif other[K.WHY] == K.BY_SLOWNESS then
                slow = slow + 1
            end
        end
    end
    if healthy == 0 then return K.NOTHING end
    if r[K.M3] >= K.BROKEN_OFF and r[K.M3] >= K.BROKEN_OFF_SHARE * r[K.S3] then return K.BY_BREAKS end
    if 2 * (slow + 1) <= others + 1 and is_slow(r, fastest) then return K.BY_SLOWNESS end
    return K.NOTHING
end

local function learn_cap(r)
    local rate = r[K.A2] * math.log(2) / 2
    if r[K.CAP_RATE] <= 0 then
        if rate >= 1 then r[K.CAP_RATE], r[K.CAP_AT] = rate, now end
        return
    end
    local since = math.max(0, now - r[K.CAP_AT])
    local cap = r[K.CAP_RATE] * (K.CAP_START + 0.004 * since + (since / 25) ^ 3)
    if now - r[K.CAP_AT] >= 1 and rate >= 0.6 * math.min(cap, r[K.CAP_RATE]) then
        r[K.CAP_RATE], r[K.CAP_AT] = math.max(rate, math.min(cap, 0.85 * r[K.CAP_RATE])), now
    end
end

local function cool(endpoint, r, seconds, why, does_grow)
    local level = r[K.COOL_WHY] == why and r[K.COOL_LEVEL] or 0
    if does_grow then
        if now < r[K.COOL_UNTIL] and r[K.COOL_WHY] == why then return end
        seconds = seconds * math.min(2 ^ level, K.COOL_GROWTH)
        level = math.min(level + 1, 30)
    end
    if now + seconds > r[K.COOL_UNTIL] then
        r[K.COOL_UNTIL], r[K.COOL_WHY], r[K.COOL_LEVEL] = now + seconds, why, level
        publish(endpoint, 'cooling', seconds, why, r[K.EPOCH])
    end
end

local function take(endpoint, r, packed, jitter)
    local news = {struct.unpack(NEWS, packed)}
    local has_success, tail, cool_s, cool_why, does_cool_grow, limited, used_epoch, is_suspect, epoch, ejected_s =
        news[1] ~= 0, news[2], news[3], news[4], news[5] ~= 0, news[6], news[7], news[8] ~= 0, news[9], news[10]
    decay(r)
    for i = 1, K.SUM_COUNT do r[K.HEADER_COUNT + i] = r[K.HEADER_COUNT + i] + news[K.NEWS_COUNT + i] end
    r[K.FAILURES_IN_ROW] = has_success and tail or r[K.FAILURES_IN_ROW] + tail
    if has_success and now >= r[K.COOL_UNTIL] then r[K.COOL_LEVEL] = 0 end
    if epoch > r[K.EPOCH] and ejected_s > 0 and r[K.STATE] == K.HEALTHY then
        r[K.STATE], r[K.WHY], r[K.UNTIL], r[K.EPOCH] = K.EJECTED, K.BY_PROBE, now + ejected_s, epoch
    end
    if limited > 0 then learn_cap(r) end
    if cool_s > 0 then cool(endpoint, r, cool_s, cool_why, does_cool_grow) end
    if r[K.STATE] == K.PROBING and used_epoch == r[K.EPOCH] then r[K.LEASE_UNTIL] = now + K.PROBE_S end
    if r[K.STATE] == K.HEALTHY then
        forgive(r)
        local why = why_eject(endpoint, r, is_suspect)
        if why ~= K.NOTHING then eject(endpoint, r, why, jitter) end
    end
end

local function put(endpoint)
    redis.call('HSET', KEYS[1], 'e:' .. endpoint, struct.pack(PACKED, unpack(records[endpoint], 1, K.HEADER_COUNT + K.SUM_COUNT)))
end

local function put_flush(worker)
    redis.call('HSET', KEYS[1], 'w:' .. worker, struct.pack('<dd', unpack(flushes[worker])))
end

-- The clock may have gone back: `Group.follow_clock`.
local function load()
    local fields = redis.call('HGETALL', KEYS[1])
    for i = 1, #fields, 2 do
        local kind, name = fields[i]:sub(1, 2), fields[i]:sub(3)
        if kind == 'e:' then
            local r = {struct.unpack(PACKED, fields[i + 1])}
            if now - r[K.AT] > K.FORGET_S then
                redis.call('HDEL', KEYS[1], fields[i])
            else
                records[name] = r
                local back = r[K.AT] - now
                if back > 0 then
                    for _, time in ipairs(K.TIMES) do r[time] = r[time] - back end
                    put(name)
                end
            end
        else
            local number, at = struct.unpack('<dd', fields[i + 1])
            if now - at > K.FORGET_S then
                redis.call('HDEL', KEYS[1], fields[i])
            else
                flushes[name] = {number, math.min(at, now)}
                if at > now then put_flush(name) end
            end
        end
    end
end

local function save()
    for endpoint in pairs(changed) do put(endpoint) end
    redis.call('EXPIRE', KEYS[1], K.TTL_S)
end

load()

if ARGV[1] == 'probe' then
    local endpoint, epoch, result, jitter = ARGV[4], tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
    local r = records[endpoint]
    if not r or r[K.STATE] ~= K.PROBING or r[K.EPOCH] ~= epoch then return 0 end
    decay(r)
    if result == 'ok' then
        r[K.STATE], r[K.WHY], r[K.EPOCH], r[K.FAILURES_IN_ROW], r[K.GOOD_AT] = K.HEALTHY, K.NOTHING, r[K.EPOCH] + 1, 0, now
        for _, i in ipairs(K.ERRORS) do r[i] = r[i] * K.KEEP_ERRORS end
        for _, i in ipairs(K.LATENCIES) do r[i] = r[i] * K.KEEP_LATENCY end
        r[K.E120] = r[K.U120]
        publish(endpoint, 'recovered', 0, K.NOTHING, r[K.EPOCH])
    elseif result == 'failed' then
        eject(endpoint, r, K.BY_PROBE, jitter)
    else
        r[K.STATE], r[K.UNTIL], r[K.EPOCH] = K.EJECTED, now, r[K.EPOCH] + 1
        publish(endpoint, 'ejected', 0, r[K.WHY], r[K.EPOCH])
    end
    changed[endpoint] = true
    save()
    return 1
end

local worker, number, can_probe, jitter = ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1', tonumber(ARGV[7])
local last = flushes[worker] and flushes[worker][1] or 0
if number > 0 then
    flushes[worker] = {math.max(number, last), now}
    put_flush(worker)
end
if number > last then
    for i = 8, #ARGV, 2 do
        local endpoint = ARGV[i]
        if not records[endpoint] then
            local r = {}
            for j = 1, K.HEADER_COUNT + K.SUM_COUNT do r[j] = 0 end
            r[K.BORN], r[K.AT], r[K.GOOD_AT] = now, now, now
            records[endpoint] = r
        end
        take(endpoint, records[endpoint], ARGV[i + 1], jitter)
        changed[endpoint] = true
    end
end

local function is_probe_due(r)
    if now < r[K.COOL_UNTIL] then return false end
    if r[K.STATE] == K.EJECTED then return now >= r[K.UNTIL] end
    return r[K.STATE] == K.PROBING and now >= r[K.LEASE_UNTIL]
end

local granted, known = {}, {}
for endpoint, r in pairs(records) do
    if can_probe and is_probe_due(r) then
        r[K.STATE], r[K.EPOCH], r[K.LEASE_UNTIL] = K.PROBING, r[K.EPOCH] + 1, now + K.LEASE_S
        granted[#granted + 1] = endpoint
        granted[#granted + 1] = string.format('%d', r[K.EPOCH])
        publish(endpoint, 'probing', 0, r[K.WHY], r[K.EPOCH])
        changed[endpoint] = true
    end
    known[#known + 1] = endpoint
    known[#known + 1] = struct.pack(PACKED, unpack(r, 1, K.HEADER_COUNT + K.SUM_COUNT))
end
local workers = 0
for _, flush in pairs(flushes) do
    if now - flush[2] <= K.WORKER_S then workers = workers + 1 end
end
if next(changed) or number > 0 then save() end
return {string.format('%.6f', now), workers, granted, known}
