"""What can be served: models, providers, endpoints and prices, as immutable snapshots. Pure."""
