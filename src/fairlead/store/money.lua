-- Everything that happens to money, in one step: what has been used is charged, what is under way is noted, leases are
-- drawn. fairlead/store/money.py makes the call and explains the keys.
--
-- KEYS[1]  the hash of workers; all other keys begin as it does, and so are in the same slot
-- ARGV[1]  the call, MessagePack: see `Call` in money.py
-- Answers  MessagePack: {now, is late, grants, alerts, recalled, is unknown}

local call = cmsgpack.unpack(ARGV[1])
local WORKERS = KEYS[1]
local P = WORKERS:sub(1, -8)
local LEDGER = P .. 'ledger'
local WANTED = P .. 'wanted'
local RECALL_S = 2        -- for which others are told that somebody is in want of what they have
local AWAY_S = 5          -- without any call: the store was away, or nobody had anything to say
local LEASE_S = 86400     -- until leases go that nobody tells of any more
local TOLD_S = 70 * 86400 -- until it is forgotten who was told: no window is charged to for as long
local STEP_S = 1          -- by which a clock must have gone back before that is made up for
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

local function int(n) return string.format('%.0f', n) end

-- While a cluster moves the slot to another node, each of the two has a part of the keys: this would be done by half
-- here, or begin new books there. Of a key that never is, neither node can tell then, and both refuse, before anything
-- has been done.
redis.call('EXISTS', WORKERS, P .. 'never')

-- Workers -------------------------------------------------------------------------------------------------------------

