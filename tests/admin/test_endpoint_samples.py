import pytest

from fairlead.admin.endpoint_samples import MOST_ENDPOINTS, endpoint_samples
from fairlead.admin.view import Look
from fairlead.health.record import State, Why
from fairlead.telemetry import metrics

from .catalogues import catalogue
from .test_view import NOW, known


def samples(catalog, **records):
    """By metric and labels; `_` begins the name of an account's record."""
    named = {f"@{n[1:]}" if n.startswith("_") else n if ":" in n else f"{n}:acme/large": r for n, r in records.items()}
    return {(one.metric, one.labels): one.value for one in endpoint_samples(Look(catalog, named, {}, 1.8e9))}


def states(found):
    return {labels for metric, labels in found if metric is metrics.STATE}


def test_an_endpoint_of_which_nothing_is_known_is_not_told_of():
    assert samples(catalogue(large=["a", "b"])) == {}
    assert states(samples(catalogue(large=["a", "b"]), a=known())) == {("a", "acme/large", "healthy")}


def test_states():
    out = known(state=State.EJECTED, why=Why.IN_A_ROW, until=NOW + 3)
    found = samples(
        catalogue(large=["a", "b", "c", "d"]),
        a=out,
        b=known(state=State.PROBING, lease_until=NOW + 1),
        c=known(),
        d=known(),
        _c=known(cool_until=NOW + 60),
    )
    assert states(found) == {
        ("a", "acme/large", "ejected"), ("b", "acme/large", "probing"), ("c", "acme/large", "cooling"),
        ("d", "acme/large", "healthy"),
    }  # fmt: skip


def test_figures_are_in_seconds_and_parts_of_one():
    found = samples(
        catalogue(large=["a", "b"]),
        a=known(A20=30.0, F20=3.0, N20=20.0, E20=8.0, N120=20.0, E120=8.0, K=1000.0, G=25.0, S60=50.0, M60=1.0),
        b=known(A20=10.0),
    )
    at = ("a", "acme/large")
    assert found[metrics.SHARE, at] == pytest.approx(0.75)
    assert found[metrics.SHARE, ("b", "acme/large")] == pytest.approx(0.25)
    assert found[metrics.ENDPOINT_TOKEN, at] == pytest.approx(0.025)
    assert found[metrics.ENDPOINT_ERRORS, at] == pytest.approx(0.1)
    assert found[metrics.ENDPOINT_CUTS, at] == pytest.approx(0.02)
    assert found[metrics.ENDPOINT_FIRST_TOKEN, at] == pytest.approx(0.4, abs=0.05)
    assert found[metrics.ENDPOINT_IN_FLIGHT, at] == 0.0
    assert (metrics.ENDPOINT_TOKEN, ("b", "acme/large")) not in found, "nothing has been seen of it"


def test_of_very_many_the_busiest_are_told_and_who_is_out():
    providers = [f"p{n}" for n in range(MOST_ENDPOINTS + 50)]
    records = {name: known(A20=float(n + 1)) for n, name in enumerate(providers)}
    records["p0"] = known(A20=1.0, state=State.EJECTED, until=NOW + 3)
    found = samples(catalogue(large=providers), **records)
    assert len(states(found)) == MOST_ENDPOINTS + 1
    assert ("p0", "acme/large", "ejected") in states(found)
    assert ("p1", "acme/large", "healthy") not in states(found)
