"""US dollars at the border: decimal numbers outside, whole nano-USD (10**-9 USD) inside. No float is reckoned with."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

NANOS_PER_USD = 10**9
MOST_USD = 8_000_000
"""Of one amount. Up to 2**23 USD two neighbouring floats are less than a nano-USD apart, so that JSON tells every
amount exactly; and the store's scripts, which count in floats, are exact up to 2**53 nano-USD."""


def usd_text(nanos: int) -> str:
    """Return an amount in USD, exact and as short as can be: `0.000000001`, `-3`, `12.5`. It is a JSON number too."""
    sign = "-" if nanos < 0 else ""
    whole, rest = divmod(abs(nanos), NANOS_PER_USD)
    return f"{sign}{whole}.{rest:09}".rstrip("0").rstrip(".")


def usd_of(nanos: int) -> float:
    """Return nano-USD as USD: the float next to it, whose shortest text is the exact amount (up to MOST_USD)."""
    return nanos / NANOS_PER_USD


def usd_nanos(value: str | float | Decimal, *, can_be_negative: bool = False) -> int:
    """Read an amount in USD, rounded half up (away from 0) to nano-USD. A float goes by its shortest text: 0.1 is 1/10.

    Raises ValueError, with a text for people, for what is no number, out of range, or negative unless that is allowed.
    """
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{str(value)[:50]!r} is not an amount in USD") from None
    if isinstance(value, bool) or not number.is_finite():
        raise ValueError(f"{str(value)[:50]!r} is not an amount in USD")
    if number < 0 and not can_be_negative:
        raise ValueError(f"{value} USD is negative")
    if not -MOST_USD <= number <= MOST_USD:  # abs() would overflow at an exponent of a billion
        raise ValueError(f"{str(value)[:50]} USD is more than {MOST_USD:,}; check the unit")
    return int((number * NANOS_PER_USD).to_integral_value(rounding=ROUND_HALF_UP))
