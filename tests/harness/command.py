"""The `fairlead` command as a process, in an environment that knows nothing of this machine's."""

import contextlib
import subprocess
import sys

from harness import shown
from harness.process import SOURCE

COMMAND = [sys.executable, "-m", "fairlead"]
LIMIT_S = 60.0


def clean_environ(directory, **variables):
    """Nobody's settings, a home and a data directory in `directory`, and no store on PATH but the wheel's."""
    return {
        "HOME": str(directory),
        "PATH": str(directory / "no-programs"),
        "PYTHONPATH": SOURCE,
        "FAIRLEAD_DATA_DIR": str(directory / "data"),
        **variables,
    }


def fairlead(directory, *arguments, **variables):
    """Run a command to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=clean_environ(directory, **variables),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if arguments[:2] != ("keys", "create"):  # which is there to tell one
        shown.look_through(f"fairlead {' '.join(arguments)}", done.stdout + done.stderr, shown.credentials(variables))
    return done


class Started:
    """A command that goes on until it is told to end."""

    def __init__(self, process, variables):
        self.process = process
        self.said = ""
        self._credentials = shown.credentials(variables)

    def read_until(self, text):
        """Read lines up to the one that has `text`; return all that has been said so far."""
        while text not in self.said:
            line = self.process.stdout.readline()
            assert line, f"ended before it said {text!r}: {self.said}"
            self.said += line
        return self.said

    def end(self, number):
        """Send a signal; return the exit code and all that was said."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=LIMIT_S)
        shown.look_through_output(f"fairlead {self.process.args}", self.said + rest, self._credentials)
        return self.process.returncode, self.said + rest


@contextlib.contextmanager
def started(directory, *arguments, **variables):
    """Start a command in a session of its own, standard error in its output; end it if the test does not."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=clean_environ(directory, **variables),
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield Started(process, variables)
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LIMIT_S)
                process.kill()
