"""`python -m bench.faults`: what callers and workers notice when a provider, or the store, fails under load.

scenarios   what goes wrong, and for how long
fleet       the processes: providers (provider), store, gateway with its workers
traffic     callers: streams that begin at random times, whatever becomes of those before
gatewaylog  what the workers say of it
figures     the numbers of one run
table       as people read them
"""
