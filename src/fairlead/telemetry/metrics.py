"""What `/metrics` tells: each name with its unit, labels and buckets. The one table; nothing else makes names.

Labels are bounded by what the operator has configured: providers, models of the catalogue (`MOST_MODELS` of them, the
rest are `other`), and words of ours. Never a key, an id, a path, or what a caller wrote.

    provider   slug; `cache` for a reply told again, `none` where nobody answered
    model      canonical id; `other`; `none` for what was refused before it was known
    stream     `true`, `false`
    status     `2xx` `4xx` `5xx` of what the caller got; `none`
    end        `ok` `error` `gone` `cut` `drained`, as in the log
    error      the error's type, as the caller was told; `none`
    verdict    of one attempt, as in `health/outcome.py`
"""

from dataclasses import dataclass
from typing import Literal

MOST_MODELS = 100
"""That get a label of their own, in the order they are first asked for."""

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
OWN_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
TOKENS_PER_SECOND = (5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 250.0, 500.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One name. `scale` turns what is counted inside (nano-USD) into the unit that is told.

    `of_all` makes one value of those that the workers that live have: of gauges only. What is `from_fleet` is not
    counted by a worker: it is asked of the store when somebody looks, and the same from every instance that shares it.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    scale: float = 1.0
    of_all: Literal["sum", "min", "max"] = "sum"
    from_fleet: bool = False

    @property
    def size(self) -> int:
        """Numbers in a series. Of a histogram: the buckets, the last without bound, and behind them the sum."""
        return len(self.buckets) + 2 if self.buckets else 1


def _counter(name: str, text: str, *labels: str, scale: float = 1.0) -> Metric:
    return Metric(name, "counter", text, labels, scale=scale)


def _gauge(name: str, text: str, of_all: Literal["sum", "min", "max"] = "sum") -> Metric:
    return Metric(name, "gauge", text, of_all=of_all)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name, "histogram", text, labels, buckets)


