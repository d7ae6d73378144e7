"""How long a start takes, and what a worker holds that has nothing to do."""
