"""Writes the catalogue that fairlead ships: src/fairlead/catalog/data/models.json.

    python deploy/catalog/generate.py                      as of the committed date
    python deploy/catalog/generate.py --as-of 2026-12-01   prices in force on another day
    python deploy/catalog/generate.py --check              write nothing; exit 1 when the file would change

Prices come from the package genai-prices, everything else from models.toml and endpoints.toml beside this script. The
same inputs give the same bytes.
"""

import argparse
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data import providers as price_lists
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from fairlead.catalog.names import canonical
from fairlead.catalog.pricing import price_from_usd_per_mtok
from fairlead.catalog.providers import BY_SLUG

HERE = Path(__file__).parent
OUTPUT = HERE.parents[1] / "src/fairlead/catalog/data/models.json"

Json = dict[str, Any]

AUTHOR_NAMES = {
    "bytedance-seed": "ByteDance Seed", "deepseek": "DeepSeek", "meta-llama": "Meta", "minimax": "MiniMax",
    "mistralai": "Mistral", "moonshotai": "MoonshotAI", "nousresearch": "Nous", "nvidia": "NVIDIA", "openai": "OpenAI",
    "stepfun": "StepFun", "thinkingmachines": "Thinking Machines", "x-ai": "xAI", "z-ai": "Z.AI",
}  # fmt: skip

OPEN_SAMPLING = (
    "temperature top_p top_k min_p frequency_penalty presence_penalty repetition_penalty logit_bias logprobs "
    "top_logprobs seed stop"
)
SAMPLING = {
    "anthropic": "temperature top_p top_k stop",
    "google": "temperature top_p seed stop",
    "mistralai": "temperature top_p frequency_penalty presence_penalty seed stop",
    "openai": "temperature top_p frequency_penalty presence_penalty logit_bias logprobs top_logprobs seed stop",
    "perplexity": "temperature top_p top_k frequency_penalty presence_penalty",
    "x-ai": "temperature top_p logprobs top_logprobs seed",
}
"""What `can = "sampling"` means for an author; open weights are served by engines that take nearly everything."""

ALWAYS = {"anthropic": "", "openai": "seed", "x-ai": "seed"}
CAPABILITIES = {
    "reasoning": "reasoning include_reasoning reasoning_effort",
    "structured": "response_format structured_outputs",
    "tools": "tools tool_choice",
    "verbosity": "verbosity",
}
PARALLEL_TOOLS = {"anthropic", "mistralai", "openai", "x-ai"}


def main() -> int:
    options = _options()
    old = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    if not old and options.as_of is None:
        raise SystemExit(f"{OUTPUT} does not exist yet: say --as-of which day's prices to take")
    new = catalogue(options.as_of or date.fromisoformat(old["as_of"]))
    for line in changes(old, new):
        sys.stdout.write(line + "\n")
    text = dump(new)
    if options.check:
        return int(not OUTPUT.exists() or OUTPUT.read_text() != text)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-of", type=date.fromisoformat, help="day whose prices are taken")
    parser.add_argument("--check", action="store_true", help="only compare")
    return parser.parse_args()


def catalogue(as_of: date) -> Json:
    """Everything that goes into the file."""
    facts = tomllib.loads((HERE / "models.toml").read_text())
    known = {model: model for model in facts} | {also: m for m, fact in facts.items() for also in fact.get("also", ())}
    endpoints = _endpoints(known, as_of)
    sets: dict[str, list[str]] = {}
    models = {m: _model(m, facts[m], endpoints.get(m, {}), sets) for m in sorted(facts)}
    also = _dated(known)
    for model, spellings in also.items():
        models[model]["also"] = sorted({*models[model].get("also", ()), *spellings})
    return {
        "source": f"genai-prices {version('genai-prices')}",
        "as_of": as_of.isoformat(),
        "parameter_sets": dict(sorted(sets.items())),
        "models": models,
    }


