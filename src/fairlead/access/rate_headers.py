"""What a reply says of the rates that its key is held to, in OpenAI's headers."""

from fairlead.access.lease import RateLease

Headers = list[tuple[bytes, bytes]]


def rate_headers(requests: RateLease | None, tokens: RateLease | None, now: float) -> Headers:
    """Return `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, as this worker knows them at `now` (monotonic).

    What remains is the whole fleet's, as of the last draw, and what this worker has left of that; it may be stale by
    as much as the other workers have used since.
    """
    found: Headers = []
    for name, lease in ((b"requests", requests), (b"tokens", tokens)):
        if lease is not None:
            remaining = min(max(lease.remaining + lease.available, 0), lease.limit.per_minute)
            reset_s = max(lease.reset_s - (now - lease.drawn_at), 0.0)
            found += [
                (b"x-ratelimit-limit-%b" % name, b"%d" % lease.limit.per_minute),
                (b"x-ratelimit-remaining-%b" % name, b"%d" % remaining),
                (b"x-ratelimit-reset-%b" % name, b"%.3fs" % reset_s),
            ]
    return found
