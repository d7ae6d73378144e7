"""How failures look to users of OpenAI's SDK: the class of the exception, whether it tries again, what it tells."""

import openai
import pytest

from .caller import HELLO
from .conftest import CLIENT_KEY


def chat(client, model, **members):
    return client.chat.completions.create(model=model, messages=HELLO, **members)


@pytest.mark.parametrize("key", ["sk-nobody-knows-this-key", CLIENT_KEY[:-1], "sk-fl-v1-" + "0" * 72])
def test_a_wrong_key(client, solo, model, key):
    with pytest.raises(openai.AuthenticationError) as caught:
        chat(client.with_options(api_key=key, max_retries=2), model)
    assert key not in str(caught.value)
    assert caught.value.type == "authentication_error"
    assert not solo.requests


def test_an_unknown_model_is_named_with_a_likely_one(client, model):
    with pytest.raises(
        openai.BadRequestError, match=f"{model}x is not a valid model ID. Did you mean .*{model}"
    ) as caught:
        chat(client, f"{model}x")
    assert caught.value.param == "model"


def test_a_wrong_path_names_the_right_ones(client, shared, model):
    with pytest.raises(openai.NotFoundError, match=r"not found: /v2/chat/completions\. The API is under /v1,"):
        chat(client.with_options(base_url=f"{shared.url}/v2"), model)
    with pytest.raises(openai.NotFoundError, match="none/such is not served here"):
        client.models.retrieve("none/such")


@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (2, 3)])
def test_all_limited(client, solo, model, retries, asked):
    solo.does(status=429, retry_after="0.2")
    with pytest.raises(openai.RateLimitError) as caught:
        chat(client.with_options(max_retries=retries), model)
    assert caught.value.response.headers["retry-after"] == "1"
    assert caught.value.response.headers["retry-after-ms"] == "200"
    assert len(solo.requests) == asked


@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (1, 2)])
def test_all_down(client, upstreams, new_model, retries, asked):
    upstreams["first"].does(status=500)
    upstreams["second"].does(garbage=b"\x00\xff not HTTP\r\n\r\n")
    with pytest.raises(openai.InternalServerError) as caught:
        chat(client.with_options(max_retries=retries), new_model("twin"))
    assert caught.value.status_code == 502
    assert caught.value.response.headers["x-should-retry"] == "true"
    assert [len(upstreams[name].requests) for name in ("first", "second")] == [asked, asked]


def test_a_refused_request_is_not_sent_again(client, upstreams, new_model):
    """OpenAI's client would not either; but for 409 it would, and the header says no to both."""
    for upstream in upstreams.values():
        upstream.does(status=422)
    with pytest.raises(openai.UnprocessableEntityError, match="was told to answer 422") as caught:
        chat(client.with_options(max_retries=2), new_model("twin"))
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(upstreams["first"].requests) + len(upstreams["second"].requests) == 1


def heard_until_cut(client, model):
    """Return the text of a stream up to where the client raises an error, and the error."""
    heard = []
    with chat(client, model, stream=True) as stream, pytest.raises(openai.APIError) as caught:
        heard.extend(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    return "".join(heard), caught.value


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_stream_that_is_cut_raises(client, solo, model, how):
    solo.does(text="one two three four five", token_delay_s=0.001, cut_after=4, cut=how)
    heard, error = heard_until_cut(client, model)
    assert heard == "one two three "
    assert "The provider's reply broke off" in str(error)
    assert error.code == "502"
    assert len(solo.requests) == 1


@pytest.mark.parametrize("where", ["chunk", "event", "utf8"])
def test_a_stream_that_is_cut_inside_an_event_raises(client, solo, model, where):
    solo.does(text="one two three four five", token_delay_s=0.001, cut_after=4, cut_inside=where)
    heard, error = heard_until_cut(client, model)
    assert heard == "one two three "
    assert isinstance(error, openai.APIConnectionError)


def test_an_error_in_the_providers_stream_raises(client, solo, model):
    solo.does(text="one two three four five", error_in_stream=4)
    heard, error = heard_until_cut(client, model)
    assert heard == "one two three "
    assert "failed in the middle of its answer" in str(error)


def test_a_stall_in_a_stream_raises(client, upstreams, new_model):
    upstreams["brisk"].does(text="one two three four five", stall_after=4)
    heard, error = heard_until_cut(client, new_model("brisk"))
    assert heard == "one two three "
    assert "idle time limit of 0.3 s ran out" in str(error)


def test_a_reply_that_is_cut_is_asked_for_again(client, upstreams, new_model):
    """One that is not streamed: nothing of it has been promised yet."""
    upstreams["first"].does(truncate_length=9)
    model = new_model("twin")
    while not upstreams["first"].requests:
        assert chat(client, model).choices[0].finish_reason == "stop"


def test_a_request_that_is_too_large(client, solo, model):
    """The answer comes before the body has been sent, and must survive the sending of the rest."""
    with pytest.raises(openai.APIStatusError, match="FAIRLEAD_MAX_BODY_BYTES") as caught:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x" * 40_000_000}])
    assert caught.value.status_code == 413
    assert not solo.requests
