"""The provider's side of the wire: our HTTP/1.1 client for the inference path.

origin.py      where to connect, and through which proxy (pure)
connect.py     an open, verified transport: DNS, happy eyeballs, CONNECT, TLS
connection.py  one HTTP/1.1 connection
reply.py       what comes back on it, to be read
tcp.py         what the kernel knows of it
pool.py        kept connections of one origin
client.py      the door: send a request, get a `Reply`
"""