def _model(model: str, fact: Json, endpoints: Json, sets: dict[str, list[str]]) -> Json:
    author = model.partition("/")[0]
    key = f"{author} {fact['can']}" if author in SAMPLING.keys() | ALWAYS.keys() else fact["can"]
    sets[key] = parameters(author, fact["can"].split())
    released = fact.get("released")
    price = _list_price(author, endpoints)
    line = {
        "name": f"{AUTHOR_NAMES.get(author, author.capitalize())}: {fact['name']}",
        "created": int(datetime.combine(released, time(), UTC).timestamp()) if released else None,
        "context": fact.get("context"),
        "output": fact.get("output"),
        "input": fact["input"],
        "gives": fact.get("gives"),
        "parameters": key,
        "price": price,
        "also": fact.get("also"),
        "estimated": fact.get("estimated"),
        "on": {slug: _unlike(price, endpoint) for slug, endpoint in endpoints.items()},
    }
    return {name: value for name, value in line.items() if value is not None}


def parameters(author: str, can: list[str]) -> list[str]:
    """OpenRouter's names of the request members that a model understands."""
    names = {"max_tokens", "max_completion_tokens", *ALWAYS.get(author, "").split()}
    if "sampling" in can:
        names.update(SAMPLING.get(author, OPEN_SAMPLING).split())
    for capability in can:
        names.update(CAPABILITIES.get(capability, "").split())
    if "tools" in can:
        names.add("response_format")
        names.update({"parallel_tool_calls"} if author in PARALLEL_TOOLS else ())
    return sorted(names)


def _endpoints(known: Mapping[str, str], as_of: date) -> dict[str, Json]:
    """Per model: provider slug to `{id, price?}`. Two ids of one provider for one model are an error to be settled."""
    found: dict[str, Json] = {}
    for slug, rule in tomllib.loads((HERE / "endpoints.toml").read_text()).items():
        serves = dict(_served(slug, rule, known, as_of)) | {m: {"id": m} for m in rule.get("unpriced", ())}
        for model, by_hand in rule.get("serves", {}).items():
            serves[model] = _by_hand(by_hand, rule, as_of)
        for model, endpoint in serves.items():
            found.setdefault(model, {})[slug] = endpoint
    return found


def _served(slug: str, rule: Json, known: Mapping[str, str], as_of: date) -> Iterator[tuple[str, Json]]:
    taken = dict.fromkeys(rule.get("serves", ()), "by hand")
    builtin = BY_SLUG[slug]
    for entry in _price_list(rule["prices"]).models if "prices" in rule else ():
        if entry.deprecated or re.fullmatch(rule.get("skip", ""), entry.id):
            continue
        model = canonical(entry.id, builtin.home, known, are_ids_canonical=builtin.are_ids_canonical)
        price = _price(entry, as_of)
        if model not in known or price is None or taken.get(model) == "by hand":
            continue
        if model in taken:
            raise SystemExit(f"{slug}: {taken[model]} and {entry.id} are both {model}; settle it in endpoints.toml")
        taken[model] = entry.id
        name = entry.id.lower() if rule.get("is_lower_case") else entry.id
        yield model, {"id": rule.get("prefix", "") + name, "price": price}


def _by_hand(served: str | Json, rule: Json, as_of: date) -> Json:
    if isinstance(served, dict):
        return {"id": served["id"]} | ({"price": _price_of_hand(served["price"])} if "price" in served else {})
    entry = _price_list(rule["prices"]).find_model(served)
    price = _price(entry, as_of) if entry else None
    if price is None:
        raise SystemExit(f"{rule['prices']} has no price of {served!r}; give one in endpoints.toml")
    return {"id": served, "price": price}


def _price_list(name: str) -> Any:
    return next(prices for prices in price_lists if prices.id == name)


def _list_price(author: str, endpoints: Json) -> Json | None:
    """What the author asks, unless it gives the model away; else what OpenRouter asks; else the least anybody asks."""
    prices: dict[str, Json] = {slug: endpoint["price"] for slug, endpoint in endpoints.items() if "price" in endpoint}
    for slug, price in prices.items():
        if author in BY_SLUG[slug].authors and price["completion"]:
            return price
    return prices.get("openrouter") or min(prices.values(), key=lambda price: price["prompt"], default=None)


