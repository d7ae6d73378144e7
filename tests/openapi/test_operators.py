import json

from fairlead.admin.events import change_event
from fairlead.health.record import Change
from fairlead.openapi.operation import ADMIN, EVENTS, MANAGEMENT
from fairlead.openapi.operators import CHANGE, PATHS


def test_what_is_the_operator_s_wants_a_key():
    for path, item in PATHS.items():
        if path.startswith("/admin/"):
            assert all(operation.security in (ADMIN, MANAGEMENT) for operation in item.values()), path


def test_health_figures_and_the_document_want_none():
    public = {path for path, item in PATHS.items() if not any(one.security for one in item.values())}
    assert public == {
        "/livez", "/readyz", "/healthz", "/health", "/metrics", "/auth", "/openapi.json", "/docs", "/docs/docs.css",
        "/docs/docs.js",
    }  # fmt: skip


def test_a_gateway_that_drains_says_so_in_its_own_words():
    told = PATHS["/readyz"]["get"].json()["responses"]
    assert told["503"]["content"] == told["200"]["content"]


def test_events_are_a_stream():
    assert EVENTS in PATHS["/admin/v1/events"]["get"].replies[200].content


def test_an_event_has_the_members_that_are_described():
    told = change_event(Change("a/b", "acme:a/b", "ejected", 3.0, 1, 7), 1.5)
    assert set(json.loads(told.split(b"data: ")[1])) == set(CHANGE["properties"])