-- Of each: the number of its last call, when that came, and whether it has been buried since. Under no name: by how many
-- milliseconds the clock has ever gone back (a machine's time was set, or that of a replica is another), and since when
-- there have been calls without a break. `now` is a clock on which that does not show: what would end later by as much,
-- a rate's next unit, the time of the dead, ends as it should.
local workers, latest, since, back = {}, 0, 0, 0
local all = redis.call('HGETALL', WORKERS)
for i = 1, #all, 2 do
    local number, at, buried = all[i + 1]:match('^(%d+) (%S+)(.*)$')
    if all[i] == '' then since, back = tonumber(at), tonumber(number) / 1000 else
        workers[all[i]] = {number = tonumber(number), at = tonumber(at), is_buried = buried ~= ''}
    end
    latest = math.max(latest, tonumber(at))
end

local function note(worker, number, at, mark)
    redis.call('HSET', WORKERS, worker, string.format('%.0f %.3f%s', number, at, mark))
end

now = now + back
if latest - now > STEP_S then
    back = math.ceil((back + latest - now) * 1000) / 1000
    now = latest
    note('', back * 1000, since, '')
end

-- A call that comes late, after a later one of its worker, says what is no longer true; and its news come again.
local own = workers[call.worker]
if own and call.number <= own.number then return cmsgpack.pack({now, true, {}, {}, {}}) end

-- One that tells only what has changed says nothing to who does not know the rest: whose books have begun anew, or are
-- those of a replica that has never had the last calls, or who has given this worker's leases to others.
if call.base > 0 and (not own or own.is_buried or own.number < call.base) then
    return cmsgpack.pack({now, true, {}, {}, {}, true})
end
note(call.worker, call.number, now, '')
workers[call.worker] = {at = now}
if now - latest > AWAY_S then
    since = now
    note('', back * 1000, now, '')
end

-- Charging ------------------------------------------------------------------------------------------------------------

-- A charge is a list: see `Charge` in money.py.
local ID, KEY, DAY, WEEK, MONTH, MODEL, PROVIDER, AMOUNTS, DOUBT, IS_FREE, UPSTREAM, JSON = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
local METRICS = {'usd_nanos', 'prompt', 'completion', 'reasoning', 'cached', 'requests'}
local MANY = 1000 -- arguments of one command

local spent, rollup = {}, {}

local function add(to, name, field, amount)
    local fields = to[name]
    if not fields then
        fields = {}
        to[name] = fields
    end
    fields[field] = (fields[field] or 0) + amount
end

-- By day: what the ids of these charges stand for already, false for nothing.
local function look_up(charges)
    local wanted, known = {}, {}
    for _, g in ipairs(charges) do
        local ids = wanted[g[DAY]] or {}
        wanted[g[DAY]] = ids
        ids[#ids + 1] = g[ID]
        if g[UPSTREAM] ~= '' then ids[#ids + 1] = g[UPSTREAM] end
    end
    for day, ids in pairs(wanted) do
        local found = {}
        known[day] = found
        for first = 1, #ids, MANY do
            local values = redis.call('HMGET', P .. 'ids:' .. day, unpack(ids, first, math.min(first + MANY - 1, #ids)))
            for i, value in ipairs(values) do found[ids[first + i - 1]] = value end
        end
    end
    return known
end

-- Lua writes whole numbers of up to 14 digits exactly by itself, and faster.
local function amounts_text(a)
    for i = 1, 5 do
        if math.abs(a[i]) >= 1e14 then
            return table.concat({int(a[1]), int(a[2]), int(a[3]), int(a[4]), int(a[5])}, ' ')
        end
    end
    return a[1] .. ' ' .. a[2] .. ' ' .. a[3] .. ' ' .. a[4] .. ' ' .. a[5]
end

-- Charge generations, each once: of a second word about the same one only a better one counts, with the difference.
local function charge_all(charges)
    local known, fresh, sums = look_up(charges), {}, {}
    for _, g in ipairs(charges) do
        local day, amounts, requests, json = g[DAY], g[AMOUNTS], 1, g[JSON]
        local ids, difference = known[day], amounts
        local doubt, charged = (ids[g[ID]] or ''):match('^%d+%-%d+ (%d)(.*)$')
        if doubt then
            if g[DOUBT] >= tonumber(doubt) then
                difference = nil
            else
                difference, requests = {}, 0
                for amount in charged:gmatch('%d+') do
                    difference[#difference + 1] = amounts[#difference + 1] - tonumber(amount)
                end
                json = json:sub(1, -2) .. ',"corrects_usd_nanos":' .. charged:match('%d+') .. '}'
            end
        end
        if difference then
            local of_day, name = sums[day], g[KEY] .. '|' .. g[MODEL] .. '|' .. g[PROVIDER] .. '|'
            if not of_day then
                of_day, fresh[day] = {}, {}
                sums[day] = of_day
            end
            local sum = of_day[name]
            if not sum then
                sum = {0, 0, 0, 0, 0, 0, free = 0, key = g[KEY], windows = {'total', 'd:' .. day, g[WEEK], g[MONTH]}}
                of_day[name] = sum
            end
            for i = 1, 5 do sum[i] = sum[i] + difference[i] end
            sum[6] = sum[6] + requests
            if g[IS_FREE] then sum.free = sum.free + requests end
            local text = amounts_text(amounts)
            local added = difference == amounts and text or amounts_text(difference)
            local n = g[KEY] .. ' ' .. day .. ' ' .. added .. ' ' .. requests
            local entry = redis.call('XADD', LEDGER, '*', 'g', json, 'n', n)
            local fields = fresh[day]
            ids[g[ID]] = entry .. ' ' .. g[DOUBT] .. ' ' .. text
            fields[#fields + 1] = g[ID]
            fields[#fields + 1] = ids[g[ID]]
            local upstream = g[UPSTREAM]
            if upstream ~= '' and (ids[upstream] or '='):sub(1, 1) == '=' then
                ids[upstream] = '=' .. g[ID]
                fields[#fields + 1] = upstream
                fields[#fields + 1] = ids[upstream]
            end
        end
    end
    for day, fields in pairs(fresh) do
        local ids = P .. 'ids:' .. day
        for first = 1, #fields, MANY do
            redis.call('HSET', ids, unpack(fields, first, math.min(first + MANY - 1, #fields)))
        end
        redis.call('EXPIRE', ids, call.ledger_s)
        for name, sum in pairs(sums[day]) do
            for i, metric in ipairs(METRICS) do
                if sum[i] ~= 0 then add(rollup, day, name .. metric, sum[i]) end
            end
            for _, account in ipairs(sum.key == '' and {'*'} or {sum.key, '*'}) do
                for _, field in ipairs(sum.windows) do add(spent, account, field, sum[1]) end
                if sum[6] ~= 0 then add(spent, account, 'n', sum[6]) end
            end
            if sum.free ~= 0 then add(spent, 'free:' .. sum.key, 'd:' .. day, sum.free) end
        end
    end
end

-- Of the windows of one kind the last three stay: a stream may be charged to the one before.
local function prune(key)
    local kinds = {d = {}, w = {}, m = {}}
    for _, field in ipairs(redis.call('HKEYS', key)) do
        local kind = kinds[field:match('^([dwm]):')]
        if kind then kind[#kind + 1] = field end
    end
    for _, fields in pairs(kinds) do
        table.sort(fields)
        for i = 1, #fields - 3 do redis.call('HDEL', key, fields[i]) end
    end
end

local function write_charges()
    for account, fields in pairs(spent) do
        local key, is_new = P .. 'spent:' .. account, false
        for field, amount in pairs(fields) do
            if amount ~= 0 then
                local text = int(amount)
                local sum = redis.call('HINCRBY', key, field, text)
                if field:sub(1, 2) == 'd:' and int(sum) == text then is_new = true end
            end
        end
        redis.call('HSET', key, 'last', clock[1])
        if is_new then prune(key) end
    end
    for day, fields in pairs(rollup) do
        local key = P .. 'day:' .. day
        for field, amount in pairs(fields) do redis.call('HINCRBY', key, field, int(amount)) end
        redis.call('SADD', P .. 'days', day)
    end
end

local open = P .. 'open:' .. call.worker
charge_all(call.settled)
local closed = call.closed
for _, g in ipairs(call.settled) do closed[#closed + 1] = g[ID] end
for first = 1, #closed, MANY do
    redis.call('HDEL', open, unpack(closed, first, math.min(first + MANY - 1, #closed)))
end
for _, g in ipairs(call.open) do redis.call('HSET', open, g[ID], cmsgpack.pack(g)) end

-- The dead ------------------------------------------------------------------------------------------------------------

-- They are remembered for a while: their last calls may still be on the way.
local alive, alive_count, is_dead = {}, 0, {}
for _, worker in ipairs(call.dead) do is_dead[worker] = true end
for worker, known in pairs(workers) do
    if not known.is_buried and not is_dead[worker] and now - math.max(known.at, since) <= call.dead_s then
        alive[worker] = true
        alive_count = alive_count + 1
    elseif not known.is_buried then
        local left = P .. 'open:' .. worker
        local entries = redis.call('HGETALL', left)
        local charges = {}
        for i = 2, #entries, 2 do
            local charge = cmsgpack.unpack(entries[i])
            if type(charge[ID]) == 'string' then charges[#charges + 1] = charge end -- else of another version
        end
        charge_all(charges)
        redis.call('DEL', left)
        note(worker, known.number, known.at, ' buried')
    elseif now - known.at > 40 * call.dead_s then
        redis.call('HDEL', WORKERS, worker)
    end
end
write_charges()

-- Leases --------------------------------------------------------------------------------------------------------------

local function lease(account, amount)
    redis.call('HSET', P .. 'lease:' .. account, call.worker, int(amount))
    redis.call('EXPIRE', P .. 'lease:' .. account, LEASE_S)
end

for account, amount in pairs(call.leases) do
    if amount == 0 then redis.call('HDEL', P .. 'lease:' .. account, call.worker) else lease(account, amount) end
end

-- What nobody else may use any more: settled, or in a living worker's hands.
local function draw_amount(draw)
    local key = P .. 'lease:' .. draw.account
    local leased, own = 0, 0
    local leases = redis.call('HGETALL', key)
    for i = 1, #leases, 2 do
        if not alive[leases[i]] then
            redis.call('HDEL', key, leases[i])
        else
            leased = leased + tonumber(leases[i + 1])
            if leases[i] == call.worker then own = tonumber(leases[i + 1]) end
        end
    end
    local left, tightest, unleased = nil, 0, 0
    for i, limit in ipairs(draw.limits) do
        local most = limit[2] or tonumber(redis.call('HGET', P .. 'credits', 'total') or 0)
        local rest = most - tonumber(redis.call('HGET', P .. 'spent:' .. draw.account, limit[1]) or 0)
        if not left or rest < left then left, tightest = rest, i - 1 end
    end
    unleased = left
    left = left - leased
    local granted = 0
    if left >= draw.need then
        granted = math.floor(draw.need + math.min(draw.want - draw.need, (left - draw.need) / (4 * alive_count)))
        lease(draw.account, own + granted)
    elseif unleased >= draw.need then -- others have it
        redis.call('ZADD', WANTED, string.format('%.3f', now), draw.account)
        redis.call('ZREMRANGEBYSCORE', WANTED, '-inf', string.format('(%.3f', now - RECALL_S))
        redis.call('EXPIRE', WANTED, 60)
    end
    return {granted, left - granted, unleased, tightest}
end

-- Generic cell rate algorithm: the theoretical arrival time of the next, as microseconds. `returned` comes back first,
-- and what is owed (it is below zero) is paid.
local function draw_rate(draw)
    local key = P .. 'rate:' .. draw.account
    local us = now * 1000000
    local burst = draw.burst * draw.interval_us
    local tat = math.max(tonumber(redis.call('GET', key) or 0), us)
    tat = math.max(tat - draw.returned * draw.interval_us, us)
    local most = math.floor((us + burst - tat) / draw.interval_us + 1e-9)
    local granted = 0
    if most >= draw.need then
        granted = math.floor(draw.need + math.min(draw.want - draw.need, (most - draw.need) / (4 * alive_count)))
        tat = tat + granted * draw.interval_us
    end
    redis.call('SET', key, int(tat), 'PX', int(math.max(1, (tat - us) / 1000 + 1000)))
    return {granted, most - granted, math.max(0, tat - us), math.max(0, tat + draw.need * draw.interval_us - burst - us)}
end

-- Alerts --------------------------------------------------------------------------------------------------------------

-- Each is told once; to a worker that did not hear it, again.
local reached = {}
for _, watch in ipairs(call.watch) do
    local sum = tonumber(redis.call('HGET', P .. 'spent:' .. watch.account, watch.field) or 0)
    if sum >= watch.amount then
        local told = P .. 'told:' .. watch.field .. ' ' .. watch.name
        local worker, number = (redis.call('GET', told) or ''):match('^(.*) (%d+)$')
        if not worker or (worker == call.worker and tonumber(number) > call.heard) then
            redis.call('SET', told, call.worker .. ' ' .. int(call.number))
            if not worker then redis.call('HINCRBY', P .. 'alerts', watch.name:match('^%S+ (%S+ %S+)'), 1) end
            if watch.field ~= 'total' then redis.call('EXPIRE', told, TOLD_S) end
            reached[#reached + 1] = watch.name
        end
    end
end

local grants = {}
for i, draw in ipairs(call.draws) do
    grants[i] = draw.limits and draw_amount(draw) or draw_rate(draw)
end
if call.trim_ms > 0 then -- by the worker's clock; one that is wrong must not cost the ledger
    local trim_ms = math.min(call.trim_ms, (tonumber(clock[1]) - call.ledger_s) * 1000)
    redis.call('XTRIM', LEDGER, 'MINID', '~', int(math.max(trim_ms, 0)))
end

-- Each worker is told once that somebody is in want of an account: since its last call, if it has heard the answer to
-- that. Of what it has drawn on now it may not have had anything then.
local recalled = {}
if redis.call('EXISTS', WANTED) == 1 then
    local from = now - RECALL_S
    local told = math.max(from, own and own.number == call.heard and own.at or 0)
    recalled = redis.call('ZRANGEBYSCORE', WANTED, string.format('%.3f', told), '+inf')
    for _, draw in ipairs(call.draws) do
        local at = draw.limits and tonumber(redis.call('ZSCORE', WANTED, draw.account) or 0)
        if at and at >= from and at < told then recalled[#recalled + 1] = draw.account end
    end
end
return cmsgpack.pack({now, false, grants, reached, recalled})
