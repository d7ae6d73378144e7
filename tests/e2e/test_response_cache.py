"""The response cache with real workers, the ledger, and a client that knows nothing of it."""

import http.client
import json

from harness.process import PATIENCE_S, until

from .conftest import CLIENT_KEY, provider

ON = {"x-openrouter-cache": "true"}


def send(gateway, path, key, body=None, **headers):
    """One request over a connection of its own; return its status, headers and JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, {"authorization": f"Bearer {key}", **headers})
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, json.load(reply)
    finally:
        connection.close()


def ask(gateway, key, text, model="acme/large", **headers):
    """Return the status of the cache, the id of the generation, and all headers."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]})
    status, told, reply = send(gateway, "/v1/chat/completions", key, body, **ON, **headers)
    assert status == 200, reply
    return told.get("x-openrouter-cache-status"), told["x-generation-id"], told


def test_each_worker_tells_what_one_has_kept(rough):
    def hit():
        how, generation_id, _ = ask(rough, rough.new_key, "shared by workers")
        assert how in ("HIT", "MISS")
        return generation_id.split("-")[2][:10] if how == "HIT" else None

    seen = set()
    until(lambda: seen.add(hit()) or len(seen - {None}) == 2)


def test_a_hit_is_a_generation_that_costs_nothing(shared, solo, model):
    found = []
    until(lambda: found.append(ask(shared, CLIENT_KEY, "what it costs", model)) or found[-1][0] == "HIT")
    _, generation_id, headers = found[-1]

    def generation(wanted):
        status, _, told = send(shared, f"/v1/generation?id={wanted}", CLIENT_KEY)
        return told["data"] if status == 200 else None

    told = until(lambda: generation(generation_id))
    source_id = headers["x-openrouter-cache-source-id"]
    assert source_id in {asked_id for how, asked_id, _ in found if how == "MISS"}
    assert (told["response_cache_source_id"], told["model"], told["status"]) == (source_id, model, 200)
    assert (told["total_cost"], told["usage"], told["native_tokens_prompt"], told["native_tokens_completion"]) == (
        0, 0, 0, 0,
    )  # fmt: skip
    assert (told["provider_responses"], told["finish_reason"], told["end"]) == ([], "stop", "ok")
    source = until(lambda: generation(source_id))
    assert source["response_cache_source_id"] is None
    assert source["total_cost"] > 0


def test_openais_client_reads_it_as_any_other(client, solo, model):
    def told(text, **options):
        messages = [{"role": "user", "content": text}]
        create = client.chat.completions.with_raw_response.create
        reply = create(model=model, messages=messages, extra_headers=ON, **options)
        return reply.headers["x-openrouter-cache-status"], reply.parse()

    found = []
    until(lambda: found.append(told("whole")) or found[-1][0] == "HIT")
    (_, first), (_, last) = found[0], found[-1]
    assert last.choices == first.choices
    assert last.id != first.id
    assert (last.usage.prompt_tokens, last.usage.total_tokens) == (0, 0)

    options = {"stream": True, "stream_options": {"include_usage": True}}
    found.clear()

    def hit():
        how, stream = told("stream", **options)
        found.append(list(stream))
        return how == "HIT"

    until(hit)
    first, last = found[0], found[-1]
    assert [chunk.choices for chunk in last] == [chunk.choices for chunk in first]
    assert (first[-1].usage.total_tokens > 0, last[-1].usage.total_tokens) == (True, 0)


def test_it_can_be_turned_off(new_gateway, simulators):
    upstream = simulators.start()
    env = {"FAIRLEAD_CACHE": "off", "FAIRLEAD_API_KEYS": CLIENT_KEY, **provider("lab", upstream, models="acme/large")}
    with new_gateway(env) as gateway:
        assert [ask(gateway, CLIENT_KEY, "hello")[0] for _ in range(2)] == [None, None]
        assert len(upstream.asked("/chat/completions")) == 2
