"""For operators: what the fleet knows, as it is now. Behind a key of its own, off the way of requests.

key.py     the admin key: set, or made once and kept
door.py    who may come in
fleet.py   everything that the store knows of endpoints, read when somebody looks
view.py    the same, made readable (pure)
events.py  changes of state, to everyone who listens
api.py     the routes
"""
