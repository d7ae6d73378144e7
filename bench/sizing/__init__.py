"""What a stream, a worker, an endpoint and a key cost: the constants of deploy/SIZING.md."""
