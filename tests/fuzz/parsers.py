"""Every parser of what others write, and where its property tests stand. `test_parsers.py` holds the list complete.

PYTHONPATH=tests python -m fuzz.parsers      the list, with the number of property tests of each
"""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
SOURCE = TESTS.parent / "src" / "fairlead"
PROPERTY = re.compile(r"^ *@given\(", re.MULTILINE)
READS = re.compile(
    r"Decoder\(|orjson\.loads|json\.decode|json\.loads|tomllib\.|parse_qsl|urlsplit|Http(?:Request|Response)Parser"
    r"|decompressobj|\.unpack|ip_address\(|fromisoformat"
)
"""By which a module shows that it reads what is not Python's own."""

_MIRRORED = (
    # from callers
    "edge/protocol.py", "edge/head.py", "edge/body.py", "edge/query.py", "edge/json_body.py", "edge/forwarded.py",
    "edge/key_view.py", "edge/model_filters.py", "access/admit.py", "access/keys.py", "access/key_request.py",
    "access/pkce.py", "access/ticket.py", "access/preferences.py", "access/iso.py", "access/usd.py", "admin/consent.py",
    "admin/key_members.py", "admin/usage.py", "wire/request.py", "wire/preset.py", "wire/preset_config.py",
    "wire/features.py", "wire/keywords.py", "wire/tokens.py", "wire/middle_out.py", "wire/shorten.py",
    "wire/cache_key.py", "plan/auto.py", "plan/auto_options.py", "plan/variants.py", "plan/wish.py", "relay/wishes.py",
    "catalog/names.py",
    # from providers
    "upstream/connection.py", "wire/sse.py", "wire/event_frames.py", "wire/ending.py", "wire/usage.py", "wire/cost.py",
    "wire/errors.py", "wire/encoding.py", "wire/utf8.py", "wire/openrouter_chunks.py", "wire/openrouter_reply.py",
    "wire/openrouter_calls.py", "wire/openrouter_usage.py", "wire/replay.py", "relay/tap.py", "relay/pump.py",
    "health/outcome.py", "catalog/discovery.py", "catalog/pricing.py",
    # from the store
    "store/key_fields.py", "store/presets.py", "store/response_cache.py", "store/unsettled.py", "store/percentiles.py",
    "store/health.py", "store/money.py", "store/minutes.py", "telemetry/generation.py", "health/record.py",
    "access/rollup.py",
    # from the disk
    "telemetry/slots.py",
    # from the operator
    "config/sources.py", "config/load.py", "config/kinds.py", "config/members.py", "catalog/overrides.py",
    "catalog/providers.py", "upstream/origin.py",
)  # fmt: skip
BESIDE = {
    "edge/protocol.py": ["fuzz/test_requests.py"],
    "upstream/connection.py": ["fuzz/test_replies.py"],
}
"""Tests of a parser against another one, beside those in its mirror."""

ELSEWHERE = {
    "telemetry/spans.py": "the base URL of a provider, which config/kinds.py has read",
    "drill/expect.py": "reads what our own gateway answers to our own drill",
    "drill/run.py": "reads what our own gateway answers to our own drill",
    "relay/resume.py": "one number of a body that wire/request.py has read; the streams are wire/resume.py's",
    "store/sticky.py": "entries of the stream whose tests have each kind of nonsense",
    "wire/responses_call.py": "through responses_events.py and responses_reply.py, whose tests draw whole streams",
    "wire/responses_config.py": "through responses_request.py and preset_config.py, whose tests draw whole bodies",
    "wire/responses_errors.py": "through responses_events.py and responses_reply.py, whose tests draw whole streams",
    "wire/responses_read.py": "through responses_request.py, whose tests draw whole bodies",
    "wire/responses_reply.py": "tests/wire/test_responses_events.py draws whole replies for it",
    "wire/responses_said.py": "through responses_events.py and responses_reply.py, whose tests draw whole streams",
    "wire/resume.py": "tests/wire/test_resume.py draws both of its streams, and bytes",
    "config/checks.py": "through config/load.py, whose tests draw whole environments",
    "wire/openrouter_shape.py": "through openrouter_reply.py and openrouter_chunks.py, which are all that call it",
    "store/preset_ring.py": "reads what store/presets.py has read before",
    "store/places.py": "takes one URL of the operator's, which config/kinds.py has read",
    "store/redis.py": "takes one URL of the operator's, which config/kinds.py has read",
    "catalog/load.py": "reads a file that ships with the package",
    "edge/model_listing.py": "writes JSON, and reads back what it has written",
    "upstream/tcp.py": "reads what the kernel tells of a socket",
    "supervisor/demo.py": "reads what a process of ours has printed",
    "cli/gateway.py": "reads what the operator's own gateway answers",
    "demo/chat.py": "of the simulated providers, for one's own machine",
    "demo/intake.py": "of the simulated providers, for one's own machine",
    "demo/script.py": "of the simulated providers, for one's own machine",
}
"""Modules that read, and have no property tests of their own, each with the reason."""


def test_files(module):
    folder, _, name = module.rpartition("/")
    return [TESTS / folder / f"test_{name}", *(TESTS / beside for beside in BESIDE.get(module, ()))]


PARSERS = {module: test_files(module) for module in _MIRRORED}


def properties(module):
    """How many property tests there are of a parser."""
    return sum(len(PROPERTY.findall(path.read_text(encoding="utf-8"))) for path in PARSERS[module])


if __name__ == "__main__":
    for module in PARSERS:
        print(f"{properties(module):3}  {module}")  # noqa: T201 - that is what it is for
