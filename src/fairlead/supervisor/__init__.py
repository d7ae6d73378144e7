"""The parent of the process tree: it binds the sockets, starts and watches the rest, and ends it in order.

    supervisor          binds the sockets, never accepts; no thread, no event loop: it waits for signals, for words
     │                  of the workers, and for the next thing due
     ├─ worker × N      serves socket i; `worker.py` is the pipe between us, `pool.py` says when which one is started
     ├─ embedded store  `fairlead.store.embedded`, when the operator names no Redis
     └─ demo            simulated providers, when wanted

It knows nothing of the application: what a worker does is a callable that it is given. A worker loads `worker.py` and
`files.py` of it, and no store, demo or supervisor: so nothing is imported here.
"""
