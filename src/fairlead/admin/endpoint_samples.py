"""What the fleet knows of its endpoints, as metrics: the figures of `admin/view.py`, in seconds and parts of one."""

from collections.abc import Iterator

from fairlead.admin.view import Look, standing
from fairlead.health import sums
from fairlead.health.board import ACCOUNT
from fairlead.health.estimate import estimate, prior_of
from fairlead.health.sums import A20, F20, HALF_LIVES_S, LN2, M60, N120, S60, C, G, K
from fairlead.telemetry import metrics
from fairlead.telemetry.exposition import Sample

MOST_ENDPOINTS = 300
"""Those with the most attempts lately; of the rest only that they are out, if they are."""
_SEEN = 0.01
"""Less of a decayed count says nothing of now."""


def endpoint_samples(look: Look) -> list[Sample]:
    """Return all of it, of endpoints about which something is known."""
    known = {name: (one, one.sums()) for name, one in look.known.items()}
    by_use = sorted((name for name in known if not name.startswith(ACCOUNT)), key=lambda name: -known[name][1][A20])
    told, samples = set(by_use[:MOST_ENDPOINTS]), []
    for served in look.catalog.endpoints.values():
        heard = [known[endpoint.id] for endpoint in served if endpoint.id in known]
        if not heard:
            continue
        attempts = sum(s[A20] for _, s in heard)
        prior = prior_of(s for _, s in heard if s[N120])
        for endpoint in served:
            one, s = known.get(endpoint.id, (None, sums.zeros()))
            if one is None:
                continue
            state = standing(one, look.known.get(ACCOUNT + endpoint.provider.slug)).state
            labels = (endpoint.provider.slug, endpoint.model.id)
            if endpoint.id in told or state != "healthy":
                samples.append(Sample(metrics.STATE, (*labels, state), 1.0))
            if endpoint.id in told:
                samples.append(Sample(metrics.ENDPOINT_FIRST_TOKEN, labels, estimate(s, prior).first_token_s))
                samples += _figures(labels, s, attempts)
    return samples


def _figures(labels: tuple[str, str], s: list[float], attempts: float) -> Iterator[Sample]:
    yield Sample(metrics.ENDPOINT_IN_FLIGHT, labels, s[C] * LN2 / HALF_LIVES_S[C])
    for metric, part, whole in (
        (metrics.SHARE, s[A20], attempts),
        (metrics.ENDPOINT_TOKEN, s[G], s[K]),
        (metrics.ENDPOINT_ERRORS, s[F20], s[A20]),
        (metrics.ENDPOINT_CUTS, s[M60], s[S60]),
    ):
        if whole >= _SEEN:
            yield Sample(metric, labels, part / whole)
