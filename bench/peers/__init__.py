"""`python -m bench.peers`: other gateways beside fairlead, with the load and the upstream of `python -m bench`.

peers.toml         whom, with which settings
environments       what is installed for them, locked
install            each into its own folder of bench/.peers
summary            one line for each, and what could not be measured
tensorzero_server  the one that has no program of its own
"""
