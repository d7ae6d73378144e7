import pytest

from fairlead.admin.view import Known, Look, Standing, fleet_view, standing
from fairlead.health import sums
from fairlead.health.endpoint import VERDICTS
from fairlead.health.histogram import FIRST_TOKEN, Histogram
from fairlead.health.outcome import Verdict
from fairlead.health.record import Record, State, Why

from .catalogues import catalogue

NOW = 5_000.0
LIMIT, AUTH = VERDICTS.index(Verdict.LIMIT), VERDICTS.index(Verdict.AUTH)


def known(now=NOW, **members):
    """A record as of now; `members` that are names of sums are those."""
    values = sums.zeros()
    for name in [name for name in members if name.isupper() or name[0].isupper()]:
        values[getattr(sums, name)] = members.pop(name)
    return Known(Record(**({"born": 1.0, "at": NOW} | members), sums=values), now)


def view(catalog=None, first_tokens=None, *, is_active_only=False, is_store_away=False, **records):
    """The view of records named for their providers, which serve acme/large; `_` begins the name of an account's."""
    named = {f"@{n[1:]}" if n.startswith("_") else n if ":" in n else f"{n}:acme/large": r for n, r in records.items()}
    look = Look(catalog or catalogue(large=["a", "b"]), named, first_tokens or {}, 1_700_000_000.0, is_store_away)
    return fleet_view(look, is_active_only=is_active_only)


def row(found, provider="a"):
    (it,) = [row for row in found["endpoints"] if row["provider"] == provider]
    return it


def provider(found, slug="a"):
    (it,) = [row for row in found["providers"] if row["provider"] == slug]
    return it


class TestStanding:
    @pytest.mark.parametrize(
        ("record", "expected"),
        [
            (None, Standing("healthy")),
            (known(), Standing("healthy")),
            (known(state=State.EJECTED, why=Why.IN_A_ROW, until=NOW + 3), Standing("ejected", "failures in a row", 3)),
            (known(state=State.EJECTED, why=Why.SLOW, until=NOW - 3), Standing("ejected", "far slower than usual", 0)),
            (
                known(state=State.EJECTED, why=Why.SHARE, until=NOW + 3, cool_until=NOW + 9),
                Standing("ejected", "share of failures", 9),  # no probe goes before
            ),
            (
                known(state=State.PROBING, why=Why.PROBE, lease_until=NOW + 1),
                Standing("probing", "the probe failed", 1),
            ),
            (known(cool_until=NOW + 7, cool_why=LIMIT), Standing("cooling", "limit", 7)),
            (known(cool_until=NOW - 7, cool_why=LIMIT), Standing("healthy")),
        ],
    )
    def test_of_an_endpoint(self, record, expected):
        assert standing(record, None) == expected

    def test_an_account_that_cools_down_takes_its_endpoints_with_it(self):
        account = known(cool_until=NOW + 60, cool_why=AUTH)
        assert standing(known(), account) == standing(None, account) == Standing("cooling", "its account: auth", 60)
        ejected = known(state=State.EJECTED, why=Why.SLOW, until=NOW + 1)
        assert standing(ejected, account).state == "ejected"
        assert standing(known(), known(cool_until=NOW - 1)).state == "healthy"

    def test_time_is_that_of_each_records_own_clock(self):
        account = known(now=100.0, cool_until=130.0, cool_why=AUTH)
        assert standing(known(), account).seconds_left == 30.0


class TestFigures:
    def test_ratios_and_rates(self):
        found = row(
            view(a=known(E20=4.0, N20=10.0, K=500.0, G=10.0, A20=20.0, F20=5.0, S60=40.0, M60=1.0, C=5.0, W=2.0))
        )
        assert found["first_token_ms"] == {"mean": 400.0, "p50": None, "p95": None}
        assert found["tokens_per_s"] == 50.0
        assert (found["error_share"], found["cut_share"]) == (0.25, 0.025)
        assert (found["in_flight"], found["waiting"], found["attempts_per_s"]) == (6.9, 3.5, 0.693)

    def test_steady_traffic_is_told_as_it_is(self):
        """Ten attempts a second, three in flight at any time, one of them waiting."""
        steady = known()
        for _ in range(2_000):
            steady.record.sums = sums.decayed(steady.record.sums, 0.1)
            for index in (sums.A20, sums.N20):
                steady.record.sums[index] += 1.0
            steady.record.sums[sums.E20] += 0.1
            sums.add_span(steady.record.sums, sums.C, 0.3, 0.1)
            sums.add_span(steady.record.sums, sums.W, 0.1, 0.1)
        found = row(view(a=steady))
        assert found["attempts_per_s"] == pytest.approx(10.0, rel=0.01)
        assert (found["in_flight"], found["waiting"]) == (3.0, 1.0)
        assert found["first_token_ms"]["mean"] == 100.0

    def test_when_little_has_come_lately_the_mean_looks_further_back(self):
        found = row(view(a=known(E20=0.9, N20=0.3, E120=2.0, N120=8.0)))
        assert found["first_token_ms"]["mean"] == 250.0

    def test_percentiles_are_the_histograms(self):
        found = row(view(first_tokens={"a:acme/large": Histogram(FIRST_TOKEN, {30: 9.0, 60: 1.0})}, a=known()))
        assert found["first_token_ms"]["p50"] == round(1e3 * FIRST_TOKEN.value(30), 1)
        assert found["first_token_ms"]["p95"] == round(1e3 * FIRST_TOKEN.value(60), 1)

    def test_nothing_is_made_up_for_an_endpoint_that_rests(self):
        found = row(view(a=known(at=NOW - 3_000, A20=50.0, F20=50.0, N120=9.0, E120=9.0, K=10.0, G=1.0, S60=9.0)))
        nothing = {"error_share", "cut_share", "tokens_per_s", "share"}
        assert {name for name in nothing if found[name] is not None} == set()
        assert set(found["first_token_ms"].values()) == {None}
        assert found["attempts_per_s"] == 0.0
        assert not found["unknown"]

    def test_sums_decay_from_the_instant_of_the_record(self):
        found = row(view(a=known(at=NOW - 20.0, A20=20.0)))
        assert found["attempts_per_s"] == pytest.approx(0.347, abs=1e-3)


