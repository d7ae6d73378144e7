"""Choosing a model for `auto`. The targets: features of 60 KB in 100 µs, features and choice among 300 in 300 µs."""

import json
from collections.abc import Sequence
from functools import partial

from bench.micro.timing import Case
from fairlead.access.keys import ApiKey
from fairlead.catalog.load import ProviderModels, build, builtin
from fairlead.catalog.model import Catalog, Provider
from fairlead.catalog.overrides import NO_OVERRIDES
from fairlead.health.board import HealthBoard
from fairlead.plan.auto import AutoPolicy, AutoRouter, is_auto
from fairlead.plan.auto_options import NO_OPTIONS, AutoOptions
from fairlead.plan.outlook import board_outlook
from fairlead.plan.score import Ask
from fairlead.plan.wish import ANYTHING, Wish
from fairlead.wire.features import Features, features_of
from fairlead.wire.keywords import Keywords

_KEY = ApiKey("", "bench", "")
_NOW = 1000.0
_TRIGGERS = (("prove", "high"), ("refactor", "high"), ("证明", "max"), ("重构", "high"), ("translate", "low"))


def _catalog() -> Catalog:
    """Every built-in model at each of three providers, so some 300 models with 900 endpoints."""
    snapshot = builtin()
    declared = tuple((model_id, model_id) for model_id in snapshot.models)
    providers = [ProviderModels(Provider(f"p{n}", f"P{n}", "http://localhost"), declared) for n in range(3)]
    return build(snapshot, NO_OVERRIDES, providers)


def _agent(turns: int, tool_bytes: int) -> dict[str, bytes]:
    """An agent's body in the middle of its work: a long system prompt, many steps with results, a dozen tools."""
    messages: list[dict[str, object]] = [{"role": "system", "content": "You are an agent. Be careful. " * 400}]
    for n in range(turns):
        call = {"id": f"c{n}", "type": "function", "function": {"name": "read", "arguments": '{"path": "a/b.py"}'}}
        messages.append({"role": "user", "content": f"Now look at file {n} and tell me why the test fails."})
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{n}", "content": 'def f(x):\n    return "{}"\n' * 60})
    tools = [{"type": "function", "function": {"name": f"t{n}", "description": "x" * tool_bytes}} for n in range(12)]
    members = {"messages": messages, "tools": tools, "stream": True, "max_completion_tokens": 8192}
    return {name: json.dumps(value, ensure_ascii=False).encode() for name, value in members.items()}


def _chat(text: str, *, is_ascii: bool = False) -> dict[str, bytes]:
    return {"messages": json.dumps([{"role": "user", "content": text}], ensure_ascii=is_ascii).encode()}


def cases() -> Sequence[Case]:
    """Features by size and script; the choice alone, with health, with filters, with a tier; what others pay."""
    catalog = _catalog()
    auto = AutoRouter(catalog, AutoPolicy(triggers=_TRIGGERS))
    keywords = Keywords(word for word, _ in _TRIGGERS)
    agent = _agent(24, 800)
    bodies = {
        "a greeting": _chat("hello there"),
        "2 KB of text": _chat("The reverse proxy stands before the others. " * 46),
        "2 KB of Chinese": _chat("反向代理站在其他服务器之前。" * 50),
        "2 KB of Chinese, escaped": _chat("反向代理站在其他服务器之前。" * 50, is_ascii=True),
        f"an agent's {sum(map(len, agent.values())) / 1000:.0f} KB": agent,
    }
    outlook = board_outlook(catalog, HealthBoard(), Ask(), _NOW)
    features = features_of(agent.get, keywords)
    zdr = Wish(denies_collection=True)
    tools = Wish(needs=frozenset(("tools",)))

    def both() -> list[str]:
        found: Features = features_of(agent.get, keywords)
        return auto.choose(found, tools, _KEY, NO_OPTIONS, outlook, found.conversation)

    return [
        *(Case(f"features of {name}", partial(features_of, body.get, keywords)) for name, body in bodies.items()),
        Case("choose among 300", lambda: auto.choose(features, ANYTHING, _KEY, session=7)),
        Case("choose, with health", lambda: auto.choose(features, tools, _KEY, NO_OPTIONS, outlook, 7)),
        Case("choose, none passes a filter", lambda: auto.choose(features, zdr, _KEY, NO_OPTIONS, outlook, 7)),
        Case("choose, a tier", lambda: auto.choose(features, ANYTHING, _KEY, AutoOptions(tier="high"), outlook, 7)),
        Case("features and choice", both),
        Case("build, 300 models", lambda: AutoRouter(catalog)),
        Case("is it auto? no", lambda: is_auto(catalog, "openai/gpt-5")),
    ]
