"""Generations, and their way into the ledger: by the script that writes it in earnest."""

import itertools
import secrets

from fairlead.store.money import Call, MoneyStore, charge_of
from fairlead.telemetry.generation import Generation

NOON = 1_795_262_400.0
"""2026-11-21 12:00 UTC, a Saturday."""
DAY_S = 86_400

_numbers = itertools.count(1)


def generation(started=NOON, **members):
    """A generation with an id of its own, as the gateway would have it, unless `members` say otherwise."""
    known = {"id": f"gen-{int(started)}-{next(_numbers):06x}", "key": "k1", "model": "acme/large", "provider": "acme"}
    return Generation(started=started, **{**known, **members})


class Scribe:
    """A worker that only charges."""

    def __init__(self, client):
        self._store = MoneyStore(client)
        self._worker = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def charge(self, *generations):
        """Charge them all in one step."""
        charges = [charge_of(one) for one in generations]
        answer = await self._store.call(Call(self._worker, next(self._numbers), settled=charges))
        assert not answer.is_late
