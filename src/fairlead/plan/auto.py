"""The model `auto`: from what a request needs and looks like to the models that are to answer it.

    can it      tools, modalities, parameters, context         else it is no candidate
    may it      the operator's list, the key's, the request's  else it is none either
    tier        a keyword of the operator's, or `cost_tier`    a fifth of them, by price
    score       (1−t)·ln price − 12·t·ln chance + 0.2·ln seconds − 2·ln availability      the smallest first
    home        among those next to the best, the conversation's own

t is FAIRLEAD_AUTO_COST_QUALITY / 10: at 0 the cheapest that can do it, at 10 the one that does it best, whatever it
costs (but for ties). `chance` is how probable a good answer is: `quality` says where it comes from, and has the seam
for a learned model. What depends on neither the request nor the hour is worked out once and kept; so a choice walks
down a sorted list until it has SHORTLIST candidates, and asks for the health of those only.

A conversation keeps its model without any store, by rendezvous hashing (Thaler and Ravishankar, 1998) among those next
to the best: any worker finds the same one, and it changes only when they do. As features are of how a conversation
began as well, a short question in between does not send it to a weak model.
"""

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final, NamedTuple

from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Catalog
from fairlead.plan.auto_options import NO_OPTIONS, TIERS, AutoOptions
from fairlead.plan.quality import QualityModel, Supposed, chance
from fairlead.plan.roster import Entry, Needs, Roster
from fairlead.plan.variants import VARIANTS
from fairlead.plan.wish import ANYTHING, Wish
from fairlead.wire.features import Features
from fairlead.wire.keywords import Keywords

_AUTO: Final = frozenset(("auto", "auto-beta"))
_FREE: Final = frozenset(("openrouter/free", "fairlead/free"))


@dataclass(frozen=True, slots=True)
class AutoName:
    """What a name that means `auto` says."""

    router: str
    """As `generation.router` has it: openrouter/auto or openrouter/free."""
    variants: tuple[str, ...] = ()
    """Those of whatever model is chosen."""

    @property
    def suffix(self) -> str:
        """To be put behind the ids that are chosen: `:free:nitro`."""
        return "".join(f":{variant}" for variant in self.variants)


def auto_name(catalog: Catalog, name: str) -> AutoName | None:
    """Return what `name` says if it means `auto`, else None.

    `auto`, `openrouter/auto` and `<anything>/auto` do, unless a model of that name is served; `openrouter/free` is
    `auto` among what costs nothing. Variants may follow: `auto:nitro`.
    """
    base, colon, rest = name.partition(":")
    is_free = base in _FREE
    if not is_free and base.rpartition("/")[2] not in _AUTO:
        return None
    if catalog.resolve(name) in catalog.endpoints or catalog.resolve(base) in catalog.endpoints:
        return None
    variants = tuple(rest.split(":")) if colon else ()
    if not VARIANTS.issuperset(variants):
        return None
    if not is_free:
        return AutoName("openrouter/auto", variants)
    return AutoName("openrouter/free", variants if "free" in variants else ("free", *variants))


def is_auto(catalog: Catalog, name: str) -> bool:
    """Whether `name` means no model but `auto`."""
    return auto_name(catalog, name) is not None


SHORTLIST = 24
"""Candidates that are weighed by their health."""
MOST_ASKED = 64
"""Of which health is asked for, should many be out."""
MOST_MODELS = 3
"""That may answer one request: the choice and two to fall back on."""

QUALITY_WEIGHT = 12.0
LATENCY_WEIGHT = 0.2
"""Ten times as slow is worth 1.6 times the price at most."""
AVAILABILITY_WEIGHT = 2.0
TIE = 0.02
"""What price counts where it should not."""
NEXT_TO_BEST = 0.15
"""Of the score: such a difference is noise."""
_CHEAPEST_USD: Final = 0.01
"""Per million tokens: what is free is not infinitely cheaper than what is cheap."""
_MOST_DEMAND: Final = 3.0
_MOST_KEPT: Final = 256
_MIX: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_LN2: Final = math.log(2.0)
_HEIGHT: Final = {tier: height for height, tier in enumerate(TIERS)}

Outlook = Callable[[str], tuple[float, float]]
"""Of a model: the seconds that the reply is expected to take, and how probable it is to come; 0: nobody can answer."""


