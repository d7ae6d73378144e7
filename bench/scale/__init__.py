"""What more of everything costs: workers, endpoints, models, keys. See `python -m bench.scale --help`."""
