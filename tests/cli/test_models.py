import json
import signal

KEY = "sk-0123456789abcdef"
LAB = {
    "FAIRLEAD_PROVIDERS__LAB__BASE_URL": "http://127.0.0.1:9/v1",
    "FAIRLEAD_PROVIDERS__LAB__MODELS": "acme/large,acme/small=small-v1",
    "FAIRLEAD_PROVIDERS__LAB__PRICE_PROMPT": "0.25",
    "FAIRLEAD_PROVIDERS__LAB__PRICE_COMPLETION": "1",
}


def test_models_with_price_and_providers(fairlead):
    done = fairlead("models", "--offline", **LAB)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()] == [
        [name, "$0.25", "+", "$1", "per", "million", "tokens", "lab"] for name in ("acme/large", "acme/small")
    ]


def test_json_is_what_the_api_answers(fairlead):
    shown = json.loads(fairlead("models", "--offline", "--json", **LAB).stdout)
    assert shown["object"] == "list"
    assert [model["id"] for model in shown["data"]] == ["acme/large", "acme/small"]
    assert shown["data"][0]["pricing"]["prompt"] == "0.00000025"
    assert shown["data"][0]["providers"] == ["lab"]


def test_offline_knows_a_built_in_provider_by_its_data(fairlead):
    done = fairlead("models", "--offline", OPENAI_API_KEY=KEY)
    assert done.returncode == 0
    assert all(line.startswith("openai/") for line in done.stdout.splitlines())
    assert len(done.stdout.splitlines()) > 10


def test_a_price_that_nobody_knows(fairlead):
    free = {name: value for name, value in LAB.items() if "PRICE" not in name}
    assert fairlead("models", "--offline", **free).stdout.splitlines()[0].split() == [
        "acme/large", "price", "unknown", "lab"
    ]  # fmt: skip


def test_asks_the_provider(fairlead, started):
    with started("demo") as demo:
        base_url = demo.read_until("demo-steady").split()[1]
        done = fairlead("models", FAIRLEAD_PROVIDERS__LAB__BASE_URL=base_url)
        demo.end(signal.SIGTERM)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["demo/chat", "demo/chat-mini"]


def test_without_a_provider_says_what_would_be_served(fairlead):
    done = fairlead("models", "--offline")
    assert (done.returncode, done.stdout) == (0, "")
    assert "OPENAI_API_KEY" in done.stderr
    assert json.loads(fairlead("models", "--offline", "--json").stdout)["data"] == []


def test_a_provider_that_only_it_could_tell_of(fairlead):
    done = fairlead("models", "--offline", OLLAMA_BASE_URL="http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "What ollama serves is not known: ask without --offline.\n"
    asked = fairlead("models", OLLAMA_BASE_URL="http://127.0.0.1:9")
    assert (asked.returncode, asked.stdout) == (0, "")
    assert asked.stderr.splitlines()[-1] == "What ollama serves is not known."