def all_well(_: str) -> tuple[float, float]:
    """The outlook where nothing is known."""
    return 1.0, 1.0


@dataclass(frozen=True, slots=True)
class AutoPolicy:
    """What the operator has set."""

    is_on: bool = True
    cost_quality: float = 5.0
    """0 the cheapest, 10 the best."""
    models: tuple[str, ...] = ()
    """Patterns of ids that may be chosen; those with a `!` before them may not. Without any: all."""
    triggers: tuple[tuple[str, str], ...] = ()
    """Pairs of a keyword and a tier; of several that occur, the highest tier counts."""


DEFAULT_POLICY: Final = AutoPolicy()


class Weighed(NamedTuple):
    """A candidate with what it was weighed by."""

    score: float
    model_id: str
    usd_per_mtok: float
    chance: float
    """Of a good answer."""
    seconds: float
    availability: float


class _Row(NamedTuple):
    """An entry, for requests that demand so much, at a setting."""

    static: float
    chance: float
    entry: Entry


class AutoRouter:
    """Chooses among the models of one catalogue; to be built anew for each snapshot."""

    def __init__(
        self, catalog: Catalog, policy: AutoPolicy = DEFAULT_POLICY, quality: QualityModel | None = None
    ) -> None:
        self.policy = policy
        self.keywords = Keywords(keyword for keyword, _ in policy.triggers)
        """To be looked for when the features are taken."""
        self._roster = Roster(catalog, policy.models)
        self._quality = quality or Supposed()
        self._tiers = dict(policy.triggers)
        self._orders: dict[tuple[float, float], list[_Row]] = {}

    def is_on(self, key: ApiKey) -> bool:
        """Whether a key may ask for `auto`: its own switch goes before the operator's."""
        return self.policy.is_on if key.is_auto_routing is None else key.is_auto_routing

    def choose(
        self,
        features: Features,
        wish: Wish,
        key: ApiKey,
        options: AutoOptions = NO_OPTIONS,
        outlook: Outlook = all_well,
        session: int = 0,
        pinned: str = "",
    ) -> list[str]:
        """Return who is to answer, best first, at most MOST_MODELS; empty if nobody can, or may.

        `session`: a number that the requests of a conversation share, 0 if there is none. `pinned`: the model whose
        provider has the conversation's prompt in its cache, which comes first if it can answer this request as well.
        """
        weighed = self.weigh(features, wish, key, options, outlook)
        if not weighed:
            return []
        best = weighed[0]
        if pinned and self._can_stay(pinned, features, wish, key, options, outlook):
            return [pinned, *_fallbacks(pinned, weighed)]
        if session:
            near = [one for one in weighed if one.score <= best.score + NEXT_TO_BEST]
            best = max(near, key=lambda one: _affinity(session, one.model_id))
        return [best.model_id, *_fallbacks(best.model_id, weighed)]

    def _can_stay(
        self, pinned: str, features: Features, wish: Wish, key: ApiKey, options: AutoOptions, outlook: Outlook
    ) -> bool:
        is_fit = any(row.entry.model_id == pinned for row in self._fit(features, wish, key, options))
        return is_fit and outlook(pinned)[1] > 0.0

    def weigh(
        self,
        features: Features,
        wish: Wish,
        key: ApiKey,
        options: AutoOptions = NO_OPTIONS,
        outlook: Outlook = all_well,
    ) -> list[Weighed]:
        """Return the candidates that came into question, best first, with what they were weighed by."""
        found: list[Weighed] = []
        out: list[Weighed] = []
        for row in self._fit(features, wish, key, options):
            entry = row.entry
            seconds, availability = outlook(entry.model_id)
            score = row.static + _dynamic(seconds, availability)
            one = Weighed(score, entry.model_id, entry.usd_per_mtok, row.chance, seconds, availability)
            (found if availability > 0.0 else out).append(one)
            if len(found) == SHORTLIST or len(found) + len(out) == MOST_ASKED:
                break
        # Where all are out one may be back by the time it is asked; and if not, its refusal tells more than ours.
        return sorted(found or out)

    def _fit(self, features: Features, wish: Wish, key: ApiKey, options: AutoOptions) -> Iterator[_Row]:
        """Yield who can and may answer, the best first as far as that is known without their health."""
        knob = self.policy.cost_quality if options.cost_quality is None else options.cost_quality
        rows = self._ordered(_level(self._quality.demand(features)), round(2.0 * knob) / 2.0)
        allowed = self._roster.allowed(key, options)
        tier = options.tier or max((self._tiers[word] for word in features.hits), key=_HEIGHT.__getitem__, default="")
        # What a model cannot do has been seen to; what is left to ask of its endpoints is mostly nothing.
        is_picky = wish is not ANYTHING and replace(wish, needs=frozenset()) != ANYTHING
        providers = self._roster.providers(wish, key) if is_picky else frozenset()
        unsure: list[_Row] = []
        for some in (_able(rows, self._roster.needs(features, wish), allowed, unsure), unsure):
            is_any = False
            for part in _band_and_rest(list(some), tier) if tier else (some,):
                for row in part:
                    if not is_picky or row.entry.is_wanted(wish, providers):
                        is_any = True
                        yield row
                if is_any:
                    return

    def _ordered(self, demand: float, knob: float) -> list[_Row]:
        """Return all entries in the order of what does not change from one request to the next."""
        rows = self._orders.get((demand, knob))
        if rows is None:
            if len(self._orders) >= _MOST_KEPT:
                self._orders.clear()
            rows = self._orders[demand, knob] = sorted(
                (_row(entry, demand, knob / 10.0) for entry in self._roster.entries), key=attrgetter("static")
            )
        return rows

    def count_allowed(self, key: ApiKey, options: AutoOptions) -> int:
        """Return among how many models a request may choose, whatever they can do."""
        return len(self._roster.allowed(key, options))


