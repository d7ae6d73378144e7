-- Add what a worker tells of pins to the stream of all; answer with what the others have told since.
--
-- KEYS[1]  stream of entries: w → worker, p → packed pins
-- ARGV     worker, packed pins (empty: none), id of the last entry that the worker has read (empty: none)
-- Answers  {now in milliseconds, {{id, {field, value, …}}, …}}
--
-- Before this text stands the table K of constants.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local oldest = string.format('%.0f', now - K.TTL_S * 1000)
if ARGV[2] ~= '' then
    redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 'w', ARGV[1], 'p', ARGV[2])
    redis.call('EXPIRE', KEYS[1], K.TTL_S)
end
local from = ARGV[3] ~= '' and '(' .. ARGV[3] or oldest
return {string.format('%.0f', now), redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', K.MOST_ENTRIES)}
