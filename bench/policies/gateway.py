"""One worker of the gateway with a policy of the simulator in it: `python -m bench.policies.gateway --policy random …`.

`--policy fairlead` changes nothing but what `--setting` says. Settings come from the environment, as for `fairlead
serve`; the providers are taken for simulated ones, which are asked for their models directly, so that one may join.
"""

import argparse
import contextlib
import multiprocessing
import random
import socket
from collections.abc import Iterator
from functools import partial
from unittest.mock import patch

from bench.policies.seat import BASELINES, Seat, SeatedPlanner, Watched
from bench.simulate import product
from bench.simulate.policies import PRODUCT
from bench.tune.setting import AS_IT_IS, applied, read
from fairlead import app
from fairlead.config import load_process
from fairlead.health import board
from fairlead.plan.plan import Planner
from fairlead.supervisor.worker import Control, WorkerStart


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.policies.gateway", description=__doc__.partition("\n")[0])
    parser.add_argument("--policy", choices=[PRODUCT, *BASELINES], required=True)
    parser.add_argument("--setting", default="", help="of the gateway's own policy, as bench.tune.setting writes it")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--provider", action="append", required=True, metavar="NAME=BASE_URL")
    return parser.parse_args()


@contextlib.contextmanager
def seated(policy: str, setting: str = "") -> Iterator[None]:
    """Let workers that are built meanwhile be ruled by `policy`."""
    if policy == PRODUCT:
        with applied(read(setting) if setting else AS_IT_IS):
            tuned = partial(Planner, weights=product.WEIGHTS)
            with patch.object(app, "Planner", tuned):
                yield
        return
    rng = random.Random()
    seat = Seat(BASELINES[policy](), rng)
    with (
        patch.object(app, "Planner", partial(SeatedPlanner, seat)),
        patch.object(board, "EndpointHealth", partial(Watched, seat)),
    ):
        yield


def main() -> None:
    """Run from the command line, until SIGTERM."""
    args = _arguments()
    settings = load_process().settings
    providers = dict(word.split("=", 1) for word in args.provider)
    ours, theirs = multiprocessing.Pipe()
    with ours, seated(args.policy, args.setting), socket.create_server(("127.0.0.1", args.port)) as listener:
        app.serve(WorkerStart(0, settings, (listener,), Control(theirs), args.redis_url, providers))


if __name__ == "__main__":
    main()
