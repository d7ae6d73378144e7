"""What the fleet knows, made readable: the answer of GET /admin/v1/endpoints.

    at           Unix seconds of the reading
    store        `ok`; `away`: this is what one worker knows by itself, for some models at least
    endpoints    one for each endpoint of the catalogue, in its order:
        id, model, provider
        unknown           true: nothing has been heard of it within the last hour, and what follows says nothing
        state             healthy | ejected | probing | cooling
        reason            of that state; null while healthy
        seconds_left      until a probe may go, the probe is given up, or the cool-down is over; null while healthy
        share             of the attempts on its model, 0 to 1
        elasticity        how first tokens slow down with load: d ln(time) / d ln(in flight)
        expected_ms       the first-token time that routing reckons with
        rate_cap          attempts per second that the provider seems to bear; null: it never limited us
        level             ejections lately; each makes the next one longer
        last_ejection     seconds_ago and why; null if there was none
        and the figures
    providers    one for each provider, with the figures of all its endpoints added up:
        provider, endpoints, out (how many of them get no traffic), share (of all attempts)
        account           state (`ok` or `cooling`), reason, seconds_left
        and the figures

Figures: `first_token_ms` (mean; of an endpoint's streams also p50 and p95), `tokens_per_s` of one reply, `error_share`
(attempts that failed before the first token), `cut_share` (replies that broke off after it), `in_flight`, `waiting`
(for a first token), `attempts_per_s`. Each forgets what is past, most of it within a minute, p50 and p95 within ten;
null where nothing has been seen lately.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fairlead.catalog.model import Catalog, Endpoint
from fairlead.health import breaker, sums
from fairlead.health.board import ACCOUNT
from fairlead.health.endpoint import VERDICTS
from fairlead.health.estimate import Prior, estimate, prior_of
from fairlead.health.histogram import FIRST_TOKEN, Histogram
from fairlead.health.record import WHY_TEXT, Record, State, Why
from fairlead.health.sums import (
    A20,
    E20,
    E120,
    F20,
    HALF_LIVES_S,
    LN2,
    M60,
    N20,
    N120,
    R0,
    S60,
    C,
    G,
    K,
    W,
)  # fmt: skip

Sums = Sequence[float]

_SEEN = 0.01
"""Of what has been counted: less is what long ago has left, and says nothing of now."""


@dataclass(frozen=True, slots=True)
class Known:
    """A record, and the time on its clock."""

    record: Record
    now: float

    def sums(self) -> list[float]:
        return sums.decayed(self.record.sums, self.now - self.record.at)


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of all endpoints and accounts, by id, at one moment."""

    catalog: Catalog
    known: Mapping[str, Known]
    first_tokens: Mapping[str, Histogram]
    at_unix: float
    is_store_away: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an endpoint gets traffic, and why not."""

    state: str
    reason: str | None = None
    seconds_left: float | None = None


def fleet_view(look: Look, *, is_active_only: bool = False) -> dict[str, object]:
    """Return the whole answer; `is_active_only` leaves out endpoints of which nothing is known."""
    counted = {name: known.sums() for name, known in look.known.items()}
    endpoints: list[dict[str, object]] = []
    providers: dict[str, _Provider] = {}
    for served in look.catalog.endpoints.values():
        heard = [counted[endpoint.id] for endpoint in served if endpoint.id in counted]
        attempts = sum(s[A20] for s in heard)
        prior = prior_of(s for s in heard if s[N120])
        for endpoint in served:
            slug, known = endpoint.provider.slug, look.known.get(endpoint.id)
            now = standing(known, look.known.get(ACCOUNT + slug))
            provider = providers.setdefault(slug, _Provider())
            provider.endpoints += 1
            provider.out += now.state != "healthy"
            if known is not None:
                s = counted[endpoint.id]
                provider.sums = sums.added(provider.sums, s)
                told = _told(known, s, prior, attempts) | _figures(s, look.first_tokens.get(endpoint.id, _EMPTY))
                endpoints.append(_row(endpoint, now, is_unknown=False) | told)
            elif not is_active_only:
                endpoints.append(_row(endpoint, now, is_unknown=True) | _NOTHING_TOLD)
    return {
        "at": round(look.at_unix, 3),
        "store": "away" if look.is_store_away else "ok",
        "endpoints": endpoints,
        "providers": _provider_rows(providers, look.known),
    }


@dataclass(slots=True)
class _Provider:
    """A provider's endpoints, added up: sums of the same instant add exactly."""

    endpoints: int = 0
    out: int = 0
    sums: Sums = field(default_factory=sums.zeros)


