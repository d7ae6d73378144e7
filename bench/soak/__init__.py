"""`python -m bench.soak`: does everything come back to where it was after a long mixed load with aborts and faults?

gateway    the gateway as a process, with its store and its workers
providers  simulated ones, of which some fail, always differently
caller     one of the callers: its connection, its keys, what it sends
mischief   what callers do: ask, leave in each phase, read slowly, send nonsense
looks      what is seen of the processes, once a second
levels     from what was seen to a verdict
keys       the Redis keys that may stay, each with its reason
table      as people read it
"""
