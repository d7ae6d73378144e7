"""The caller's side: ASGI in, ASGI out.

protocol.py    uvicorn's connection, made safe for the open network
asgi.py        the callable: hot paths by a dict, everything else to Starlette
inference.py   one request: admit, read, relay, answer for errors
downstream.py  the caller, as the relay sees it, over ASGI
brake.py       who guesses keys has to wait
forwarded.py   whose request it is, by the word of trusted proxies
key.py  generations.py  models.py  status.py    what a caller may ask beside inference
body.py  json_body.py  respond.py  drain.py
"""
