"""The live view on a terminal, drawn again and again."""

import collections
import shutil
import signal
import sys
import threading
import time
from typing import Any

from fairlead.cli.gateway import LocalGateway, NoAnswer, Refused
from fairlead.cli.screen import screen, selected

ENTER = "\x1b[?1049h\x1b[?25l"
"""To the terminal's other screen, without a cursor; LEAVE shows again what was there before."""
LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"

EVENTS = 50
"""More than any terminal shows of them."""
AGAIN_S = 1.0
"""Until a stream of events that has ended is asked for again."""


class Watch:
    """The screen of one gateway; `model` and `path` choose what is on it."""

    def __init__(self, gateway: LocalGateway, path: str, model: str, interval_s: float, *, use_color: bool) -> None:
        self._gateway = gateway
        self._path = path
        self._model = model
        self._interval_s = interval_s
        self._use_color = use_color
        self._events = collections.deque[tuple[str, dict[str, Any]]](maxlen=EVENTS)
        self._is_told_to_end = False

    def run(self) -> None:
        """Return at Ctrl-C or SIGTERM, the terminal as it was. What is wrong at the first look is raised."""
        view = self._look()
        threading.Thread(target=self._listen, name="events", daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        try:
            sys.stdout.write(ENTER)
            while not self._is_told_to_end:
                self._draw(view)
                time.sleep(self._interval_s)
                view = self._look_again(view)
        except KeyboardInterrupt:
            pass
        finally:
            sys.stdout.write(LEAVE)
            sys.stdout.flush()

    def _end(self, *_: object) -> None:
        """Interrupt whatever goes on. Where that is lost (in a finalizer), the next turn is the last."""
        self._is_told_to_end = True
        raise KeyboardInterrupt

    def _look(self) -> dict[str, Any]:
        return selected(self._gateway.get_json(self._path), self._model) | {"fault": ""}

    def _look_again(self, view: dict[str, Any]) -> dict[str, Any]:
        """What was there last stays, with the reason why there is nothing newer: a gateway may be started again."""
        try:
            return self._look()
        except (NoAnswer, Refused) as error:
            return view | {"fault": str(error)}

    def _draw(self, view: dict[str, Any]) -> None:
        size = shutil.get_terminal_size()
        lines = screen(
            view,
            list(self._events),
            title=view["fault"] or f"fairlead {self._gateway.url}",
            width=size.columns,
            height=size.lines,
            use_color=self._use_color,
        )
        text = f"{_REST_OF_LINE}\r\n".join(lines[: size.lines])
        sys.stdout.write(f"{_HOME}{text}{_REST_OF_LINE}{_REST_OF_SCREEN}")
        sys.stdout.flush()

    def _listen(self) -> None:
        while True:
            try:
                for event in self._gateway.events("/admin/v1/events"):
                    if event[0] != "end":
                        self._events.append(event)
            except NoAnswer:
                pass
            time.sleep(AGAIN_S)
