"""`python -m bench.policies`: whether policies come in the same order on real processes as in the simulator.

world      five providers and what happens to them: the same scenario for both
providers  simulated providers that follow it over HTTP
gateway    a real worker in which a policy of the simulator decides (seat)
locustfile the callers
fleet      all processes of one run
rehearsal  the same in the simulator
figures    the numbers of one run, and what order they make
table      as people read them
"""
