"""For operators: what the fleet knows, as it is now. Behind a key of its own, off the way of requests.

key.py     the admin key: set, or made once and kept
door.py    who may come in
fleet.py   everything that the store knows of endpoints, read when somebody looks
view.py    the same, made readable (pure)
events.py  changes of state, to everyone who listens
api.py     the routes of what can be seen

management.py              who may manage: the admin key and management keys
keys.py  key_members.py    keys, as at OpenRouter
credits.py  usage.py       what was put in, what was used
oauth.py  consent*.py      keys for apps: the API, and the page on which somebody agrees
"""
