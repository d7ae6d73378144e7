"""What becomes of requests when a provider fails: tried out on a configuration, without its providers and its store.

    faults     the matrix: each fault with what is to come of it
    expect     what a caller saw and what was written down, held against that (pure)
    stand_in   the operator's settings with simulated providers in the place of the real ones (pure)
    run        the simulated providers, the requests, the gateway as a process of its own (`python -m fairlead.drill`)
    card       the results for people and for machines (pure)

`fairlead drill` runs it; `tests/faults` holds the gateway to the same matrix.
"""
