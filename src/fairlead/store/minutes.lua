-- Minutes of uptime: one string for each endpoint, a ring by the minute of the day (UTC).
--
--   8 bytes               the latest minute in it; the DAY - 1 before it are there too, and nothing older
--   1 byte × DAY          what each minute is
--   8 bytes × DAY         its attempts and successes
--
-- So a batch changes a few bytes where it would otherwise write kilobytes, here and in the log of a store that keeps
-- one; and whoever reads gets what minutes are without their numbers. What a minute is, health/minutes.py explains.
-- Minutes are numbered by this store's clock. `this` is the current one.

local Minutes = {}

local function counts_at(slot) return 8 + K.DAY + 8 * slot end

local function what_is(attempts, successes)
    if attempts < K.LEAST_ATTEMPTS then return K.UNKNOWN end
    return 100 * successes >= K.GOOD_PERCENT * attempts and K.GOOD or K.BAD
end

-- Forgets what stood a day ago where `count` minutes, from `first` on, will stand.
local function clear(key, first, count)
    local slot = first % K.DAY
    local here = math.min(count, K.DAY - slot)
    redis.call('SETRANGE', key, 8 + slot, string.rep(K.UNKNOWN, here))
    redis.call('SETRANGE', key, counts_at(slot), string.rep('\0', 8 * here))
    if here < count then clear(key, first + here, count - here) end
end

-- Makes room for a minute; answers with the latest.
local function reach(key, minute, this)
    local head = redis.call('GETRANGE', key, 0, 7)
    local latest = #head == 8 and struct.unpack('<d', head)
    if latest and (minute - latest >= K.DAY or latest - this >= K.DAY) then -- the latter: this clock was far ahead once
        redis.call('DEL', key)
        latest = false
    end
    if latest and minute <= latest then return latest end
    if latest then
        clear(key, latest + 1, minute - latest)
    else
        redis.call('SETRANGE', key, counts_at(K.DAY) - 1, '\0')
    end
    redis.call('SETRANGE', key, 0, struct.pack('<d', minute))
    redis.call('EXPIRE', key, K.DAY_TTL_S)
    return minute
end

-- Adds to an endpoint's minutes those that are packed: number, attempts and successes of each.
function Minutes.add(key, packed, this)
    for i = 1, #packed, 12 do
        local minute, attempts, successes = struct.unpack('<I4I4I4', packed, i)
        minute = math.min(minute, this)
        if this - minute < K.DAY and reach(key, minute, this) - minute < K.DAY then
            local slot = minute % K.DAY
            local at = counts_at(slot)
            local known, good = struct.unpack('<I4I4', redis.call('GETRANGE', key, at, at + 7))
            redis.call('SETRANGE', key, at, struct.pack('<I4I4', known + attempts, good + successes))
            local what = what_is(known + attempts, good + successes)
            if what ~= what_is(known, good) then redis.call('SETRANGE', key, 8 + slot, what) end
        end
    end
end

-- The latest minute, and what it and those before it are, the oldest first; nothing if there are none.
function Minutes.day(key)
    local head = redis.call('GETRANGE', key, 0, 7 + K.DAY)
    if #head == 0 then return head end
    local slot = struct.unpack('<d', head) % K.DAY
    return head:sub(1, 8) .. head:sub(10 + slot) .. head:sub(9, 9 + slot)
end
