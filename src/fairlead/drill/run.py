"""Runs a drill: the simulated providers and the caller in this process, the gateway in one of its own."""

import asyncio
import contextlib
import os
import pickle
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import orjson

from fairlead import clock
from fairlead.config import Settings, program_path
from fairlead.demo.script import Script
from fairlead.demo.server import Simulator
from fairlead.drill.expect import Seen, Wrong, wrongs
from fairlead.drill.faults import GOOD_TEXT
from fairlead.drill.stand_in import Row, isolated
from fairlead.errors import FairleadError
from fairlead.health.outcome import RULES, Verdict

TOKEN_S = 0.11
"""The retry budget gives out ten tokens a second: rows that want to try again are asked no faster."""
T = TypeVar("T")

LOOK_S = 0.2
COUNTED_S = 10.0
"""The store hears of an attempt ten times a second, and is read twice."""
PATIENCE_S = 20.0
"""Beyond the time limits of the provider: what is not there by then never comes."""
REPLY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Result:
    """What has become of a row; it has passed if nothing is wrong."""

    row: Row
    wrongs: Sequence[Wrong]
    seen: Seen | None = None


@dataclass(slots=True)
class _Gateway:
    url: str
    key: str
    admin_key: str
    requests: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Lines of the log, by generation."""
    cooling: list[Mapping[str, Any]] = field(default_factory=list)


async def run_rows(
    settings: Settings, rows: Sequence[Row], directory: Path, tell: Callable[[Result], None] = lambda _: None
) -> list[Result]:
    """Ask all rows and return what became of them, in their order; `tell` hears of each as soon as it is known.

    `directory` is for the gateway's store. Raises FairleadError when the gateway cannot be started.
    """
    async with contextlib.AsyncExitStack() as stack:
        simulators = {slug: await stack.enter_async_context(one) for slug, one in _simulators(rows).items()}
        key, admin_key = f"sk-drill-{secrets.token_hex(16)}", f"sk-drill-admin-{secrets.token_hex(16)}"
        urls = {slug: one.base_url for slug, one in simulators.items()}
        fake = isolated(settings, rows, urls, directory, key, admin_key)
        gateway = await stack.enter_async_context(_running(fake, key, admin_key))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                gateway.url,
                auto_decompress=False,
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        )
        asking = _Asking(session, gateway, simulators)

        async def ask(row: Row, delay_s: float) -> Result:
            await asyncio.sleep(delay_s)
            result = await asking.result(row)
            tell(result)
            return result

        return await asyncio.gather(*(ask(row, at_s) for row, at_s in _timed(rows)))


def _timed(rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """Return when each is asked, in seconds from now: those that take longest first."""
    silent_first = sorted(rows, key=lambda row: not row.fault.limits)
    at_s, found = 0.0, {}
    for row in silent_first:
        found[id(row)] = at_s
        at_s += TOKEN_S * (0.2 if row.is_alone else max(1.0, RULES[Verdict(row.fault.verdict)].retry_tokens))
    return [(row, found[id(row)]) for row in rows]


def _simulators(rows: Sequence[Row]) -> dict[str, Simulator]:
    """Return the providers, by slug: one for each row, and those that are well."""
    found: dict[str, Simulator] = {}
    for row in rows:
        for slug in (row.slug, *row.others):
            if slug in found:
                continue
            found[slug] = simulator = Simulator(keep_requests=10_000)
            if slug.startswith(row.slug):
                *first, last = row.fault.played(row.timeouts, row.way)
                simulator.queue.extend(first)
                simulator.script = last
            else:
                simulator.script = Script(text=GOOD_TEXT)
    return found


@contextlib.asynccontextmanager
async def _running(settings: Settings, key: str, admin_key: str) -> AsyncIterator[_Gateway]:
    """Run a gateway with `settings` in a process that knows nothing of the operator's environment."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fairlead.drill",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=16 * 1024 * 1024,
        cwd=settings.data_dir,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": program_path(), "HOME": str(settings.data_dir)},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        packed = pickle.dumps(settings)
        process.stdin.write(b"%d\n" % len(packed) + packed)
        gateway = _Gateway(await _url(process.stdout), key, admin_key)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read(process.stdout, gateway))
            try:
                yield gateway
            finally:
                reading.cancel()
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        while await process.stdout.read(65_536):
            pass
        await process.wait()


async def _url(lines: asyncio.StreamReader) -> str:
    said = []
    async with asyncio.timeout(2 * PATIENCE_S):
        while line := await lines.readline():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return str(orjson.loads(line)["url"])
            said.append(line.decode("utf-8", "replace").strip())
    raise FairleadError(f"the gateway of the drill did not start: {' '.join(said[-3:]) or 'it said nothing'}")


async def _read(lines: asyncio.StreamReader, gateway: _Gateway) -> None:
    while line := await lines.readline():
        with contextlib.suppress(ValueError, AttributeError):
            told = orjson.loads(line)
            if "attempts" in told:
                gateway.requests[told["request_id"]] = told
            elif told.get("event") == "endpoint cooling":
                gateway.cooling.append(told)


