"""Money in Redis: one script that charges, notes what is under way, and hands out leases.

    fl:1:{money}:workers          hash: worker → number of its last call, when it came, whether it has been buried
                                  "" → ms by which the store's clock has gone back, since when there have been calls
    fl:1:{money}:ledger           stream, an entry per generation: g → its JSON, n → what it adds to the counters
    fl:1:{money}:ids:<day>        hash: generation id → entry in the ledger, its doubt, its amounts
                                  the provider's id → = and the generation id
    fl:1:{money}:spent:<account>  hash: total, d:…, w:…, m:… → nano-USD; n → requests; last → when
    fl:1:{money}:day:<day>        hash: key|model|provider|metric → sum of the day
    fl:1:{money}:days             set of the days that have such sums
    fl:1:{money}:credits          hash: total → nano-USD bought
    fl:1:{money}:open:<worker>    hash: generation id → what is to be charged if the worker dies
    fl:1:{money}:lease:<account>  hash: worker → what of the account's limit is in its hands
    fl:1:{money}:wanted           sorted set: account by when somebody was in want of what others had leased
    fl:1:{money}:rate:<account>   theoretical arrival time of the next unit, as microseconds
    fl:1:{money}:told:<window> <watch>   who was told of it, with which call
    fl:1:{money}:alerts           hash: kind of window and part of the limit → how often somebody was told

What has to be exact together is in one slot, and changes in one step: the ledger's entries add up to the counters
whatever dies. A generation is charged once, by its id, however often it is told. Calls of a worker are numbered, so
that one that comes late does no harm; and each says which one it builds on, since it tells of leases only what has
changed after that. The script does nothing with one that builds on what it does not know, and asks to be told all: it
never grants a worker anything while it knows but a part of what that has in hand.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fairlead.access.windows import Window, day_of, windows_at
from fairlead.errors import FairleadError
from fairlead.store import PREFIX
from fairlead.store.redis import Client, run_scripts
from fairlead.telemetry.generation import Generation, pack

SLOT = f"{PREFIX}{{money}}:"
DEAD_S = 30.0
"""A worker that has not called for as long is taken for dead: what it had under way is charged as it was known, and its
leases are free again."""


class MoneyAway(FairleadError):
    """The store did not answer, or not as it should."""


class Charge(msgspec.Struct, frozen=True, array_like=True):
    """A generation to be charged. `amounts`: nano-USD, prompt, completion, reasoning and cached tokens.

    A list on its way, in this order: the script goes by it.
    """

    id: str
    key: str
    day: str
    week: str
    month: str
    model: str
    provider: str
    amounts: tuple[int, int, int, int, int]
    doubt: int
    """Of several words about one generation that with the least counts: 0 the provider's, 1 an estimate, 2 what was
    known when its worker died."""
    is_free: bool
    """Of a model that costs nothing: it counts among the free requests of its key."""
    upstream_id: str
    json: str

    @property
    def windows(self) -> Mapping[Window, str]:
        """The windows that it counts in, as `windows_at` names them."""
        return {"total": "total", "daily": f"d:{self.day}", "weekly": self.week, "monthly": self.month}


def charge_of(generation: Generation) -> Charge:
    """Return what the store must know to charge a generation, to the windows of its start."""
    windows = windows_at(generation.started)
    return Charge(
        id=generation.id,
        key=generation.key,
        day=day_of(generation.started),
        week=windows["weekly"],
        month=windows["monthly"],
        model=generation.model.replace("|", "_"),
        provider=generation.provider.replace("|", "_"),
        amounts=(
            generation.cost_usd_nanos,
            generation.prompt_tokens,
            generation.completion_tokens,
            generation.reasoning_tokens,
            generation.cached_tokens,
        ),
        doubt=2 if generation.end == "crashed" else int(generation.is_estimated),
        is_free=generation.is_free,
        upstream_id=generation.upstream_id,
        json=pack(generation).decode(),
    )


class AmountDraw(msgspec.Struct, frozen=True, omit_defaults=True):
    """`limits`: the counter of each limit and how much it may hold, None for the credits bought."""

    account: str
    limits: list[tuple[str, int | None]]
    need: int
    want: int


class RateDraw(msgspec.Struct, frozen=True):
    """`returned`: what is left of the last draw, below zero what was taken beyond it."""

    account: str
    interval_us: float
    burst: int
    returned: int
    need: int
    want: int


class Watch(msgspec.Struct, frozen=True):
    """Tell once when the account's counter `field` reaches `amount`."""

    account: str
    field: str
    amount: int
    name: str


class Call(msgspec.Struct):
    """What a worker tells and asks, all at once."""

    worker: str
    number: int
    settled: Sequence[Charge] = ()
    open: Sequence[Charge] = ()
    """What has begun, or gone on: as it would have to be charged now."""
    closed: Sequence[str] = ()
    """Ids of what ended without a charge."""
    leases: dict[str, int] = {}
    """What it has in hand of accounts, 0: nothing any more; of those that are missing as much as the store knows."""
    draws: Sequence[AmountDraw | RateDraw] = ()
    watch: Sequence[Watch] = ()
    dead: Sequence[str] = ()
    """Workers whose processes have ended: nobody need wait for DEAD_S."""
    dead_s: float = DEAD_S
    ledger_s: int = 90 * 86_400
    trim_ms: int = 0
    """Entries of before that Unix time may be dropped, if they are older than `ledger_s` by the store's clock too."""
    heard: int = 0
    """The last call of this worker whose answer has reached it."""
    base: int = 0
    """With that call, and those before, the store was told of the leases that are missing here; 0: none are missing."""


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """What a draw got. Of an amount: `rest` is what is left in nobody's hands, `third` what is not spent, `fourth` the
    index of the tightest limit. Of a rate: `rest` is what is left, `third` the microseconds until all of it is there
    again, `fourth` those until the need could be met."""

    granted: int
    rest: int
    third: float
    fourth: float


class Answer(msgspec.Struct, frozen=True, array_like=True):
    now: float
    is_late: bool
    """The call was not applied: a later one of this worker has been, if it `is_unknown` not even an earlier one."""
    grants: list[Grant]
    reached: list[str]
    """Names of the watches that went off with this call."""
    recalled: list[str] = []
    """Accounts of which somebody needs what is leased and not used, perhaps not by this worker. It is told once of each
    time, and again after an answer that it did not hear."""
    is_unknown: bool = False
    """The call was not applied: the store does not know its `base`. It has to be told all."""


_ENCODER = msgspec.msgpack.Encoder()
_ANSWER = msgspec.msgpack.Decoder(Answer, strict=False)


class MoneyStore:
    """Makes the calls."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._script = Path(__file__).with_name("money.lua").read_text(encoding="utf-8")

    async def call(self, call: Call) -> Answer:
        """Raises MoneyAway; the call may have been applied then."""
        arguments: list[Any] = [_ENCODER.encode(call)]
        (reply,) = await run_scripts(self._client, self._script, [(f"{SLOT}workers", arguments)])
        try:
            if isinstance(reply, bytes):
                return _ANSWER.decode(reply)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MoneyAway(f"an answer that cannot be read: {error}") from error
        raise MoneyAway(str(reply) or type(reply).__name__)
