import json

import pytest


def test_in_and_out(fairlead, kept_store):
    assert fairlead("credits", "show").stdout == "put in   0 USD\nspent    0 USD\nbalance  0 USD\n"
    added = fairlead("credits", "add", "25", "--reason", "november")
    assert (added.returncode, added.stdout) == (0, "put in 25 USD, 25 USD in all\n")
    assert fairlead("credits", "add", "-0.5", "--reason", "a mistake").stdout == "put in -0.5 USD, 24.5 USD in all\n"
    shown = fairlead("credits", "show").stdout.splitlines()
    assert shown[:3] == ["put in   24.5 USD", "spent    0 USD", "balance  24.5 USD"]
    assert [line.split()[1:3] for line in shown[3:]] == [["-0.5", "shell"], ["25", "shell"]]
    told = json.loads(fairlead("credits", "show", "--json").stdout)
    assert (told["total_credits"], told["total_usage"], len(told["top_ups"])) == (24.5, 0, 2)


def test_with_an_id_of_its_own_it_counts_once(fairlead, kept_store):
    for said in ("put in 5 USD, 5 USD in all\n", "put in before: 5 USD, 5 USD in all\n"):
        assert fairlead("credits", "add", "5", "--reason", "x", "--id", "a").stdout == said
    again = fairlead("credits", "add", "5", "--reason", "x", "--id", "a", "--json")
    assert json.loads(again.stdout) == {"amount_usd": 5, "total_credits": 5, "is_new": False}
    refused = fairlead("credits", "add", "6", "--reason", "x", "--id", "a")
    assert refused.returncode == 1
    assert "take another --id" in refused.stderr


@pytest.mark.parametrize("words", [("x", "--reason", "r"), ("0", "--reason", "r"), ("5",), ("5", "--reason", " "), ()])
def test_what_is_wrong(fairlead, words):
    refused = fairlead("credits", "add", *words)
    assert refused.returncode == 2
    assert refused.stderr
