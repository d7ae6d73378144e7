"""Simulated providers on a loop in a thread of their own, so that tests which block can use them too."""

import asyncio
import threading

import uvloop

from fairlead.demo import Script, Simulator
from harness.process import PATIENCE_S


class Simulators:
    """Use `with`; `start` adds a provider, which lives as long as the block."""

    def __enter__(self):
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated providers")
        self._thread.start()
        self._started = []
        return self

    def __exit__(self, *_):
        for upstream in self._started:
            self.call(upstream.simulator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def start(self, *, ssl=None, **options):
        """A new provider, listening, over TLS where it is given a context. `options` are the simulator's."""
        upstream = Upstream(self, Simulator(**options))
        self.call(upstream.simulator.start(ssl=ssl))
        self._started.append(upstream)
        return upstream

    def call(self, coroutine):
        """Run it in the loop of the providers and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)


class Upstream:
    """One simulated provider, to be used from any thread but its own."""

    def __init__(self, owner, simulator):
        self._owner = owner
        self.simulator = simulator

    @property
    def base_url(self):
        return self.simulator.base_url

    @property
    def record(self):
        """Its counters, to be read only."""
        return self.simulator.record

    @property
    def requests(self):
        return list(self.simulator.requests)

    def asked(self, path):
        """The requests whose path ends with `path`."""
        return [request for request in self.requests if request.path.endswith(path)]

    def does(self, **members):
        """What happens to requests from now on; nothing special without `members`."""
        self.plays([Script(**members)])

    def plays(self, scripts):
        """What happens to one request after another from now on; the last of them to all that follow."""
        self._owner.call(self._set(*scripts))

    async def _set(self, *scripts):
        self.simulator.queue.clear()
        self.simulator.queue.extend(scripts[:-1])
        self.simulator.script = scripts[-1]

    def reset(self):
        """As new, but for the counters."""
        self.does()
        self.simulator.record.forget()

    def wait_for(self, condition):
        """Return once `condition(record)` holds; raises TimeoutError after a while."""
        self._owner.call(self.simulator.wait_for(lambda simulator: condition(simulator.record), PATIENCE_S))