class _Asking:
    """The caller."""

    def __init__(self, session: aiohttp.ClientSession, gateway: _Gateway, simulators: Mapping[str, Simulator]) -> None:
        self._session = session
        self._gateway = gateway
        self._simulators = simulators
        self._is_reading = asyncio.Lock()
        self._read_at = 0.0
        self._endpoints: Mapping[str, Any] = {"endpoints": []}

    async def result(self, row: Row) -> Result:
        limits = row.timeouts
        most_s = 2 * (limits.connect_s + limits.first_byte_s + limits.idle_s) + PATIENCE_S
        try:
            async with asyncio.timeout(most_s):
                seen = await self._see(row)
        except TimeoutError:
            return Result(row, [Wrong("an end", "a reply, its line in the log and its entry in the ledger", "none")])
        except aiohttp.ClientError as error:
            return Result(row, [Wrong("reply", "any", f"none: {type(error).__name__}")])
        try:
            return Result(row, wrongs(row.fault, row.way, seen), seen)
        except (ValueError, KeyError, IndexError) as error:
            return Result(row, [Wrong("reply", "one that can be read", f"{type(error).__name__}: {error}")], seen)

    async def _see(self, row: Row) -> Seen:
        if row.fault.is_warm:
            await self._chat(row, [row.slug])
        seen = await self._chat(row, [row.slug] if row.is_alone else [row.slug, *row.others])
        seen.log = await self._until_found(lambda: self._logged(seen.id))
        seen.ledger = await self._until_found(lambda: self._ledger(seen.id))
        with contextlib.suppress(TimeoutError):  # then it is told as wrong
            async with asyncio.timeout(COUNTED_S):
                await self._until_counted(row, seen)
        seen.cooling = self._cooling(row)
        seen.bad = self._asked(row, [row.slug])
        seen.good = self._asked(row, row.others)
        return seen

    async def _logged(self, generation_id: str) -> Mapping[str, Any] | None:
        return self._gateway.requests.get(generation_id)

    def _cooling(self, row: Row) -> list[Mapping[str, Any]]:
        return [one for one in self._gateway.cooling if one["endpoint"].lstrip("@").partition(":")[0] == row.slug]

    def _asked(self, row: Row, slugs: Sequence[str]) -> int:
        model = f'"{row.model}"'.encode()
        requests = [request for slug in slugs for request in self._simulators[slug].requests]
        return sum(request.path.endswith("/chat/completions") and model in request.body for request in requests)

    async def _chat(self, row: Row, slugs: Sequence[str]) -> Seen:
        body = {
            "model": row.model,
            "messages": [{"role": "user", "content": "hello"}],
            "stream": row.way.startswith("stream"),
            "provider": {"order": slugs, "only": slugs},
            **row.fault.asks,
        }
        headers = {"authorization": f"Bearer {self._gateway.key}", "content-type": "application/json"}
        path = f"{row.fault.base}/chat/completions"
        async with self._session.post(path, data=orjson.dumps(body), headers=headers) as reply:
            parts, size, is_torn = [], 0, False
            try:
                async for part in reply.content.iter_any():
                    size += len(part)
                    if size <= REPLY_BYTES:
                        parts.append(part)
            except aiohttp.ClientPayloadError:
                is_torn = True
            seen = Seen(row.slug, reply.status, b"".join(parts), is_torn, reply.headers.get("x-generation-id", ""))
            seen.encoding = reply.headers.get("content-encoding", "")
            return seen

    async def _until_counted(self, row: Row, seen: Seen) -> None:
        """Wait until what has to be counted against the endpoint is, and until it cools down if it has to."""
        verdict = seen.verdicts[0] if seen.verdicts else ""
        has_count, cool = row.fault.counts(verdict) != "nothing", row.fault.cools(verdict)
        while True:
            seen.endpoint = mine = _mine(row, await self._view())
            is_counted = bool(mine) and (not has_count or bool(mine["error_share"] or mine["cut_share"]))
            has_cooled = cool is None or bool(self._cooling(row))
            # The store hears of an account by itself, and may do so later than the log.
            is_out = cool is None or not cool.is_long or mine.get("state") == "cooling"
            if is_counted and has_cooled and is_out:
                return
            await asyncio.sleep(LOOK_S)

    async def _view(self) -> Mapping[str, Any]:
        """Return what the gateway tells of all endpoints, read after this was asked for, once for all who wait."""
        asked_at = clock.monotonic()
        async with self._is_reading:
            if self._read_at < asked_at:
                begun_at = clock.monotonic()
                path = "/admin/v1/endpoints?active=1"
                self._endpoints = await self._answer(path, self._gateway.admin_key) or self._endpoints
                self._read_at = begun_at
            return self._endpoints

    async def _ledger(self, generation_id: str) -> Mapping[str, Any] | None:
        told = await self._answer(f"/api/v1/generation?id={generation_id}", self._gateway.key)
        return told["data"] if told else None

    async def _answer(self, path: str, key: str) -> Mapping[str, Any] | None:
        """Return what is answered there; None if that is an error."""
        async with self._session.get(path, headers={"authorization": f"Bearer {key}"}) as reply:
            raw = await reply.read()
            return dict(orjson.loads(raw)) if reply.status == 200 else None

    async def _until_found(self, look: Callable[[], Awaitable[T | None]]) -> T:
        while (found := await look()) is None:  # noqa: ASYNC110 - it is told by another process
            await asyncio.sleep(LOOK_S)
        return found


def _mine(row: Row, view: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((one for one in view["endpoints"] if one["provider"] == row.slug), {})