def _of_endpoint(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", text, ("provider", "model", *labels), from_fleet=True)


REQUESTS = _counter(
    "fairlead_requests_total", "Requests that have ended.",
    "api", "model", "provider", "stream", "status", "end", "error",
)  # fmt: skip
DURATION = _histogram(
    "fairlead_request_duration_seconds", "From the request's first byte to the reply's last.", SECONDS,
    "model", "provider", "stream",
)  # fmt: skip
FIRST_TOKEN = _histogram(
    "fairlead_time_to_first_token_seconds", "From the request's first byte to the first content of its stream.",
    SECONDS, "model", "provider",
)  # fmt: skip
SPEED = _histogram(
    "fairlead_output_tokens_per_second", "Of one complete stream, after its first token.", TOKENS_PER_SECOND,
    "model", "provider",
)  # fmt: skip
OVERHEAD = _histogram(
    "fairlead_gateway_overhead_seconds",
    "The gateway's own time in a request: all of it but waiting for providers and for the caller to send its body. "
    "Waiting for a place or for a lease is in it.",
    OWN_SECONDS, "stream",
)  # fmt: skip
TOKENS = _counter("fairlead_tokens_total", "Tokens, of the prompt and of the completion.", "model", "provider", "kind")
CACHED_TOKENS = _counter(
    "fairlead_cached_prompt_tokens_total", "Tokens of prompts that the provider had in its cache.", "model", "provider"
)
REASONING_TOKENS = _counter(
    "fairlead_reasoning_tokens_total", "Tokens of completions that were spent on reasoning.", "model", "provider"
)
COST = _counter("fairlead_cost_usd_total", "What replies cost, in US dollars.", "model", "provider", scale=1e-9)
ESTIMATED = _counter(
    "fairlead_estimated_usage_total", "Replies without a count of tokens, charged by their bytes.", "provider"
)
ATTEMPTS = _counter("fairlead_attempts_total", "Tries at a provider that have ended.", "provider", "verdict")
FAILOVERS = _counter(
    "fairlead_failovers_total", "Attempts that failed and were followed by one at another provider; by whom and why.",
    "provider", "verdict",
)  # fmt: skip
STREAM_ABORTS = _counter(
    "fairlead_stream_aborts_total", "Streams that had begun and were not completed, by who ended them.", "side"
)
CACHE = _counter("fairlead_response_cache_requests_total", "Requests that asked for the response cache.", "result")

TRANSITIONS = _counter(
    "fairlead_breaker_transitions_total", "Changes of an endpoint's state in the fleet.", "provider", "model", "to"
)
EJECTIONS = _counter(
    "fairlead_ejections_total", "Ejections of an endpoint by the fleet, by reason.", "provider", "model", "why"
)
PROBES = _counter(
    "fairlead_probes_total", "Probes of ejected endpoints: begun, and how they ended.", "provider", "model", "result"
)

LOOP_LAG = _histogram(
    "fairlead_event_loop_lag_seconds", "How late a worker's timer of 0.1 s rings.", LAG_SECONDS
)  # fmt: skip
WORKER_STARTS = _counter("fairlead_worker_starts_total", "Workers that have been started.")
LOG_DROPPED = _counter("fairlead_log_lines_dropped_total", "Lines of the request log that could not be written.")
TRACES_SENT = _counter("fairlead_traces_sent_total", "Requests whose trace a collector has taken.")
TRACES_DROPPED = _counter("fairlead_traces_dropped_total", "Requests whose trace none would take in time.")
SERIES_DROPPED = _counter("fairlead_metric_updates_dropped_total", "Figures lost since a worker had no room for them.")

WORKERS = _gauge("fairlead_workers", "Workers that are alive.")
DRAINING = _gauge("fairlead_workers_draining", "Workers that are ending.")
IN_FLIGHT = _gauge("fairlead_requests_in_flight", "Requests under way.")
WAITING = _gauge("fairlead_admission_waiting", "Requests that wait for a place in their worker.")
ADMITTED = _gauge("fairlead_admission_in_flight", "Requests that have a place in their worker.")
ADMITTED_BYTES = _gauge("fairlead_admission_bytes", "Bodies of the requests that have one.")
CONNECTIONS = _gauge("fairlead_upstream_connections", "Open connections to providers.")
RETRY_BUDGET = _gauge(
    "fairlead_retry_budget_left_ratio", "What is left of the retry budget, of the worker that has least.", "min"
)
HEALTH_AWAY = _gauge("fairlead_store_away_health", "Workers that judge endpoints by themselves: no health store.")
KEYS_AWAY = _gauge("fairlead_store_away_keys", "Workers that do not hear of changed keys.")
MONEY_AWAY = _gauge("fairlead_store_away_money", "Workers that go on with the leases they have: no ledger.")
LEASE_WAITS = _gauge("fairlead_lease_waits", "Requests for a part of a limit that the store has not answered.")
UNSETTLED = _gauge("fairlead_unsettled_charges", "Charges that the store has not confirmed.")
MEMORY = _gauge("fairlead_resident_memory_bytes", "Resident memory of all workers.")
MEMORY_MOST = _gauge("fairlead_worker_resident_memory_bytes", "Resident memory of the largest worker.", "max")

STORE_UP = Metric("fairlead_store_up", "gauge", "Whether the store answered when this was asked.", from_fleet=True)
SPEND_ALERTS = Metric(
    "fairlead_spend_alerts_total", "counter", "Limits of which such a part has been spent.", ("window", "part"),
    from_fleet=True,
)  # fmt: skip
BUILD = Metric("fairlead_build_info", "gauge", "Always 1.", ("version", "python"), from_fleet=True)
STATE = _of_endpoint(
    "fairlead_endpoint_state", "1 for the state it is in: healthy, ejected, probing or cooling.", "state"
)
SHARE = _of_endpoint("fairlead_endpoint_share_ratio", "Its part of the attempts on its model, lately.")
ENDPOINT_FIRST_TOKEN = _of_endpoint(
    "fairlead_endpoint_first_token_seconds", "The first-token time that routing reckons with."
)
ENDPOINT_TOKEN = _of_endpoint("fairlead_endpoint_token_seconds", "From one output token to the next, lately.")
ENDPOINT_ERRORS = _of_endpoint(
    "fairlead_endpoint_error_ratio", "Its attempts that failed before the first token, lately."
)
ENDPOINT_CUTS = _of_endpoint("fairlead_endpoint_cut_ratio", "Its replies that broke off, lately.")
ENDPOINT_IN_FLIGHT = _of_endpoint("fairlead_endpoint_in_flight", "Attempts under way there, of the whole fleet.")

METRICS = (
    REQUESTS, DURATION, FIRST_TOKEN, SPEED, OVERHEAD, TOKENS, CACHED_TOKENS, REASONING_TOKENS, COST, ESTIMATED,
    ATTEMPTS, FAILOVERS, STREAM_ABORTS, CACHE, TRANSITIONS, EJECTIONS, PROBES, LOOP_LAG, WORKER_STARTS, LOG_DROPPED,
    TRACES_SENT, TRACES_DROPPED,
    SERIES_DROPPED, WORKERS, DRAINING, IN_FLIGHT, WAITING, ADMITTED, ADMITTED_BYTES, CONNECTIONS, RETRY_BUDGET,
    HEALTH_AWAY, KEYS_AWAY, MONEY_AWAY, LEASE_WAITS, UNSETTLED, MEMORY, MEMORY_MOST, STORE_UP, SPEND_ALERTS, BUILD,
    STATE, SHARE, ENDPOINT_FIRST_TOKEN, ENDPOINT_TOKEN, ENDPOINT_ERRORS, ENDPOINT_CUTS, ENDPOINT_IN_FLIGHT,
)  # fmt: skip
BY_NAME = {metric.name: metric for metric in METRICS}
