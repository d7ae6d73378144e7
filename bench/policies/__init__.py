"""`python -m bench.policies`: what callers see of policies on real processes, and whether the simulator says the same.

world      four upstreams, small enough for two cores, on which the scenarios of `bench.simulate.seven` are played
engine     one that has slots and a queue
providers  simulated providers that follow the scenario over HTTP
gateway    a real worker in which a policy of the simulator decides (seat)
locustfile the callers
fleet      all processes of one run; busy: who of them had the cores
course     all runs
rehearsal  the same in the simulator
figures    the numbers of one run, and what order they make
verdict    where the product is better, and where not
table      as people read them
"""
