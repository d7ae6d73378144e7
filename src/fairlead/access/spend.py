"""What a request may cost at most, who has to pay for it, and the refusal of what cannot be paid."""

from collections.abc import Sequence
from dataclasses import dataclass

from fairlead.access.keys import ApiKey
from fairlead.access.lease import AmountLimit
from fairlead.access.usd import usd_text
from fairlead.access.windows import WINDOWS, Window, resets_at
from fairlead.catalog.model import Price
from fairlead.catalog.pricing import most_usd_nanos
from fairlead.errors import ApiError

INSTANCE = "*"
"""The account of the whole instance. That of a key is its hash."""
UNKNOWN_OUTPUT_TOKENS = 16_384
"""The longest reply of a model of which nobody says how much it writes."""

_WINDOW_OF_RESET: dict[str | None, Window] = {
    None: "total", "daily": "daily", "weekly": "weekly", "monthly": "monthly",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Budgets:
    """The spend budgets of the whole instance, nano-USD; None does not limit."""

    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    is_credit_enforced: bool = False
    alerts: tuple[float, ...] = (0.8, 1.0)
    """Parts of a limit at which somebody is told."""
    free_per_minute: int | None = None
    free_per_day: int | None = None
    """Requests of one key to models that cost nothing."""

    def limits(self) -> tuple[AmountLimit, ...]:
        credit = (AmountLimit("total", None),) if self.is_credit_enforced else ()
        windows: tuple[tuple[Window, int | None], ...] = (
            ("daily", self.daily), ("weekly", self.weekly), ("monthly", self.monthly),
        )  # fmt: skip
        return credit + tuple(AmountLimit(window, most) for window, most in windows if most is not None)


def key_limits(key: ApiKey) -> tuple[AmountLimit, ...]:
    """Return the spend limit of a key, as its account has it."""
    if key.limit_usd_nanos is None:
        return ()
    return (AmountLimit(_WINDOW_OF_RESET[key.limit_reset], key.limit_usd_nanos),)


@dataclass(frozen=True, slots=True)
class SpendAlert:
    """A part of a limit has been spent."""

    account: str
    """Hash of a key; `*`: the whole instance."""
    window: str
    part: float
    limit_usd: str
    resets_at: int | None
    """Unix seconds; None: never."""

    @classmethod
    def parse(cls, name: str, now: float) -> "SpendAlert":
        """Read what a till calls it: account, window, part and limit in nano-USD. `now` is Unix seconds."""
        account, window, part, most = name.split(" ")
        known: Window = next(one for one in WINDOWS if one == window)
        return cls(account, window, float(part), usd_text(int(most)), resets_at(known, now))

    @property
    def text(self) -> str:
        whose = "the instance's budget" if self.account == INSTANCE else f"the limit of key {self.account[:12]}"
        return f"{self.part:.0%} of {whose} ({self.window}, {self.limit_usd} USD) is spent"


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most that a request may cost: its prompt, and as long a reply as it allows, where that is dearest."""

    prompt_tokens: int
    output_tokens: int
    prices: Sequence[Price | None]
    """Of the endpoints that may be asked. Where the price is unknown nothing can be charged."""

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def is_free(self) -> bool:
        """Whether the model that answers may cost nothing."""
        return any(price is not None and price.is_free for price in self.prices)

    @property
    def usd_nanos(self) -> int:
        known = [price for price in self.prices if price is not None]
        return max((most_usd_nanos(price, self.prompt_tokens, self.output_tokens) for price in known), default=0)

    def affordable_tokens(self, usd_nanos: int) -> int:
        """Return how many tokens of output so much money buys, after the prompt, wherever the request may go."""
        found = self.output_tokens
        for price in self.prices:
            if price is not None:
                prompt = most_usd_nanos(price, self.prompt_tokens, 0)
                completion = most_usd_nanos(price, self.prompt_tokens, 1_000) - prompt
                if prompt > usd_nanos:
                    return 0
                if completion > 0:
                    found = min(found, (usd_nanos - prompt) * 1_000 // completion)
        return found


def refuse_spend(account: str, limit: AmountLimit, left: int, asked: WorstCase) -> ApiError:
    """Return the refusal of a request that would exceed `limit`; `left` of it is not spent, in nano-USD."""
    is_credit = limit.most is None
    if left <= 0 and is_credit:
        text = "Insufficient credits. Add more: fairlead credits add USD --reason TEXT, or POST /admin/v1/credits"
        return ApiError(402, text, error_type="payment_required")
    if left <= 0 and account == INSTANCE:
        text = f"The {limit.window} budget of {_usd(limit.most or 0)} for this gateway is spent. Ask its operator"
        return ApiError(403, text, error_type="permission_denied")
    if left <= 0:
        text = f"Key limit exceeded ({limit.window} limit). Manage it using: fairlead keys, or PATCH /api/v1/keys"
        return ApiError(403, text, error_type="permission_denied")
    what = "more credits" if is_credit else f"more of the {limit.window} {_whose(account)}"
    affordable = asked.affordable_tokens(left)
    text = (
        f"This request requires {what}, or fewer max_tokens. You requested up to {asked.output_tokens} tokens, but can"
        f" only afford {affordable}."
    )
    metadata = {"affordable_tokens": affordable, "requested_tokens": asked.output_tokens, "provider_name": None}
    return ApiError(402, text, error_type="payment_required", param="max_tokens", metadata=metadata)


def refuse_held(account: str, limit: AmountLimit) -> ApiError:
    """Return the refusal of a request that would fit, if others under way did not hold what they may cost at most."""
    what = "credits are" if limit.most is None else f"{limit.window} {_whose(account)} is"
    text = f"What is left of the {what} held for requests under way. Try again when some of them have ended"
    return ApiError(429, text, error_type="rate_limit_exceeded", headers={"retry-after": "1"})


def _whose(account: str) -> str:
    return "budget of this gateway" if account == INSTANCE else "limit of this key"


def _usd(nanos: int) -> str:
    return f"${nanos / 1e9:,.2f}"


def refuse_rate(what: str, limit: int, retry_s: float, reset_unix: float) -> ApiError:
    """Return the refusal of a request beyond a rate: so many `what` per minute, time again in `retry_s`."""
    headers = {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(reset_unix * 1000)),
        "retry-after": str(max(1, int(retry_s + 0.999))),
    }
    text = f"Rate limit exceeded: {what}-per-minute ({limit}). Try again in {retry_s:.1f} s"
    shown = {_SHOWN[name]: value for name, value in headers.items() if name in _SHOWN}
    return ApiError(429, text, error_type="rate_limit_exceeded", metadata={"headers": shown}, headers=headers)


_SHOWN = {f"x-ratelimit-{part.lower()}": f"X-RateLimit-{part}" for part in ("Limit", "Remaining", "Reset")}
"""As OpenRouter spells them in a body, where case counts."""


def refuse_free_day(limit: int, now: float, reset_unix: float) -> ApiError:
    """Return the refusal of one request more to a free model than a day allows."""
    error = refuse_rate("free-models", limit, reset_unix - now, reset_unix)
    text = f"Rate limit exceeded: free-models-per-day ({limit}). The next day begins at 00:00 UTC"
    return ApiError(429, text, error_type=error.error_type, metadata=error.metadata, headers=error.headers)


def refuse_size(limit: int, tokens: int) -> ApiError:
    """Return the refusal of a request that is larger than all that a minute allows."""
    text = (
        f"This request may take up to {tokens} tokens, and this key has {limit} per minute: send fewer, or a smaller"
        " max_tokens"
    )
    return ApiError(400, text, error_type="token_limit_exceeded", param="max_tokens")


def refuse_concurrency(limit: int) -> ApiError:
    text = f"This key may have {limit} requests under way at once, and has. Try again when one of them has ended"
    return ApiError(429, text, error_type="rate_limit_exceeded", headers={"retry-after": "1"})


def refuse_unchecked() -> ApiError:
    """Return the refusal of a request whose limits cannot be asked about."""
    text = "The limits of this key cannot be checked now, since the store does not answer. Try again shortly"
    return ApiError(503, text, error_type="server", headers={"retry-after": "1"})
