"""One exchange, first byte to last. Knows neither ASGI nor Redis.

exchange.py    the story: plan → attempts → pump → settle
attempts.py    ask one endpoint after another until one has content to give
keepalive.py   signs of life while there is none
deliver.py     from the first content to the last byte
pump.py        content to the caller as it arrives
tap.py         reads along: the end of the reply, where usage is
settle.py      what an exchange cost
manner.py      what kind of reply the caller gets
downstream.py  the caller's side, as the relay sees it
"""