def _unlike(price: Json | None, endpoint: Json) -> Json:
    """The endpoint, without a price that is the list price."""
    return {key: value for key, value in endpoint.items() if key != "price" or value != price}


PRICE_KEYS = {
    "prompt": "input_mtok",
    "completion": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
}


def _price(entry: ModelInfo, as_of: date) -> Json | None:
    """The price in force; None when the model is not sold by tokens of both directions."""
    price = _usual(entry, as_of)
    values = {key: getattr(price, name) for key, name in PRICE_KEYS.items()}
    if values["prompt"] is None or values["completion"] is None:
        return None
    starts = {tier.start for value in values.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    tiers = [
        {"above_tokens": start, "price": _micros({key: _at(value, start) for key, value in values.items()})}
        for start in sorted(starts)
    ]
    return _micros({k: _at(v, -1) for k, v in values.items()}) | ({"tiers": tiers} if tiers else {})


def _usual(entry: ModelInfo, as_of: date) -> ModelPrice:
    """The price that holds for most of the day; DeepSeek's depends on the hour."""
    if isinstance(entry.prices, ModelPrice):
        return entry.prices
    hours = [entry.get_prices(datetime.combine(as_of, time(hour, 59), UTC)) for hour in range(24)]
    shares = Counter(str(price) for price in hours)
    return max(hours, key=lambda price: shares[str(price)])


def _at(value: Decimal | TieredPrices | None, start: int) -> Decimal | None:
    """The price of a prompt just above `start` tokens."""
    if not isinstance(value, TieredPrices):
        return value
    return next((tier.price for tier in reversed(value.tiers) if tier.start <= start), value.base)


def _price_of_hand(price: Json) -> Json:
    return _micros({key: price.get(key) for key in PRICE_KEYS})


def _micros(price: Mapping[str, Decimal | float | None]) -> Json:
    return {key: price_from_usd_per_mtok(value) for key, value in price.items() if value is not None}


DATE = re.compile(r"-20\d{2}(-\d{2}-\d{2}|\d{4})$")


def _dated(known: Mapping[str, str]) -> dict[str, set[str]]:
    """Dated ids that the price lists count as a model of ours: `openai/gpt-5-mini-2025-08-07`."""
    found: dict[str, set[str]] = {}
    for name, author in (("openai", "openai/"), ("openrouter", "")):
        for entry in _price_list(name).models:
            for clause in getattr(entry.match, "or_", [entry.match]):
                spelling = f"{author}{getattr(clause, 'equals', '')}"
                # The clauses name whatever costs the same; only the model's own name with a date is the same model.
                if spelling not in known and DATE.sub("", spelling) == author + entry.id in known:
                    found.setdefault(known[author + entry.id], set()).add(spelling)
    return found


def dump(data: Json) -> str:
    """JSON with one model per line, so that a diff reads as a list of changes."""
    head = {key: value for key, value in data.items() if key not in ("models", "parameter_sets")}
    lines = [f'"{key}":{_compact(value)}' for key, value in head.items()]
    lines += [f'"{key}":{{\n{_lines(data[key])}\n}}' for key in ("parameter_sets", "models")]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(table: Json) -> str:
    return ",\n".join(f'"{key}":{_compact(value)}' for key, value in table.items())


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def changes(old: Json, new: Json) -> Iterator[str]:
    """One line per difference, for the person who runs this."""
    for key in ("source", "as_of"):
        if old.get(key) != new[key]:
            yield f"{key}: {old.get(key)} -> {new[key]}"
    before, after = old.get("models", {}), new["models"]
    for model in sorted({*before, *after}):
        if model not in before:
            yield f"+ {model}: {', '.join(after[model]['on']) or 'nowhere'}"
        elif model not in after:
            yield f"- {model}"
        elif before[model] != after[model]:
            fields = (f for f in {**before[model], **after[model]} if before[model].get(f) != after[model].get(f))
            yield f"~ {model}: " + "; ".join(
                f"{f} {_compact(before[model].get(f))} -> {_compact(after[model].get(f))}" for f in fields
            )


if __name__ == "__main__":
    raise SystemExit(main())