class TestRow:
    def test_shares_of_a_model_add_up(self):
        found = view(a=known(A20=30.0), b=known(A20=10.0))
        assert (row(found, "a")["share"], row(found, "b")["share"]) == (0.75, 0.25)

    def test_the_last_ejection_is_told_after_the_recovery_too(self):
        found = row(view(a=known(level=2.0, last_why=Why.BROKEN_OFF, last_ejected_at=NOW - 90)))
        assert found["state"] == "healthy"
        assert found["last_ejection"] == {"seconds_ago": 90.0, "why": "replies broken off"}
        assert found["level"] == 2
        assert row(view(a=known()))["last_ejection"] is None

    def test_what_routing_believes(self):
        found = row(view(a=known(N120=100.0, E120=20.0, R0=100.0, cap_rate=10.0, cap_at=NOW)))
        assert found["expected_ms"] == pytest.approx(200, rel=0.1)
        assert found["rate_cap"] == 9.2
        assert found["elasticity"] == 0.2  # what is believed until load has varied
        nothing = row(view(a=known()))
        assert (nothing["rate_cap"], nothing["elasticity"]) == (None, None)

    def test_one_never_heard_of_is_unknown_and_can_be_left_out(self):
        found = view(a=known())
        assert (row(found, "a")["unknown"], row(found, "b")["unknown"]) == (False, True)
        assert set(row(found, "a")) == set(row(found, "b"))
        assert list(row(found, "a")) == list(row(found, "b"))
        assert [row["provider"] for row in view(a=known(), is_active_only=True)["endpoints"]] == ["a"]

    def test_one_that_the_catalogue_does_not_have_is_not_told(self):
        found = view(a=known(), gone=known(A20=10.0))
        assert [row["provider"] for row in found["endpoints"]] == ["a", "b"]

    def test_names(self):
        found = row(view(a=known()))
        assert (found["id"], found["model"], found["provider"]) == ("a:acme/large", "acme/large", "a")


class TestProviders:
    def test_figures_are_those_of_all_its_endpoints(self):
        records = {
            "a:acme/large": known(N20=1.0, E20=1.0, A20=10.0, F20=5.0),
            "a:acme/small": known(N20=9.0, E20=1.0, A20=30.0),
            "b:acme/large": known(A20=60.0),
        }
        found = view(catalogue(large=["a", "b"], small=["a"]), **records)
        it = provider(found)
        assert (it["endpoints"], it["out"], it["share"]) == (2, 0, 0.4)
        assert it["first_token_ms"] == {"mean": 200.0}
        assert it["error_share"] == 0.125
        assert it["attempts_per_s"] == pytest.approx(
            sum(r["attempts_per_s"] for r in found["endpoints"][::2]), abs=0.01
        )

    def test_how_many_are_out(self):
        ejected = known(state=State.EJECTED, why=Why.SLOW, until=NOW + 1)
        found = view(catalogue(large=["a"], small=["a"]), a=ejected)
        assert (provider(found)["endpoints"], provider(found)["out"]) == (2, 1)

    def test_the_account(self):
        found = view(_a=known(cool_until=NOW + 60, cool_why=AUTH), a=known())
        assert provider(found)["account"] == {"state": "cooling", "reason": "auth", "seconds_left": 60.0}
        assert provider(found)["out"] == 1
        assert provider(found, "b")["account"] == {"state": "ok", "reason": None, "seconds_left": None}
        assert row(found)["reason"] == "its account: auth"

    def test_one_of_which_nothing_is_known(self):
        it = provider(view(), "b")
        assert (it["endpoints"], it["share"], it["attempts_per_s"]) == (1, None, 0.0)


def test_a_store_that_is_away_is_told():
    assert view()["store"] == "ok"
    assert view(is_store_away=True)["store"] == "away"
    assert view()["at"] == 1_700_000_000.0