def standing(known: Known | None, account: Known | None) -> Standing:
    """Return the state of an endpoint, or of an account if `account` is None, with the reason people read."""
    if known is not None and known.record.state != State.HEALTHY:
        record, now = known.record, known.now
        why = WHY_TEXT[Why(int(record.why))]
        if record.state == State.PROBING:
            return Standing("probing", why, max(record.lease_until - now, 0.0))
        return Standing("ejected", why, max(record.until - now, record.cool_until - now, 0.0))
    if account is not None and (left_s := account.record.cool_until - account.now) > 0.0:
        return Standing("cooling", f"its account: {_verdict(account.record)}", left_s)
    if known is not None and (left_s := known.record.cool_until - known.now) > 0.0:
        return Standing("cooling", _verdict(known.record), left_s)
    return Standing("healthy")


def _verdict(record: Record) -> str:
    return VERDICTS[int(record.cool_why)].value


def _row(endpoint: Endpoint, now: Standing, *, is_unknown: bool) -> dict[str, object]:
    return {
        "id": endpoint.id,
        "model": endpoint.model.id,
        "provider": endpoint.provider.slug,
        "unknown": is_unknown,
        "state": now.state,
        "reason": now.reason,
        "seconds_left": _rounded(now.seconds_left),
    }


def _told(known: Known, s: Sums, prior: Prior, attempts: float) -> dict[str, object]:
    """What is told of an endpoint beside state and figures."""
    record, now, expected = known.record, known.now, estimate(s, prior)
    last = WHY_TEXT[Why(int(record.last_why))]
    return {
        "share": _ratio(s[A20], attempts),
        "elasticity": _rounded(expected.elasticity) if s[R0] >= 1.0 else None,
        "expected_ms": _rounded(1e3 * expected.first_token_s, 1),
        "rate_cap": _rounded(breaker.rate_cap(record, now), 1) if record.cap_rate > 0.0 else None,
        "level": int(record.level),
        "last_ejection": {"seconds_ago": _rounded(now - record.last_ejected_at), "why": last} if last else None,
    }


def _figures(s: Sums, first_tokens: Histogram | None) -> dict[str, object]:
    """What decayed sums say, of one endpoint or of many added up."""
    is_lively = s[N20] >= 1.0
    mean_s = _ratio(s[E20], s[N20]) if is_lively else _ratio(s[E120], s[N120])
    first_token_ms = {"mean": _ms(mean_s)}
    if first_tokens is not None:
        first_token_ms |= {"p50": _ms(first_tokens.quantile(0.5)), "p95": _ms(first_tokens.quantile(0.95))}
    return {
        "first_token_ms": first_token_ms,
        "tokens_per_s": _rounded(_ratio(s[K], s[G]), 1),
        "error_share": _ratio(s[F20], s[A20]),
        "cut_share": _ratio(s[M60], s[S60]),
        "in_flight": _rounded(_per_s(s, C), 1),
        "waiting": _rounded(_per_s(s, W), 1),
        "attempts_per_s": _rounded(_per_s(s, A20)),
    }


def _provider_rows(providers: Mapping[str, _Provider], known: Mapping[str, Known]) -> list[dict[str, object]]:
    attempts = sum(provider.sums[A20] for provider in providers.values())
    rows = []
    for slug, provider in providers.items():
        account = standing(known.get(ACCOUNT + slug), None)
        told = {
            "state": "ok" if account.state == "healthy" else account.state,
            "reason": account.reason,
            "seconds_left": _rounded(account.seconds_left),
        }
        share = _ratio(provider.sums[A20], attempts)
        row = {"provider": slug, "endpoints": provider.endpoints, "out": provider.out, "share": share, "account": told}
        rows.append(row | _figures(provider.sums, None))
    return rows


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole >= _SEEN else None


def _per_s(s: Sums, index: int) -> float:
    """Return the rate at which a sum grows, were it steady."""
    return s[index] * LN2 / HALF_LIVES_S[index]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1e3 * seconds, 1)


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


_EMPTY = Histogram(FIRST_TOKEN, {})
_NOTHING_TOLD = {
    **dict.fromkeys(("share", "elasticity", "expected_ms", "rate_cap", "level", "last_ejection")),
    "level": 0,
    **_figures(sums.zeros(), _EMPTY),
}
"""Of an endpoint that nobody has used."""
