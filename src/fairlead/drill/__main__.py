"""`python -m fairlead.drill`: a gateway with the settings that come over standard input, for as long as that is open.

The length of the pickled settings on a line, then the settings; the answer is a line of JSON with the URL.
"""

import os
import pickle
import signal
import sys
import threading

import orjson

from fairlead.config import Settings
from fairlead.derived import loggers
from fairlead.errors import FairleadError
from fairlead.start import run_worker
from fairlead.supervisor.run import Running, Supervisor


def main() -> int:
    """Serve until a signal or the parent's end. The exit code is the supervisor's; 1 if it cannot be started."""
    settings: Settings = pickle.loads(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    log, _ = loggers(settings)
    try:
        return Supervisor(settings, run_worker, _announce, reload=lambda: settings, log=log).run()
    except FairleadError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _announce(running: Running) -> None:
    sys.stdout.write(orjson.dumps({"url": running.url}).decode() + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    while os.read(0, 4096):  # not by the buffer: whoever waits there is in the way when Python ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
