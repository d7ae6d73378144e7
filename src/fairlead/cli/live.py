"""`fairlead check --live`: does each provider answer, and take its key."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairlead.config import ProviderSettings, Settings
    from fairlead.upstream.ping import Pinged

Row = Mapping[str, object]
_RED, _GREEN, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def ask_all(settings: "Settings", timeout_s: float) -> "list[tuple[ProviderSettings, Pinged]]":
    """Ask all configured providers at once."""
    import aiohttp

    from fairlead.derived import proxy_rule, upstream_tls
    from fairlead.upstream.ping import ping

    tls, rule = upstream_tls(settings), proxy_rule(settings)

    async def ask() -> "list[Pinged]":
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(
                *(ping(session, tls, item.provider, rule, timeout_s) for item in settings.providers)
            )

    return list(zip(settings.providers, asyncio.run(ask()), strict=True))


def row_of(item: "ProviderSettings", pinged: "Pinged", timeout_s: float) -> Row:
    """Return what is told of a provider: `ok`, or what is wrong and what to do about it. Neither has a key in it."""
    from fairlead.catalog.providers import BY_SLUG

    provider = item.provider
    builtin = BY_SLUG.get(provider.slug)
    needs_list = item.declared_models is None and (builtin is None or builtin.is_discoverable)
    problem, remedy = _judged(provider.slug, pinged, timeout_s, needs_list=needs_list)
    return {
        "provider": provider.slug,
        "ok": not problem,
        "status": pinged.status or None,
        "latency_ms": round(1000 * pinged.seconds) if pinged.status else None,
        "models": pinged.models,
        "has_key": provider.api_key is not None,
        "is_key_known": pinged.is_key_known,
        "problem": problem or None,
        "remedy": remedy or None,
    }


def _judged(slug: str, pinged: "Pinged", timeout_s: float, *, needs_list: bool) -> tuple[str, str]:
    """Return what is wrong and the remedy; nothing if nothing is. No list is needed where models are declared."""
    key, url = variables(slug)
    status = pinged.status
    if pinged.fault is not None:
        return {
            "name": ("its host is not known", f"correct {url}, or see whether this machine resolves names"),
            "certificate": ("its certificate is not trusted", "name its authority in SSL_CERT_FILE"),
            "proxy": ("the proxy does not connect to it", "correct HTTPS_PROXY, or name its host in NO_PROXY"),
            "refused": ("no connection", f"see whether it runs and {url} is right, and no firewall is between"),
            "timeout": (f"no answer within {timeout_s:g} s", f"see whether {url} is right; --timeout waits longer"),
            "broken": ("its answer is not HTTP", f"correct {url}: scheme and port"),
        }[pinged.fault]
    if status == 200 and (pinged.models is not None or not needs_list):
        return "", ""
    if status in (404, 405) and not needs_list:
        return "", ""
    if status == 200:
        return "its answer is no list of models", f"correct {url}: the path, as a rule /v1, belongs to it"
    if status in (401, 403):
        return f"it refuses the key ({status})", f"correct {key}"
    if status == 402:
        return "its account has no credit (402)", "add some there"
    if status == 429:
        return "it takes no more requests now (429)", "wait, or raise the limits of the account there"
    if 300 <= status < 400:
        return f"it redirects ({status}), which is not followed", f"set {url} to where it is"
    if status >= 500:
        return f"it fails ({status})", "try again later; its status page may say more"
    return f"it does not know /models ({status})", f"correct {url}: the path, as a rule /v1, belongs to it"


def variables(slug: str) -> tuple[str, str]:
    """Return what a provider's key and base URL are set by."""
    from fairlead.catalog.providers import BY_SLUG

    builtin = BY_SLUG.get(slug)
    if builtin is not None:
        return builtin.key_variables[0], builtin.base_url_variable
    tree = f"FAIRLEAD_PROVIDERS__{slug.upper().replace('-', '_')}__"
    return f"{tree}API_KEY", f"{tree}BASE_URL"


def lines(rows: Sequence[Row], *, use_color: bool = False) -> list[str]:
    """Return the table."""
    cells = [["provider", "", "answers in", "models", ""]]
    for row in rows:
        latency = "-" if row["latency_ms"] is None else f"{row['latency_ms']} ms"
        models = "-" if row["models"] is None else str(row["models"])
        cells.append([str(row["provider"]), "ok" if row["ok"] else "WRONG", latency, models, _remark(row)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    told = []
    for name, state, latency, models, remark in cells:
        padded = state.ljust(widths[1])
        if use_color and state:
            padded = f"{_GREEN if state == 'ok' else _RED}{padded}{_PLAIN}"
        columns = [name.ljust(widths[0]), padded, latency.rjust(widths[2]), models.rjust(widths[3]), remark]
        told.append("  ".join(columns).rstrip())
    return told


def _remark(row: Row) -> str:
    if row["problem"] is not None:
        return f"{row['problem']}: {row['remedy']}"
    if row["models"] is None:
        return "reached; it lists no models, so this says nothing of the key"
    if row["has_key"] and not row["is_key_known"]:
        return "anybody may read its list, so this says nothing of the key"
    return ""
