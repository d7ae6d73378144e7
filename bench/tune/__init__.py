"""`python -m bench.tune`: what the four constants of routing that matter most should be, and what they are worth.

setting    the four constants, and how code is run with other values of them
world      four upstreams and what happens to them
search     each constant by itself, then the best of them together, in the simulator
contest    the chosen ones and the policies that others use: in the simulator, and on real processes with locust
kept       what was found, as JSON and back
report     tables and plots
"""
