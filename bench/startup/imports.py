"""What each package adds to a process that imports it: `python -m bench.startup.imports MODULE [ABSENT ...]`, in JSON.

In a process of its own, since nothing is imported twice. Whatever imports first pays for what all need.
"""

import importlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_ROLLUP = Path("/proc/self/smaps_rollup")


def resident_kb() -> int:
    """What this process holds now."""
    for line in _ROLLUP.read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise OSError(f"{_ROLLUP} has no Rss")


def owner_of(module: str) -> str:
    """The package to which a module is reckoned: the top one, of ours the one below."""
    top, _, rest = module.partition(".")
    return f"{top}.{rest.partition('.')[0]}" if top == "fairlead" and rest else top


class Scale(MetaPathFinder):
    """Use `with`. `grown` is what each owner's modules have added, less what they imported; in KB."""

    def __init__(self) -> None:
        self.grown = Counter[str]()
        self._within = [0]
        """What was imported within each module that is being run, the innermost last."""

    def __enter__(self) -> "Scale":
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As whoever comes next finds it, and with a loader that weighs."""
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                self._weigh(spec)
                return spec
        return None

    def _weigh(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        if loader is None or isinstance(loader, type):  # built in: it is there already
            return
        run = loader.exec_module

        def weighed(module: ModuleType) -> None:
            before = resident_kb()
            self._within.append(0)
            try:
                run(module)
            finally:
                grown = resident_kb() - before
                self.grown[owner_of(spec.name)] += grown - self._within.pop()
                self._within[-1] += grown

        loader.exec_module = weighed  # type: ignore[method-assign]  # this loader is of this module only


def main(words: Sequence[str]) -> int:
    """Import a module, as if others were not installed; print what was there before, is now, and whose it is, in KB."""
    sys.modules.update(dict.fromkeys(words[1:]))  # type: ignore[arg-type]  # as `fairlead.start` does
    bare = resident_kb()
    with Scale() as scale:
        importlib.import_module(words[0])
    print(json.dumps({"bare_kb": bare, "all_kb": resident_kb(), "grown_kb": dict(scale.grown.most_common())}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
