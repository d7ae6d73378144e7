"""What streams and large bodies cost, beside nginx: see `python -m bench.streaming --help`."""
