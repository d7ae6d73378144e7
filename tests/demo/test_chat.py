import orjson
import pytest

from fairlead.demo.chat import WrongChat, read_chat

USER = {"role": "user", "content": "hello"}
PARTS = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]


def read(**members):
    return read_chat(orjson.dumps({"model": "m", "messages": [USER]} | members))


def test_what_is_read():
    chat = read(stream=True, stream_options={"include_usage": True}, max_tokens=7)
    assert (chat.model, chat.is_stream, chat.includes_usage, chat.max_tokens) == ("m", True, True, 7)
    assert read(max_tokens=7, max_completion_tokens=5).max_tokens == 5
    assert read().max_tokens is None


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([USER], "hello"),
        ([USER, {"role": "assistant", "content": "no"}], "hello"),
        (
            [USER, {"role": "user", "content": PARTS}],
            "a b",
        ),
        ([{"role": "user", "content": None}], ""),
        (["odd"], ""),
    ],
)
def test_the_last_message_of_the_user(messages, text):
    assert read(messages=messages).last_message() == text


def test_prompt_tokens_are_about_a_quarter_of_the_bytes():
    assert read(messages=[{"role": "user", "content": "x" * 4000}]).prompt_tokens() == pytest.approx(1000, rel=0.02)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"messages":[{}]}', "model"),
        (b'{"model":"m","messages":[]}', "messages"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":[{}],"max_tokens":0}', "max_tokens"),
        (b'{"model":"m","messages":[{}],"max_tokens":"9"}', "max_tokens"),
    ],
)
def test_what_is_no_chat(body, param):
    with pytest.raises(WrongChat) as caught:
        read_chat(body)
    assert (caught.value.status, caught.value.param) == (400, param)
