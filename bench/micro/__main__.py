"""`python -m bench.micro`: times every case, or those of the modules that are named."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

import bench.micro
from bench.micro.timing import Case, time_us


def modules() -> list[str]:
    """The modules that have cases."""
    names = [module.name for module in iter_modules(bench.micro.__path__)]
    return [name for name in names if name not in ("__main__", "embedded", "timing", "wire")]


def cases(module: str) -> Sequence[Case]:
    """The cases of one module. Raises ImportError when what it times is not there."""
    found: Sequence[Case] = import_module(f"bench.micro.{module}").cases()
    return found


def main() -> int:
    """Run from the command line."""
    known = modules()
    parser = argparse.ArgumentParser(prog="python -m bench.micro", description=__doc__)
    parser.add_argument("module", nargs="*", help=f"of {', '.join(known)}; none: all")
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.005, help="of each run")
    args = parser.parse_args()
    if unknown := set(args.module) - set(known):
        parser.error(f"no module {', '.join(sorted(unknown))}")
    print(f"{'case':<52}{'µs':>10}")
    for module in args.module or known:
        for case in cases(module):
            print(f"{module + ': ' + case.name:<52}{time_us(case, runs=args.runs, seconds=args.seconds):>10.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
