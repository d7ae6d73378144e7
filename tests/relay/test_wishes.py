"""What a request says of those who may answer it, through real sockets."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.keys import ApiKey
from fairlead.catalog.dialects import DIALECTS
from fairlead.catalog.model import Model, Provider, Timeouts
from fairlead.demo.script import Script
from fairlead.errors import ApiError
from fairlead.plan.wish import ANYTHING
from fairlead.relay.attempts import MOST_ATTEMPTS
from fairlead.relay.wishes import request_wish
from fairlead.wire.request import ChatRequest
from harness.gateway import MODEL, PRICE, gateway
from harness.http import ask, chat_body
from harness.jsontext import damaged

pytestmark = pytest.mark.anyio

LARGE = Model(MODEL, "Acme: Large")
SMALL = Model("acme/small", "Acme: Small")
PARTIAL = Model("acme/partial", "Acme: Partial", supported_parameters=frozenset(["seed", "reasoning", "max_tokens"]))
MODELS = {LARGE: [0], SMALL: [1]}


def refusal(message):
    return Script(status=400, body=json.dumps({"error": {"message": message}}).encode())


REFUSAL = refusal("messages.0 is not what it should be")
TOO_LONG = refusal("This model's maximum context length is 10 tokens")


def parsed(**members):
    return ChatRequest.parse(json.dumps({"model": MODEL, "messages": [], **members}).encode())


class TestWish:
    def test_most_requests_want_nothing(self):
        assert request_wish(parsed(), ApiKey("h", "", "")) is ANYTHING
        assert request_wish(parsed(tools=[], provider=None), ApiKey("h", "", "")) == ANYTHING

    def test_tools_are_needed_without_being_asked_for(self):
        assert request_wish(parsed(tools=[{}]), ApiKey("h", "", "")).needs == {"tools"}

    def test_a_key_has_preferences_too(self):
        key = ApiKey("h", "", "", preferences='{"sort":"price"}')
        assert request_wish(parsed(), key).sort == "price"
        assert request_wish(parsed(provider={"sort": "latency"}), key).sort == "latency"

    def test_what_cannot_be_read_is_named(self):
        with pytest.raises(ApiError, match=r"'provider' is wrong: .*sort") as raised:
            request_wish(parsed(provider={"sort": 5}), ApiKey("h", "", ""))
        assert (raised.value.status, raised.value.param) == (400, "provider")


class TestPreferences:
    async def asked(self, served, **members):
        answer = await ask(served, chat_body(**members))
        return answer, answer.headers.get("x-fairlead-provider")

    @pytest.mark.parametrize(
        ("preferences", "provider"),
        [
            ({}, "sim0"),
            ({"order": ["sim1"]}, "sim1"),
            ({"only": ["SIM1"]}, "sim1"),
            ({"ignore": ["sim0"]}, "sim1"),
            ({"order": ["nobody", "sim1"], "allow_fallbacks": False}, "sim1"),
        ],
        ids=str,
    )
    async def test_who_is_asked(self, preferences, provider):
        async with gateway(Script(), Script()) as served:
            assert (await self.asked(served, provider=preferences))[1] == provider
            [received] = served.simulators[int(provider[-1])].requests
            assert b"provider" not in received.body

    async def test_an_order_falls_back_to_the_others(self):
        async with gateway(Script(), Script(status=500)) as served:
            assert (await self.asked(served, provider={"order": ["sim1"]}))[1] == "sim0"

    async def test_without_fallbacks_the_error_comes_back(self):
        async with gateway(Script(), Script(status=500)) as served:
            answer, _ = await self.asked(served, provider={"order": ["sim1"], "allow_fallbacks": False})
            assert answer.status == 502
            assert not served.simulators[0].requests

    async def test_nobody_fits(self):
        async with gateway(Script(), Script()) as served:
            answer, _ = await self.asked(served, provider={"only": ["nobody", "Another"], "zdr": True})
            error = json.loads(answer.body)["error"]
            assert (answer.status, error["code"], error["metadata"]["error_type"]) == (404, 404, "not_found")
            assert "Sim 0: 'provider.only' does not name it" in error["message"]
            assert error["metadata"]["available_providers"] == ["sim0", "sim1"]
            assert error["metadata"]["requested_providers"] == ["another", "nobody"]
            availability = error["availability"]
            assert (availability["code"], availability["retryable"]) == ("constraint_filtered", False)
            assert availability["excluded_by"] == ["allowed_providers"]

    async def test_options_reach_their_provider_alone(self):
        options = {"sim0": {"raw_mode": True, "seed": 5}, "sim1": {"other": 1}}
        async with gateway(Script(status=500), Script()) as served:
            await self.asked(served, seed=7, provider={"options": options})
            first, second = (json.loads(sim.requests[0].body) for sim in served.simulators)
            assert (first["raw_mode"], first["seed"], "other" in first) == (True, 7, False)
            assert (second["other"], "raw_mode" in second) == (1, False)


class TestParameters:
    async def test_what_an_endpoint_does_not_support_is_left_out(self):
        body = chat_body(model=PARTIAL.id, temperature=0.5, seed=3, top_k=1, user="me", future={"x": 1})
        async with gateway(Script(), models={PARTIAL: [0]}) as served:
            assert (await ask(served, body)).status == 200
            sent = json.loads(served.simulators[0].requests[0].body)
            assert {name for name in sent if name not in ("model", "messages")} == {"seed", "user", "future"}

    async def test_unless_all_are_required(self):
        body = chat_body(model=PARTIAL.id, temperature=0.5, provider={"require_parameters": True})
        async with gateway(Script(), models={PARTIAL: [0]}) as served:
            answer = await ask(served, body)
            error = json.loads(answer.body)["error"]
            assert (answer.status, error["availability"]["excluded_by"]) == (404, ["require_parameters"])
            assert "it does not support temperature" in error["message"]

    async def test_tools_are_never_left_out(self):
        body = chat_body(model=PARTIAL.id, tools=[{"type": "function", "function": {"name": "f"}}])
        async with gateway(Script(), models={PARTIAL: [0]}) as served:
            answer = await ask(served, body)
            assert answer.status == 404
            assert json.loads(answer.body)["error"]["message"].startswith("No endpoints found that support tool use")

    async def test_thinking(self):
        async with gateway(Script(), models={PARTIAL: [0]}) as served:
            await ask(served, chat_body(model=f"{PARTIAL.id}:thinking"))
            assert json.loads(served.simulators[0].requests[0].body)["reasoning_effort"] == "medium"

    async def test_the_limit_of_a_reply_by_the_providers_name(self):
        async with gateway(Script()) as probe:
            provider = Provider("openai", "OpenAI", probe.simulators[0].base_url, speaks=DIALECTS["openai"])
            async with gateway(providers=[provider]) as served:
                await ask(served, chat_body(max_tokens=77, session_id="mine", plugins=[]))
                sent = json.loads(probe.simulators[0].requests[0].body)
                assert sent["max_completion_tokens"] == 77
                assert not sent.keys() & {"max_tokens", "session_id", "plugins"}


class TestSeveralModels:
    @pytest.mark.parametrize(
        "script",
        [Script(status=500), REFUSAL, TOO_LONG, Script(status=429)],
        ids=["fails", "refuses", "too long", "limited"],
    )
    @pytest.mark.parametrize("is_stream", [False, True])
    async def test_any_error_moves_on_to_the_next(self, script, is_stream):
        async with gateway(script, Script(), models=MODELS) as served:
            answer = await ask(served, chat_body(stream=is_stream, models=[SMALL.id]))
            assert (answer.status, answer.headers["x-fairlead-model"]) == (200, SMALL.id)
            [record] = served.records
            assert (record.asked, record.model, record.endpoint_id) == (MODEL, SMALL.id, f"sim1:{SMALL.id}")
            assert json.loads(served.simulators[1].requests[0].body)["model"] == "small-v1"

    async def test_within_a_model_a_refusal_is_final(self):
        async with gateway(REFUSAL, REFUSAL, Script(), models={LARGE: [0, 1], SMALL: [2]}) as served:
            answer = await ask(served, chat_body(models=[SMALL.id]))
            assert answer.headers["x-fairlead-provider"] == "sim2"
            assert not served.simulators[1].requests

    async def test_all_fail(self):
        async with gateway(REFUSAL, Script(status=500), models=MODELS) as served:
            answer = await ask(served, chat_body(models=[SMALL.id]))
            assert answer.status == 400
            assert "messages.0" in json.loads(answer.body)["error"]["message"]

    async def test_a_key_is_held_to_its_models(self):
        """The fallback went round what the key is allowed."""
        allowed = {"allowed_models": (MODEL,)}
        async with gateway(Script(status=500), Script(), models=MODELS, key=allowed) as served:
            answer = await ask(served, chat_body(models=[SMALL.id]))
            assert answer.status == 502
            assert not served.simulators[1].requests

    async def test_a_key_that_may_use_none_of_them(self):
        async with gateway(Script(), Script(), models=MODELS, key={"allowed_models": ("other/*",)}) as served:
            assert (await ask(served, chat_body(models=[SMALL.id]))).status == 403


class TestContent:
    IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]  # noqa: RUF012

    def body(self, model):
        return json.dumps({"model": model.id, "messages": self.IMAGE}).encode()

    async def test_an_image_is_not_sent_to_a_model_that_is_known_not_to_see(self):
        async with gateway(Script(), models={PARTIAL: [0]}) as served:
            answer = await ask(served, self.body(PARTIAL))
            assert answer.status == 404
            assert answer.json["error"]["message"].startswith("No endpoints found that support image input")

    async def test_a_tool_may_have_a_parameter_of_that_name(self):
        schema = {"type": "object", "properties": {"image_url": {"type": "string"}, "input_audio": {"type": "string"}}}
        wish = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
        async with gateway(Script(), models={PARTIAL: [0]}) as served:
            assert (await ask(served, chat_body(model=PARTIAL.id, **wish))).status == 200

    async def test_but_to_one_of_which_nobody_knows(self):
        async with gateway(Script(), models={LARGE: [0]}) as served:
            assert (await ask(served, self.body(LARGE))).status == 200


class TestPlugins:
    async def test_web_means_online(self):
        async with gateway(Script()) as served:
            await ask(served, chat_body(plugins=[{"id": "web"}]))
            await ask(served, chat_body(plugins=[{"id": "web", "enabled": False}]))
            first, second = (json.loads(request.body) for request in served.simulators[0].requests)
            assert (first["web_search_options"], "web_search_options" in second) == ({}, False)

    @pytest.mark.parametrize("plugins", [[{"id": "moderation"}], "web"], ids=["moderation", "no list"])
    async def test_what_cannot_be_left_out_unsaid(self, plugins):
        async with gateway(Script()) as served:
            answer = await ask(served, chat_body(plugins=plugins))
            assert (answer.status, answer.json["error"]["param"]) == (400, "plugins")


class TestErrorsWithStatus200:
    """Of a provider that has begun to answer, or seems to: nothing has been promised to the caller yet."""

    @pytest.mark.parametrize("script", [Script(error_in_stream=0), Script(cut_after=1)], ids=["error", "cut"])
    async def test_before_any_content_of_a_stream_another_is_asked(self, script):
        async with gateway(script, Script(text="second")) as served:
            answer = await ask(served, chat_body(stream=True))
            assert answer.headers["x-fairlead-provider"] == "sim1"
            assert b'"error"' not in answer.body

    @pytest.mark.parametrize(("code", "verdict"), [(429, "limit"), ("server_error", "transient"), (503, "overload")])
    async def test_a_whole_reply_that_is_an_error(self, code, verdict):
        body = json.dumps({"error": {"message": "no", "code": code}}).encode()
        async with gateway(Script(body=body), Script()) as served:
            answer = await ask(served, chat_body())
            assert (answer.status, answer.headers["x-fairlead-provider"]) == (200, "sim1")
            assert served.records[0].attempts[0].verdict == verdict


class TestWhatOptionsCannotSay:
    async def test_what_is_decided_here(self):
        """A name with a quote in it wrote members of its own; `n` was not held for; `models` went round the key."""
        evil = 'x":1,"model":"the-dearest","max_tokens":999999,"y'
        options = {
            evil: 1,
            "stream": True,
            "n": 128,
            "model": "x",
            "models": ["y"],
            "max_completion_tokens": 9,
            "raw": 1,
        }
        async with gateway(Script(), key={"allowed_models": (MODEL,)}) as served:
            assert (await ask(served, chat_body(max_tokens=5, provider={"options": {"sim0": options}}))).status == 200
            sent = json.loads(served.simulators[0].requests[0].body)
            assert {name: sent[name] for name in sent if name != "messages"} == {
                "model": "large-v1", "max_tokens": 5, "raw": 1, evil: 1
            }  # fmt: skip

    async def test_preferences_are_bounded(self):
        async with gateway(Script()) as served:
            answer = await ask(served, chat_body(provider={"x": "y" * 9000}))
            assert (answer.status, answer.json["error"]["param"]) == (400, "provider")


class TestAttempts:
    async def test_an_endpoint_is_asked_once_whatever_it_is_called(self):
        async with gateway(Script(status=500)) as served:
            await ask(served, chat_body(models=["large", f"{MODEL}:nitro", f"{MODEL}:floor"]))
            assert len(served.simulators[0].requests) == 1

    async def test_there_are_no_more_than_so_many(self):
        models = {Model(f"acme/m{n}", "M"): [0] for n in range(32)}
        async with gateway(REFUSAL, models=models) as served:
            answer = await ask(served, chat_body(model="acme/m0", models=[model.id for model in models]))
            assert answer.status == 400
            assert len(served.simulators[0].requests) == MOST_ATTEMPTS

    async def test_many_fallbacks_do_not_shorten_the_first(self):
        models = {Model(MODEL, "L"): [0]} | {Model(f"acme/m{n}", "M"): [1] for n in range(31)}
        scripts = Script(first_byte_delay_s=0.5), Script()
        async with gateway(*scripts, models=models, timeouts=Timeouts(total_s=6.0)) as served:
            answer = await ask(served, chat_body(models=[model.id for model in models]))
            assert answer.headers["x-fairlead-model"] == MODEL


class TestAuto:
    """What `auto` chooses is tested in tests/plan; here that it is asked, told and recorded."""

    MODELS = {Model(MODEL, "Acme: Large", price=PRICE): [0], Model("acme/small", "Acme: Small", price=PRICE): [1]}  # noqa: RUF012

    @pytest.mark.parametrize("name", ["auto", "openrouter/auto", "gaterouter/auto"])
    @pytest.mark.parametrize("path", ["/v1", "/api/v1", "/openai/v1"])
    async def test_it_chooses_a_model_that_is_served(self, name, path):
        async with gateway(Script(), Script(), models=self.MODELS) as served:
            answer = await ask(served, chat_body(model=name), path=f"{path}/chat/completions")
            assert answer.status == 200
            [record] = served.records
            assert record.model == answer.headers["x-fairlead-model"] in ("acme/large", "acme/small")
            assert (record.asked, record.router) == (name, "openrouter/auto")

    async def test_when_one_fails_the_next_answers(self):
        async with gateway(Script(status=500), Script(), models=self.MODELS) as served:
            for _ in range(3):
                answer = await ask(served, chat_body(model="auto"))
                assert (answer.status, answer.headers["x-fairlead-model"]) == (200, "acme/small")

    async def test_a_key_for_which_it_is_off(self):
        async with gateway(Script(), Script(), models=self.MODELS, key={"is_auto_routing": False}) as served:
            answer = await ask(served, chat_body(model="auto"))
            assert (answer.status, answer.json["error"]["param"]) == (400, "model")
            assert answer.json["error"]["message"].startswith("auto routing is not enabled")

    async def test_a_key_is_held_to_its_models(self):
        async with gateway(Script(), Script(), models=self.MODELS, key={"allowed_models": ("acme/small",)}) as served:
            assert (await ask(served, chat_body(model="auto"))).headers["x-fairlead-model"] == "acme/small"

    async def test_preferences_hold(self):
        async with gateway(Script(), Script(), models=self.MODELS) as served:
            answer = await ask(served, chat_body(model="auto", provider={"only": ["sim1"]}))
            assert answer.headers["x-fairlead-provider"] == "sim1"


@given(
    st.dictionaries(st.sampled_from([b"provider", b"plugins", b"tools", b"x"]), damaged(), max_size=3),
    st.sampled_from([b"[]", b'[{"content":[{"type":"image_url","image_url":1}]}]', b'[{"type":"input_audio"}]']),
)
async def test_whatever_a_request_says_is_a_wish_or_refused(members, messages):
    body = b'{"model":"m","messages":%b%b}' % (messages, b"".join(b',"%b":%b' % member for member in members.items()))
    try:
        wish = request_wish(ChatRequest.parse(body), ApiKey("h", "n", "l"))
    except ApiError as refusal:
        assert refusal.status == 400  # noqa: PT017 - either is right
        return
    assert wish.inputs <= {"image", "audio"}
