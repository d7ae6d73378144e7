"""What a worker process does in the tests of its handle: `worker_main` is told by its settings."""

import os
import select
import signal

from fairlead.errors import ConfigError


def worker_main(start):
    control = start.control
    match start.settings:
        case "serve":
            control.ready()
            select.select([control], [], [])
        case "drain":
            signal.signal(signal.SIGTERM, lambda *_: control.leaving())
            control.ready()
            select.select([control], [], [])
        case "accept":
            control.ready()
            start.sockets[0].accept()[0].sendall(b"from %d, with %s" % (os.getpid(), start.redis_url.encode()))
        case "refuse":
            raise ConfigError("FAIRLEAD_X: no\n  good")
        case "crash":
            control.ready()
            os.kill(os.getpid(), signal.SIGKILL)
        case "give up":
            control.ready()
            os._exit(7)
        case "return":
            return
