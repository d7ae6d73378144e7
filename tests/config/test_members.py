import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.config.kinds import Unfit
from fairlead.config.members import HEADER, MEMBERS, base_url, header_name

KINDS = {member.variable: member.kind for member in MEMBERS}


@pytest.mark.parametrize(
    ("member", "text", "value"),
    [
        ("BASE_URL", "http://localhost:8000", "http://localhost:8000/v1"),
        ("BASE_URL", "https://lab.example/api/", "https://lab.example/api"),
        ("MODELS", "a", (("a", "a"),)),
        ("MODELS", " a , x/b = c=d ,", (("a", "a"), ("x/b", "c=d"))),
        ("PRICE_PROMPT", "0.0125", 12_500),
        ("PRICE_COMPLETION", "15", 15_000_000),
        ("PRICE_PROMPT", "0", 0),
        ("WEIGHT", "2", 2.0),
        ("ZDR", "yes", True),
        ("QUANTIZATION", "FP8", "fp8"),
        ("DIALECT", "openai", "openai"),
        ("RESUME_TOKENS", "0", 0),
    ],
)
def test_what_fits(member, text, value):
    assert KINDS[member].convert(text) == value


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("BASE_URL", "localhost:8000"),
        ("BASE_URL", "http://user:hunter2@localhost"),
        ("BASE_URL", "https://lab.example/v1/chat/completions"),
        ("MODELS", "a,a"),
        ("MODELS", "a,a=b"),
        ("MODELS", "=b"),
        ("MODELS", "a="),
        ("MODELS", "a b"),
        ("MODELS", ","),
        ("PRICE_PROMPT", "-1"),
        ("PRICE_PROMPT", "free"),
        ("PRICE_PROMPT", "nan"),
        ("PRICE_PROMPT", "1e999999999999"),
        ("PRICE_PROMPT", "999999999"),
        ("WEIGHT", "-1"),
        ("MAX_CONCURRENCY", "0"),
        ("RESUME_TOKENS", "-1"),
        ("RESUME_TOKENS", "100001"),
        ("DATA_COLLECTION", "maybe"),
        ("QUANTIZATION", "int3"),
        ("DIALECT", "cobol"),
    ],
)
def test_what_does_not_fit(member, text):
    with pytest.raises(Unfit) as caught:
        KINDS[member].convert(text)
    assert "hunter2" not in str(caught.value)


def test_a_base_url_without_a_path_gets_the_providers_own():
    assert base_url("/openai/v1").convert("https://mine.openai.azure.com") == "https://mine.openai.azure.com/openai/v1"


def test_header_names():
    assert header_name("X_TEAM_ID") == "x-team-id"


@pytest.mark.parametrize("suffix", ["HOST", "CONTENT_LENGTH", "TRANSFER_ENCODING", "CONNECTION"])
def test_headers_that_frame_the_request_are_not_for_setting(suffix):
    with pytest.raises(Unfit):
        header_name(suffix)


@pytest.mark.parametrize("text", ["a\r\nx: y", "a\0b", "é"])
def test_a_header_value_cannot_smuggle(text):
    with pytest.raises(Unfit):
        HEADER.convert(text)


@given(text=st.text(), member=st.sampled_from(sorted(KINDS)))
def test_any_text_is_read_or_unfit(member, text):
    try:
        KINDS[member].convert(text)
    except Unfit as unfit:
        reason = str(unfit)
    else:
        reason = "none"
    assert reason
    assert "\n" not in reason
