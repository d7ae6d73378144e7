"""Chat as agents and apps send it, for locust; `python -m bench.run_locust` starts everything around it.

LOCUST_SCENARIO=steady (default): streams only, one from each user every second.
LOCUST_SCENARIO=mixed: streams and whole replies, short and long prompts, at random times.

Beside locust's own figure (a whole request, `chat stream` or `chat`) each stream gives: `first token`, from the request
to the first content; `between tokens`; and with LOCUST_UPSTREAM_FIRST_TOKEN_S, which tells how long the simulated
provider takes for its first token, `overhead`, what is left of `first token` without that.
"""

import json
import random
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator

import locust.stats
from locust import FastHttpUser, between, constant_pacing, events, task
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment
from locust.stats import StatsEntry

_QUESTION = "What does a reverse proxy do that a load balancer does not? "
_QUANTILES = (0.5, 0.9, 0.99, 1.0)


def _bucket_ms(elapsed_ms: float) -> float:
    """To 0.05 ms below 10, then to three digits. locust rounds to whole milliseconds, more than what we measure."""
    if elapsed_ms < 10:
        return round(elapsed_ms * 20) / 20
    return float(f"{elapsed_ms:.3g}")


locust.stats.bucket_response_time = _bucket_ms


def _add_arguments(parser: ArgumentParser) -> None:
    add: Callable[..., object] = parser.add_argument
    add("--scenario", choices=["steady", "mixed"], default="steady", env_var="LOCUST_SCENARIO", include_in_web_ui=False)
    add("--model", default="bench/echo", env_var="LOCUST_MODEL")
    add("--key", default="sk-bench", env_var="LOCUST_KEY", is_secret=True)
    add("--upstream-first-token-s", type=float, default=0.0, env_var="LOCUST_UPSTREAM_FIRST_TOKEN_S")


class ChatUser(FastHttpUser):  # type: ignore[misc]  # locust is not installed where types are checked
    """One caller with one connection."""

    abstract = True
    network_timeout = connection_timeout = 30.0

    def on_start(self) -> None:
        options: Namespace = self.environment.parsed_options
        self._model = options.model
        self._headers = {"Authorization": f"Bearer {options.key}"}
        self._upstream_s = options.upstream_first_token_s
        time.sleep(random.random())  # all users start at once: without this they would also ask at once, every second

    def stream(self, prompt: str) -> None:
        """One streaming chat, timed to each token."""
        started_at = last_at = time.perf_counter()
        # Not iter_lines: it waits until 1 KB have come, which is ten tokens.
        with self._ask(prompt, is_stream=True) as reply:
            if reply.status_code != 200:
                reply.failure(f"status {reply.status_code}")
                return
            is_first, is_done = True, False
            for data in _events(reply):
                if b'"finish_reason":"error"' in data:  # in band; `[DONE]` follows all the same
                    reply.failure("an error in the stream")
                    return
                is_done = data == b"[DONE]"
                if is_done or not _has_content(data):
                    continue
                now = time.perf_counter()
                if is_first:
                    self._first_token(now - started_at)
                    is_first = False
                else:
                    self._fire("between tokens", now - last_at)
                last_at = now
            reply.request_meta["response_time"] = (time.perf_counter() - started_at) * 1e3
            if is_first or not is_done:
                reply.failure("no content" if is_first else "the stream ended without [DONE]")

    def whole(self, prompt: str) -> None:
        """One chat answered in one piece."""
        with self._ask(prompt, is_stream=False) as reply:
            if reply.status_code != 200:
                reply.failure(f"status {reply.status_code}")
            elif not json.loads(reply.text)["choices"][0]["message"]["content"]:
                reply.failure("no content")

    def _ask(self, prompt: str, *, is_stream: bool) -> ResponseContextManager:
        body: dict[str, object] = {"model": self._model, "messages": [{"role": "user", "content": prompt}]}
        if is_stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        name = "chat stream" if is_stream else "chat"
        options = {"headers": self._headers, "name": name, "stream": is_stream, "catch_response": True}
        return self.client.post("/v1/chat/completions", json=body, **options)

    def _first_token(self, elapsed_s: float) -> None:
        self._fire("first token", elapsed_s)
        if self._upstream_s:
            self._fire("overhead", elapsed_s - self._upstream_s)

    def _fire(self, name: str, elapsed_s: float) -> None:
        events.request.fire(
            request_type="part", name=name, response_time=elapsed_s * 1e3, response_length=0, exception=None, context={}
        )


def _events(reply: ResponseContextManager) -> Iterator[bytes]:
    """The data of each event, at the moment it arrives."""
    while line := reply._response.readline(b"\n"):
        if line.startswith(b"data: "):
            yield bytes(line[6:]).strip()


def _has_content(data: bytes) -> bool:
    choices = json.loads(data).get("choices")
    return bool(choices and choices[0].get("delta", {}).get("content"))


class SteadyUser(ChatUser):
    """Scenario `steady`."""

    wait_time = constant_pacing(1.0)

    @task  # type: ignore[untyped-decorator]
    def chat(self) -> None:
        self.stream(_QUESTION)


class MixedUser(ChatUser):
    """Scenario `mixed`."""

    wait_time = between(0.1, 1.5)

    @task(6)  # type: ignore[untyped-decorator]
    def short_stream(self) -> None:
        self.stream(_QUESTION)

    @task(2)  # type: ignore[untyped-decorator]
    def long_stream(self) -> None:
        self.stream(_QUESTION * random.randint(50, 500))

    @task(2)  # type: ignore[untyped-decorator]
    def chat(self) -> None:
        self.whole(_QUESTION)


def _choose(environment: Environment, **_: object) -> None:
    """Let only the users of the scenario run."""
    users = {"steady": SteadyUser, "mixed": MixedUser}
    environment.user_classes = [users[environment.parsed_options.scenario]]


def _summarize(environment: Environment, **_: object) -> None:
    """Print what was measured with fractions of a millisecond, and end with 1 on any failure."""
    stats = environment.stats
    heads = "".join(f"{'max' if q == 1 else f'p{100 * q:.0f}':>10}" for q in _QUANTILES)
    print(f"{'milliseconds':<18}{'count':>9}{'failures':>10}{heads}")
    for entry in sorted(stats.entries.values(), key=_order):
        times = "".join(f"{_quantile(entry, q):>10.2f}" for q in _QUANTILES)
        print(f"{entry.name:<18}{entry.num_requests:>9,}{entry.num_failures:>10}{times}")
    for error in stats.errors.values():
        print(f"{error.occurrences} × {error.name}: {error.error}")
    if stats.total.num_failures or not stats.total.num_requests:
        environment.process_exit_code = 1


def _order(entry: StatsEntry) -> tuple[str, str]:
    return str(entry.method), str(entry.name)


def _quantile(entry: StatsEntry, q: float) -> float:
    if q == 1:
        return float(entry.max_response_time or 0)
    return float(entry.get_response_time_percentile(q) or 0)


events.init_command_line_parser.add_listener(_add_arguments)
events.init.add_listener(_choose)
events.quitting.add_listener(_summarize)
