"""Wire formats: what requests and replies look like, as pure functions over bytes."""
