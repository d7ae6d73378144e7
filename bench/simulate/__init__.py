"""A discrete-event simulator of routing policies: one command compares them on the same traffic and the same faults.

`python -m bench.simulate`
"""