def _row(entry: Entry, demand: float, t: float) -> _Row:
    likely = chance(entry.ability, demand)
    price = max(entry.usd_per_mtok, _CHEAPEST_USD)
    return _Row(max(1.0 - t, TIE) * math.log(price) - QUALITY_WEIGHT * t * math.log(likely), likely, entry)


def _level(demand: float) -> float:
    """In steps, so that a conversation's next request mostly demands as much as the last; NaN is the least."""
    return round(2.0 * min(demand, _MOST_DEMAND)) / 2.0 if demand > -_MOST_DEMAND else -_MOST_DEMAND


def _dynamic(seconds: float, availability: float) -> float:
    """In steps too: half an octave, and a percent."""
    octaves = round(2.0 * math.log2(max(seconds, 0.01))) / 2.0
    return LATENCY_WEIGHT * _LN2 * octaves - AVAILABILITY_WEIGHT * math.log(max(round(availability, 2), 0.01))


def _able(rows: Sequence[_Row], needs: Needs, allowed: frozenset[str], unsure: list[_Row]) -> Iterator[_Row]:
    for row in rows:
        if row.entry.model_id in allowed and (is_able := needs.met_by(row.entry)) is not False:
            if is_able:
                yield row
            else:
                unsure.append(row)


def _band_and_rest(rows: Sequence[_Row], tier: str) -> tuple[list[_Row], list[_Row]]:
    """Part rows, which stay in order, into those of a tier, at least one, and the others: for want of better."""
    if not rows:
        return [], []
    low, high = TIERS[tier]
    places = sorted(row.entry.place for row in rows)
    first = min(int(low * len(places)), len(places) - 1)
    last = max(math.ceil(high * len(places)) - 1, first)
    band = [row for row in rows if places[first] <= row.entry.place <= places[last]]
    return band, [row for row in rows if not places[first] <= row.entry.place <= places[last]]


def _affinity(session: int, model_id: str) -> int:
    """Multiplied, since checksums of what is almost the same differ in the same bits."""
    return (session ^ zlib.crc32(model_id.encode())) * _MIX & _MASK


def _fallbacks(chosen: str, weighed: Sequence[Weighed]) -> list[str]:
    """Return the next best, the last of them from another author if those before are from one: it may be down."""
    others = [one.model_id for one in weighed if one.model_id != chosen]
    found = others[: MOST_MODELS - 1]
    author = chosen.partition("/")[0]
    if len(others) > len(found) and all(one.partition("/")[0] == author for one in found):
        found[-1] = next((one for one in others if one.partition("/")[0] != author), found[-1])
    return found
