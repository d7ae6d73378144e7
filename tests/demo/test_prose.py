import pytest

from fairlead.demo.prose import QUOTE_CHARACTERS, compose, preface

PREFACE = preface("demo-swift")


def test_it_says_what_it_is_and_quotes():
    text = "".join(compose(PREFACE, "  what is\na lighthouse? ", seed=5, count=None))
    assert text.startswith("[DEMO] This is simulated text from demo provider demo-swift; no model was asked. ")
    assert "You wrote: “what is a lighthouse?”. " in text
    assert text.endswith(".")


def test_long_messages_are_quoted_shortly():
    text = "".join(compose(PREFACE, "word " * 10_000, seed=5, count=None))
    quote = text.partition("“")[2].partition("”")[0]
    assert quote.endswith("…")
    assert len(quote) <= QUOTE_CHARACTERS + 1


def test_the_seed_decides():
    texts = {"".join(compose(PREFACE, "", seed, None)) for seed in range(40)}
    assert len(texts) > 10
    assert compose(PREFACE, "", 3, None) == compose(PREFACE, "", 3, None)


@pytest.mark.parametrize("count", [0, 1, 5, 14, 100, 5000])
def test_a_count_is_kept(count):
    words = compose(PREFACE, "hi", seed=1, count=count)
    assert len(words) == count
    assert len("".join(words).split()) == count
